//! Ports that routers open on request, and paths that change while they are used.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    Lab,
    lan::Host,
    nat::{LOCAL_PORT, MOVED_PORT, Nat},
    sockets::{SERVER_PORT, call_at, listen, receive, received, seen, udp},
};

/// The port at which routers answer NAT-PMP and PCP.
const PORT_CONTROL: u16 = 5351;

/// Runs a program on a host; `words` are its name and arguments.
fn succeeds(host: &Host, words: &str) {
    let mut words = words.split(' ');
    let mut command = host.namespace.command(words.next().unwrap());
    let output = command.args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Asks the router of a host for the UDP port `port` by PCP, for which Debian has no program. Returns
/// the code of the result and the port that it has opened.
fn ask_by_pcp(host: &Host, port: u16) -> (u8, u16) {
    /// The version, the operation "map", and the protocol UDP.
    const VERSION: u8 = 2;
    const MAP: u8 = 1;
    const UDP: u8 = 17;
    let IpAddr::V4(own) = host.at(0).ip() else {
        panic!("the router translates IPv4");
    };
    let mut request = [0; 60];
    request[..2].copy_from_slice(&[VERSION, MAP]);
    request[4..8].copy_from_slice(&3600_u32.to_be_bytes());
    request[8..24].copy_from_slice(&own.to_ipv6_mapped().octets());
    request[24..36].copy_from_slice(b"nonce of lab");
    request[36] = UDP;
    request[40..42].copy_from_slice(&LOCAL_PORT.to_be_bytes());
    request[42..44].copy_from_slice(&port.to_be_bytes());
    let any = Ipv4Addr::UNSPECIFIED;
    request[44..60].copy_from_slice(&any.to_ipv6_mapped().octets());
    let socket = udp(host, host.at(0));
    let router = (host.lan().router(), PORT_CONTROL);
    socket.send_to(&request, router).unwrap();
    let mut response = [0; 60];
    receive(&socket, &mut response);
    (
        response[3],
        u16::from_be_bytes([response[42], response[43]]),
    )
}

/// ```text
///   host ── router with a port mapper ── ix ─┬─ server
///                                            ├─ router that moves each flow ── stranger
///                                            └─ router without UDP ── stranger
/// ```
#[test]
fn hosts_open_ports_of_their_router_for_everyone() {
    let Some(lab) = Lab::new() else { return };
    let host = lab.host(Nat::PortMapper);
    let (lan, own) = (host.lan(), host.at(LOCAL_PORT));
    let server = lab.public();
    let server = udp(&server, server.at(SERVER_PORT));
    let [over_udp, over_tcp] = [Nat::Symmetric, Nat::WithoutUdp].map(|nat| lab.host(nat));
    let stranger = udp(&over_udp, over_udp.at(LOCAL_PORT));
    let socket = udp(&host, own);
    let seen = seen(&server, &socket);
    // Which of these ports are open: the stranger sends its number to each of them.
    let open = |expected: &[&str]| {
        for port in [9001, 9002, 9003] {
            let packet = port.to_string();
            let to = (lan.wan(), port);
            stranger.send_to(packet.as_bytes(), to).unwrap();
        }
        let packets = received(&socket, &server, seen, expected);
        assert!(packets.keys().eq(expected), "{packets:?}");
    };
    open(&[]);
    succeeds(
        &host,
        &format!("upnpc -a {} {LOCAL_PORT} 9001 udp", own.ip()),
    );
    open(&["9001"]);
    succeeds(&host, &format!("natpmpc -a 9002 {LOCAL_PORT} udp 3600"));
    open(&["9001", "9002"]);
    assert_eq!(ask_by_pcp(&host, 9003), (0, 9003));
    open(&["9001", "9002", "9003"]);

    succeeds(&host, &format!("natpmpc -a 9004 {LOCAL_PORT} tcp 3600"));
    let (listener, opened) = (listen(&host, own), (lan.wan(), 9004).into());
    call_at(&over_tcp, over_tcp.at(0), &listener, opened);

    lan.restart_port_mapper();
    lan.forget();
    // The router sees the host again as before.
    assert_eq!(self::seen(&server, &socket), seen);
    open(&[]);
    assert_eq!(ask_by_pcp(&host, 9002), (0, 9002));
    open(&["9002"]);
}

/// ```text
///   host ── router with a port mapper ── router ── ix
/// ```
#[test]
fn a_router_behind_a_router_opens_no_port() {
    /// The code of PCP with which miniupnpd refuses a port of an address that is not public.
    const NO_RESOURCES: u8 = 8;
    let Some(lab) = Lab::new() else { return };
    let host = lab
        .carrier(Nat::PortRestricted)
        .inner(Nat::PortMapper)
        .host();
    assert_eq!(ask_by_pcp(&host, 9003).0, NO_RESOURCES);
}

/// ```text
///   host ─┬─ router ── ix ── server      the router forgets, and gets another address
///         └─ router ──┘                  then the host moves to another router
/// ```
#[test]
fn a_path_changes_while_it_is_used() {
    let Some(lab) = Lab::new() else { return };
    let server = lab.public();
    let server = udp(&server, server.at(SERVER_PORT));
    let [old, new] = [Nat::PortRestricted, Nat::PortMoved].map(|nat| lab.lan(nat));
    let mut host = old.host();
    let socket = udp(&host, host.at(LOCAL_PORT));
    let first = seen(&server, &socket);
    assert_eq!(first, (old.wan(), LOCAL_PORT).into());

    old.forget();
    server.send_to(b"forgotten", first).unwrap();
    assert_eq!(seen(&server, &socket), first);
    assert!(received(&socket, &server, first, &[]).is_empty());

    lab.renumber(&old);
    server.send_to(b"old address", first).unwrap();
    let second = seen(&server, &socket);
    assert_ne!(second.ip(), first.ip());
    assert_eq!(second, (old.wan(), LOCAL_PORT).into());
    assert!(received(&socket, &server, second, &[]).is_empty());

    drop(socket);
    host.move_to(&new);
    let socket = udp(&host, host.at(LOCAL_PORT));
    assert_eq!(seen(&server, &socket), (new.wan(), MOVED_PORT).into());
}
