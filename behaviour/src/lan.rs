//! Discovery on the local network over IPv4 and IPv6, which recovers from failures.
//!
//! Owns one mDNS behaviour for each address family, as libp2p's behaviour supports only one. That
//! behaviour abandons an interface for good when its socket cannot be opened (another program may
//! use the port, or the interface has no multicast yet), and only logs it. So this module tries
//! the same socket for each address that the node listens on. After a failure it retries with
//! growing pauses, and once the socket opens, it creates a new mDNS behaviour for the family. A
//! failure is logged once.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::Future;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::ListenerId, transport::PortUse},
    mdns::{self, Event},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, ExpiredListenAddr, FromSwarm, NetworkBehaviour,
        NewListenAddr, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
    },
};
use socket2::{Domain, Socket, Type};
use tokio::time::{Sleep, sleep};

/// The port of mDNS (RFC 6762).
const PORT: u16 = 5353;

/// The multicast group of mDNS over IPv4 (RFC 6762).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// The multicast group of mDNS over IPv6 (RFC 6762).
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// The pause after the first failure; each further one is twice as long, up to the last.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Listen addresses that are tried and passed on to a new mDNS behaviour, at most.
const MAX_LISTEN_ADDRESSES: usize = 64;

/// Finds peers on the local network.
pub struct Lan {
    local: PeerId,
    families: [Family; 2],
    listen: Vec<(ListenerId, Multiaddr)>,
}

/// mDNS over one address family.
struct Family {
    is_ipv6: bool,
    mdns: Option<mdns::tokio::Behaviour>,
    retries: Retries,
    /// When to try the sockets next; `None` while all of them work.
    next: Option<Pin<Box<Sleep>>>,
}

/// The pauses between retries. Pure.
#[derive(Default)]
struct Retries {
    failures: u32,
}

impl Retries {
    /// Records a failure; returns the pause before the next try.
    fn failed(&mut self) -> Duration {
        // Doubled eight times, it is far beyond the last one.
        let pause = FIRST_RETRY * 2_u32.pow(self.failures.min(8));
        self.failures += 1;
        pause.min(LAST_RETRY)
    }

    /// Records a success; returns whether there were failures before it.
    fn succeeded(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }
}

impl Family {
    fn new(is_ipv6: bool) -> Self {
        Self {
            is_ipv6,
            mdns: None,
            retries: Retries::default(),
            next: Some(Box::pin(sleep(Duration::ZERO))),
        }
    }

    const fn name(&self) -> &'static str {
        if self.is_ipv6 { "IPv6" } else { "IPv4" }
    }

    /// Tries the sockets at the next poll.
    fn try_soon(&mut self) {
        self.next = Some(Box::pin(sleep(Duration::ZERO)));
    }

    /// Tries whether mDNS works with the addresses of `listen`; creates the behaviour if it is
    /// missing, or if it could not work before.
    fn refresh(&mut self, local: PeerId, listen: &[(ListenerId, Multiaddr)]) {
        let ips = listen.iter().filter_map(|(_, address)| interface(address));
        let mut ips = ips.filter(|ip| ip.is_ipv6() == self.is_ipv6);
        let works = ips.try_for_each(try_out);
        let works_again = works.is_ok() && self.retries.failures > 0;
        let made = match &self.mdns {
            Some(_) if !works_again => Ok(()),
            // If one interface does not work, the behaviour still serves the others.
            _ => self.make(local, listen),
        };
        let made = works.and(made);
        match made {
            Ok(()) => {
                self.next = None;
                if self.retries.succeeded() {
                    tracing::info!(
                        "looking for peers on the local network over {} again",
                        self.name()
                    );
                }
            }
            Err(error) => {
                let is_first = self.retries.failures == 0;
                let pause = self.retries.failed();
                self.next = Some(Box::pin(sleep(pause)));
                if is_first {
                    tracing::warn!(
                        %error,
                        "cannot look for peers on the local network over {}: another program may \
                         be using UDP port {PORT}; retrying with pauses of up to {} s",
                        self.name(),
                        LAST_RETRY.as_secs()
                    );
                }
            }
        }
    }

    fn make(&mut self, local: PeerId, listen: &[(ListenerId, Multiaddr)]) -> io::Result<()> {
        let config = mdns::Config {
            enable_ipv6: self.is_ipv6,
            ..mdns::Config::default()
        };
        let mut made = mdns::tokio::Behaviour::new(config, local)?;
        for (listener_id, addr) in listen {
            let listener_id = *listener_id;
            made.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr {
                listener_id,
                addr,
            }));
        }
        self.mdns = Some(made);
        Ok(())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        local: PeerId,
        listen: &[(ListenerId, Multiaddr)],
    ) -> Poll<ToSwarm<Event, Infallible>> {
        while let Some(next) = &mut self.next {
            if next.as_mut().poll(cx).is_pending() {
                break;
            }
            self.refresh(local, listen);
        }
        match &mut self.mdns {
            Some(mdns) => mdns.poll(cx),
            None => Poll::Pending,
        }
    }
}

/// The IP address of the interface, if other machines on its network can reach it.
fn interface(address: &Multiaddr) -> Option<IpAddr> {
    let ip = match address.iter().next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

/// Opens the socket that mDNS uses for the interface at `ip`, and closes it again.
fn try_out(ip: IpAddr) -> io::Result<()> {
    let (domain, any) = match ip {
        IpAddr::V4(_) => (Domain::IPV4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        IpAddr::V6(_) => (Domain::IPV6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(socket2::Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::new(any, PORT).into())?;
    match ip {
        IpAddr::V4(ip) => socket.join_multicast_v4(&GROUP_V4, &ip),
        IpAddr::V6(_) => socket.join_multicast_v6(&GROUP_V6, 0),
    }
}

impl Lan {
    /// Discovery for the node `local`.
    ///
    /// # Panics
    /// Outside a tokio runtime with time.
    #[must_use]
    pub fn new(local: PeerId) -> Self {
        Self {
            local,
            families: [Family::new(false), Family::new(true)],
            listen: Vec::new(),
        }
    }

    fn listens(&mut self, listener: ListenerId, address: &Multiaddr) {
        let new = (listener, address.clone());
        if self.listen.contains(&new) || self.listen.len() >= MAX_LISTEN_ADDRESSES {
            return;
        }
        self.listen.push(new);
        if let Some(ip) = interface(address) {
            let family = &mut self.families[usize::from(ip.is_ipv6())];
            // After a failure, the running pause stays in force.
            if family.retries.failures == 0 {
                family.try_soon();
            }
        }
    }
}

impl NetworkBehaviour for Lan {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }) => {
                self.listens(listener_id, addr);
            }
            FromSwarm::ExpiredListenAddr(ExpiredListenAddr { listener_id, addr }) => {
                self.listen
                    .retain(|(listener, known)| (*listener, known) != (listener_id, addr));
            }
            _ => {}
        }
        for mdns in self
            .families
            .iter_mut()
            .filter_map(|family| family.mdns.as_mut())
        {
            mdns.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        for family in &mut self.families {
            if let Poll::Ready(event) = family.poll(cx, self.local, &self.listen) {
                return Poll::Ready(event);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_it_works() {
        let mut retries = Retries::default();
        assert!(!retries.succeeded());
        let pauses: Vec<_> = (0..6).map(|_| retries.failed().as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
        assert!(retries.succeeded());
        assert_eq!(retries.failed(), FIRST_RETRY);
    }

    #[test]
    fn only_addresses_that_others_reach_are_tried() {
        for (address, is_tried) in [
            ("/ip4/10.0.0.1/tcp/1", true),
            ("/ip6/fd00::1/udp/1/quic-v1", true),
            ("/ip4/127.0.0.1/tcp/1", false),
            ("/ip6/::1/tcp/1", false),
            ("/ip4/0.0.0.0/tcp/1", false),
            ("/memory/1", false),
        ] {
            let found = interface(&address.parse().unwrap());
            assert_eq!(found.is_some(), is_tried, "{address}");
        }
    }

    #[tokio::test]
    async fn both_families_are_made_without_any_address() {
        let mut lan = Lan::new(PeerId::random());
        // Hangs if a family is never created.
        futures::future::poll_fn(|cx| {
            while lan.poll(cx).is_ready() {}
            match lan.families.iter().all(|family| family.mdns.is_some()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}
