//! What each kind of router does to the flows of a host.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{
    Lab,
    lan::Host,
    nat::{LOCAL_PORT, MOVED_PORT, Nat},
    sockets::{
        SERVER_PORT, call, connect, has_input, is_open, listen, receive, received, seen, udp,
    },
};

/// The port from which servers see the UDP packets of a host, which come from [`LOCAL_PORT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Kept,
    Moved,
    /// Another one for each server.
    Any,
    /// No packet comes through.
    Blocked,
}

/// What arrives unasked at a port from which a host has sent: packets from another port of the address
/// to which it has sent, and from another host.
const OTHER_PORT: &str = "other port";
const OTHER_HOST: &str = "other host";

/// Ports of servers that hosts try to reach over TCP.
const TCP_PORTS: [u16; 3] = [80, 443, 4001];

/// For each kind the port, the packets that come in, and which of [`TCP_PORTS`] hosts reach.
const KINDS: [(Nat, Port, &[&str], &[u16]); 12] = {
    use {Nat::*, Port::*};
    [
        (PortRestricted, Kept, &[], &TCP_PORTS),
        (PortMoved, Moved, &[], &TCP_PORTS),
        (FullCone, Kept, &[OTHER_HOST, OTHER_PORT], &TCP_PORTS),
        (AddressRestricted, Kept, &[OTHER_PORT], &TCP_PORTS),
        (Symmetric, Any, &[], &TCP_PORTS),
        (CarrierGrade, Kept, &[], &TCP_PORTS),
        (HardCarrierGrade, Any, &[], &TCP_PORTS),
        (Hairpin, Kept, &[], &TCP_PORTS),
        (WithoutUdp, Blocked, &[], &TCP_PORTS),
        (WebOnly, Blocked, &[], &[80, 443]),
        (Ipv6Firewall, Kept, &[], &TCP_PORTS),
        (PortMapper, Kept, &[], &TCP_PORTS),
    ]
};

/// ```text
///   host ── router ── ix ─┬─ two servers
///                         └─ another host, which the host does not know
/// ```
#[test]
fn each_kind_of_router_treats_flows_as_its_name_promises() {
    let Some(lab) = Lab::new() else { return };
    let servers = [lab.public(), lab.public(), lab.public()];
    for kind in KINDS {
        eprintln!("{kind:?}");
        let host = lab.host(kind.0);
        over_udp(&host, &servers, kind.1, kind.2);
        over_tcp(&host, &servers[0], kind.3);
    }
}

/// Where the Internet sees [`LOCAL_PORT`] of a host whose router keeps it.
fn front(host: &Host) -> SocketAddr {
    match host.at(LOCAL_PORT) {
        SocketAddr::V4(_) => (host.lan().wan(), LOCAL_PORT).into(),
        ipv6 @ SocketAddr::V6(_) => ipv6,
    }
}

fn over_udp(host: &Host, servers: &[Host; 3], port: Port, come_in: &[&str]) {
    let at = |n: usize, port| udp(&servers[n], servers[n].towards(host, port));
    let [first, second, other_host] = [0, 1, 2].map(|n| at(n, SERVER_PORT));
    let other_port = at(0, SERVER_PORT + 1);
    // A router that takes note of this packet moves the port later.
    first.send_to(b"unasked", front(host)).unwrap();
    let socket = udp(host, host.at(LOCAL_PORT));
    if port == Port::Blocked {
        for server in [&first, &second] {
            let server = server.local_addr().unwrap();
            socket.send_to(b"hello", server).unwrap();
        }
        // What is sent after these packets arrives after them.
        reaches(host, &servers[0], 443);
        assert!(![&first, &second].into_iter().any(has_input));
        return;
    }
    let seen = [&first, &second].map(|server| seen(server, &socket));
    assert_eq!(seen[0].ip(), front(host).ip());
    let found = match seen.map(|address| address.port()) {
        [LOCAL_PORT, LOCAL_PORT] => Port::Kept,
        [MOVED_PORT, MOVED_PORT] => Port::Moved,
        [one, other] => {
            assert_ne!(one, other);
            Port::Any
        }
    };
    assert_eq!(found, port);
    for (stranger, packet) in [(&other_port, OTHER_PORT), (&other_host, OTHER_HOST)] {
        stranger.send_to(packet.as_bytes(), seen[0]).unwrap();
    }
    let packets = received(&socket, &first, seen[0], come_in);
    assert!(packets.keys().eq(come_in), "{packets:?}");
}

fn over_tcp(host: &Host, server: &Host, ports: &[u16]) {
    let listener = listen(host, host.at(LOCAL_PORT));
    let unasked = connect(server, server.towards(host, 0), front(host));
    let is_blocked = |port: &u16| !ports.contains(port);
    let blocked = TCP_PORTS.into_iter().filter(is_blocked).map(|port| {
        let at = server.towards(host, port);
        (listen(server, at), connect(host, host.at(0), at))
    });
    let blocked: Vec<_> = blocked.collect();
    ports.iter().for_each(|port| reaches(host, server, *port));
    assert!(!has_input(&listener) && !is_open(&unasked));
    for (listener, stream) in blocked {
        assert!(!has_input(&listener) && !is_open(&stream));
    }
}

/// The host reaches this port of the server over TCP.
fn reaches(host: &Host, server: &Host, port: u16) {
    let listener = listen(server, server.towards(host, port));
    call(host, host.at(0), &listener);
}

/// ```text
///   two hosts ── router ── ix ── server
/// ```
#[test]
fn hosts_of_one_network_reach_each_other_in_private_and_some_by_their_router() {
    let Some(lab) = Lab::new() else { return };
    let server = lab.public();
    let server = udp(&server, server.at(SERVER_PORT));
    for (nat, is_hairpin) in [
        (Nat::PortRestricted, false),
        (Nat::FullCone, false),
        (Nat::Hairpin, true),
    ] {
        eprintln!("{nat:?}");
        let lan = lab.lan(nat);
        let (a, b) = (lan.host(), lan.host());
        let [a_port, b_port] = [LOCAL_PORT, LOCAL_PORT + 1];
        let [at_a, at_b] = [udp(&a, a.at(a_port)), udp(&b, b.at(b_port))];
        let seen_b = seen(&server, &at_b);
        at_a.send_to(b"in private", b.at(b_port)).unwrap();
        let packets = received(&at_b, &server, seen_b, &["in private"]);
        assert_eq!(packets["in private"], a.at(a_port));

        at_a.send_to(b"by the router", seen_b).unwrap();
        let router = SocketAddr::from((lan.router(), a_port));
        let expected = is_hairpin.then_some("by the router");
        let packets = received(&at_b, &server, seen_b, expected.as_slice());
        let expected = expected.map(|packet| (packet.to_owned(), router));
        assert_eq!(packets, BTreeMap::from_iter(expected));
        if is_hairpin {
            at_b.send_to(b"answer", router).unwrap();
            assert_eq!(receive(&at_a, &mut [0; 16]).1, seen_b);
        }
        call(&a, a.at(0), &listen(&b, b.at(b_port)));
    }
}
