//! Whether a node can listen at an address.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use socket2::{Domain, Socket, Type};

/// Binds to `address` for a moment. libp2p listens over TCP with `SO_REUSEPORT`, so that it can dial
/// from the same port; with that option, the system lets all programs of a user listen there. This
/// binds without it, and so fails where another program listens. Connections of an earlier run do
/// not count. An address that is neither TCP nor UDP is left to the transport.
///
/// # Errors
/// That of the system: [`io::ErrorKind::AddrInUse`] if another socket listens there.
pub fn try_listen(address: &Multiaddr) -> io::Result<()> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    let (port, kind) = match parts.next() {
        Some(Protocol::Tcp(port)) => (port, Type::STREAM),
        Some(Protocol::Udp(port)) => (port, Type::DGRAM),
        _ => return Ok(()),
    };
    let address = SocketAddr::new(ip, port);
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // On Unix, closed TCP connections still hold the port for a minute without this option. On
    // Windows it would take the port from the program that has it.
    #[cfg(unix)]
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(with: Type, reuses: bool) -> (Socket, u16) {
        let socket = Socket::new(Domain::IPV4, with, None).unwrap();
        socket.set_reuse_address(reuses).unwrap();
        #[cfg(unix)]
        socket.set_reuse_port(reuses).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        if with == Type::STREAM {
            socket.listen(1).unwrap();
        }
        let at = socket.local_addr().unwrap().as_socket().unwrap();
        (socket, at.port())
    }

    #[test]
    fn a_port_is_taken_even_if_its_socket_shares_it() {
        let at = |kind: &str| try_listen(&format!("/ip4/127.0.0.1/{kind}").parse().unwrap());
        for reuses in [false, true] {
            let (tcp, port) = listener(Type::STREAM, reuses);
            let taken = at(&format!("tcp/{port}")).unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
            drop(tcp);
            at(&format!("tcp/{port}")).unwrap();
            let (udp, port) = listener(Type::DGRAM, reuses);
            let taken = at(&format!("udp/{port}/quic-v1")).unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
            drop(udp);
            at(&format!("udp/{port}/quic-v1")).unwrap();
        }
        try_listen(&"/memory/1".parse().unwrap()).unwrap();
    }
}
