//! Plain UDP and TCP sockets on hosts.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, retry_on_intr},
    net::{self, AddressFamily, SocketFlags, SocketType, sockopt},
};

use super::lan::Host;
use crate::world::PATIENCE;

/// The port at which public hosts answer over UDP and TCP.
pub(crate) const SERVER_PORT: u16 = 443;

/// The content of the packet that is the last one of a step.
const LAST: &str = "last";

/// A socket of UDP, which waits for packets as long as a step may take.
pub(crate) fn udp(host: &Host, at: SocketAddr) -> UdpSocket {
    let socket = host.namespace.run(|| UdpSocket::bind(at)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends a packet to a server, and returns the address at which the server sees the sender.
#[track_caller]
pub(crate) fn seen(server: &UdpSocket, socket: &UdpSocket) -> SocketAddr {
    socket
        .send_to(b"hello", server.local_addr().unwrap())
        .unwrap();
    receive(server, &mut [0; 16]).1
}

/// Receives a packet, and returns its length and sender. Waits through signals, after which the
/// system ends a call that has a deadline.
#[track_caller]
pub(crate) fn receive(socket: &UdpSocket, bytes: &mut [u8]) -> (usize, SocketAddr) {
    loop {
        match socket.recv_from(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            received => return received.unwrap(),
        }
    }
}

/// The packets that `socket` receives before one that the server sends now, and their senders.
/// Waits for `expected` in any case.
#[track_caller]
pub(crate) fn received(
    socket: &UdpSocket,
    server: &UdpSocket,
    seen: SocketAddr,
    expected: &[&str],
) -> BTreeMap<String, SocketAddr> {
    server.send_to(LAST.as_bytes(), seen).unwrap();
    let (mut packets, mut is_over) = (BTreeMap::new(), false);
    while !is_over || !expected.iter().all(|packet| packets.contains_key(*packet)) {
        let mut bytes = [0; 16];
        let (len, sender) = receive(socket, &mut bytes);
        match str::from_utf8(&bytes[..len]).unwrap() {
            LAST => is_over = true,
            packet => drop(packets.insert(packet.to_owned(), sender)),
        }
    }
    packets
}

/// Whether a packet or a caller is there now.
pub(crate) fn has_input(socket: &impl AsFd) -> bool {
    is_ready(socket, PollFlags::IN, Duration::ZERO)
}

pub(crate) fn listen(host: &Host, at: SocketAddr) -> TcpListener {
    host.namespace.run(|| TcpListener::bind(at)).unwrap()
}

/// Starts a connection from `at`.
#[track_caller]
pub(crate) fn connect(host: &Host, at: SocketAddr, to: SocketAddr) -> TcpStream {
    let family = match at {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let open = || net::socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK, None);
    let socket = host.namespace.run(open).unwrap();
    // Several connections begin at one port.
    sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    net::bind(&socket, &at).unwrap();
    match net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => socket.into(),
        Err(error) => panic!("{at} to {to}: {error}"),
    }
}

/// Whether a connection is open now.
pub(crate) fn is_open(stream: &TcpStream) -> bool {
    is_ready(stream, PollFlags::OUT, Duration::ZERO) && stream.peer_addr().is_ok()
}

/// Waits until a connection is open.
#[track_caller]
pub(crate) fn wait_for(stream: &TcpStream) {
    let is_ready = is_ready(stream, PollFlags::OUT, PATIENCE);
    assert!(is_ready && stream.peer_addr().is_ok(), "{stream:?}");
}

/// A connection to a server.
pub(crate) struct Call {
    /// Where the server sees the caller.
    pub(crate) seen: SocketAddr,
    _ends: [TcpStream; 2],
}

/// Connects from `at` to a server that listens.
#[track_caller]
pub(crate) fn call(host: &Host, at: SocketAddr, server: &TcpListener) -> Call {
    call_at(host, at, server, server.local_addr().unwrap())
}

/// The same where the server has another address for the host.
#[track_caller]
pub(crate) fn call_at(host: &Host, at: SocketAddr, server: &TcpListener, to: SocketAddr) -> Call {
    let stream = connect(host, at, to);
    wait_for(&stream);
    let (end, seen) = server.accept().unwrap();
    Call {
        seen,
        _ends: [stream, end],
    }
}

fn is_ready(socket: &impl AsFd, what: PollFlags, patience: Duration) -> bool {
    let patience = Timespec::try_from(patience).unwrap();
    let mut sockets = [PollFd::new(socket, what)];
    retry_on_intr(|| poll(&mut sockets, Some(&patience))).unwrap() > 0
}
