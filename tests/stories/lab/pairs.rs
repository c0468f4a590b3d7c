//! Which pairs of hosts behind routers connect directly, when both send at the same time to the
//! address at which a server saw the other.
//!
//! Pairs with a public host need no proof of their own: [`super::kinds`] shows that all hosts reach
//! one, and [`super::changes`] that all reach a port that a router has opened.

use std::{
    collections::{BTreeSet, HashMap},
    io::{Read as _, Write as _},
};

use super::{
    Lab,
    lan::Host,
    nat::{LOCAL_PORT, Nat},
    sockets::{SERVER_PORT, call, connect, is_open, listen, received, seen, udp, wait_for},
};

/// Over which transports a pair connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Both,
    Udp,
    Tcp,
    Neither,
}

const PAIRS: [(Nat, Nat, Over); 18] = {
    use {Nat::*, Over::*};
    [
        (PortRestricted, PortRestricted, Both),
        (PortRestricted, CarrierGrade, Both),
        (PortRestricted, PortMoved, Both),
        (PortMoved, PortMoved, Both),
        (FullCone, PortRestricted, Both),
        (AddressRestricted, PortRestricted, Both),
        (CarrierGrade, CarrierGrade, Both),
        (Ipv6Firewall, Ipv6Firewall, Both),
        (Symmetric, FullCone, Udp),
        (Symmetric, AddressRestricted, Udp),
        (HardCarrierGrade, FullCone, Udp),
        (WithoutUdp, PortRestricted, Tcp),
        (WithoutUdp, PortMoved, Tcp),
        (WithoutUdp, WithoutUdp, Tcp),
        (Symmetric, PortRestricted, Neither),
        (Symmetric, Symmetric, Neither),
        (HardCarrierGrade, PortRestricted, Neither),
        (WithoutUdp, Symmetric, Neither),
    ]
};

/// How often both sides send. The first time, the router of the other side drops the packet.
const ROUNDS: usize = 4;

/// ```text
///   a ── router ── ix ── router ── b
///                  │
///               server      a and b ask it for the address of the other
/// ```
#[test]
fn pairs_behind_routers_connect_as_the_table_has_it() {
    let Some(lab) = Lab::new() else { return };
    let server = lab.public();
    let mut hosts = HashMap::new();
    for (a, b, over) in PAIRS {
        eprintln!("{a:?} and {b:?}");
        for nat in [a, b] {
            let made = || [lab.host(nat), lab.host(nat)];
            hosts.entry(nat).or_insert_with(made);
        }
        let pair = [&hosts[&a][0], &hosts[&b][1]];
        if ![a, b].contains(&Nat::WithoutUdp) {
            let is_expected = matches!(over, Over::Both | Over::Udp);
            assert_eq!(punch_udp(&server, pair), [is_expected; 2]);
        }
        punch_tcp(&server, pair, matches!(over, Over::Both | Over::Tcp));
        pair.iter().for_each(|host| host.lan().forget());
    }
}

/// Which sides have received packets of the other one. Each side also sends to the addresses from
/// which it has received.
fn punch_udp(server: &Host, pair: [&Host; 2]) -> [bool; 2] {
    let server = udp(server, server.towards(pair[0], SERVER_PORT));
    let sockets = pair.map(|host| udp(host, host.at(LOCAL_PORT)));
    let seen = sockets.each_ref().map(|socket| seen(&server, socket));
    let mut goals = [seen[1], seen[0]].map(|other| BTreeSet::from([other]));
    let mut heard = [false; 2];
    for sender in [0, 1].repeat(ROUNDS) {
        for goal in &goals[sender] {
            sockets[sender].send_to(b"punch", goal).unwrap();
        }
        for side in [0, 1] {
            let packets = received(&sockets[side], &server, seen[side], &[]);
            heard[side] |= !packets.is_empty();
            goals[side].extend(packets.into_values());
        }
    }
    heard
}

/// Asserts that the two connect, or do not: both ends begin, and neither listens.
fn punch_tcp(server: &Host, pair: [&Host; 2], is_expected: bool) {
    let listener = listen(server, server.towards(pair[0], 0));
    let calls = pair.map(|host| call(host, host.at(LOCAL_PORT), &listener));
    let begin = |side: usize| {
        let host = pair[side];
        connect(host, host.at(LOCAL_PORT), calls[1 - side].seen)
    };
    let [mut a, mut b] = [begin(0), begin(1)];
    if !is_expected {
        // What is sent after their packets arrives after them.
        for host in pair {
            call(host, host.at(0), &listener);
        }
        assert!(!is_open(&a) && !is_open(&b));
        return;
    }
    for stream in [&a, &b] {
        wait_for(stream);
        stream.set_nonblocking(false).unwrap();
    }
    a.write_all(b"through").unwrap();
    let mut read = [0; 7];
    b.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"through");
}
