//! The behaviour by which the swarm asks what to dial, and reports the outcome.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use futures::StreamExt;
use if_watch::{IfEvent, tokio::IfWatcher};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, DialError, DialFailure, FromSwarm,
        NetworkBehaviour, NewListenAddr, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished, dummy,
    },
};
use parking_lot::{Mutex, MutexGuard};

use super::{NamedBy, Namer, check, planner::Planner};
use crate::{AddressScope, Prefix, private::Outsiders, remote_of};

/// Decides what is dialed. A handle: clones share the state.
#[derive(Clone)]
pub struct Dialer(Arc<Mutex<Planner>>);

impl Dialer {
    /// The dialer of the node `local`, which leaves `outsiders` alone.
    pub(crate) fn new(local: PeerId, outsiders: Outsiders) -> Self {
        Self(Arc::new(Mutex::new(Planner::new(local, outsiders))))
    }

    /// States that `by` named the addresses in the dial `id`. Must precede the dial; the addresses
    /// of a dial without this count as named by a person.
    pub fn expect(&self, id: ConnectionId, by: NamedBy) {
        self.lock().expect(id, by);
    }

    /// `peer` as a namer of addresses, if it is connected or was recently.
    #[must_use]
    pub fn namer(&self, peer: &PeerId) -> Option<Namer> {
        self.lock().namer(peer)
    }

    /// Those of `addresses` that `namer` may name.
    #[must_use]
    pub fn allowed(&self, namer: Namer, addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
        self.lock().allowed(namer, addresses)
    }

    /// Records that `namer` names `addresses` of `peer`. Dials of `peer` try those that `namer`
    /// may name.
    pub fn add_named(&self, namer: Namer, peer: PeerId, addresses: Vec<Multiaddr>) {
        self.lock().add_named(namer, peer, addresses);
    }

    /// Whether a host of `site` was dialed in the last ten minutes.
    #[must_use]
    pub fn has_contacted(&self, site: Prefix) -> bool {
        self.lock().contacts.is_recent(site, Instant::now())
    }

    /// Whether a global address of `peer` is known that leads through no relay.
    #[must_use]
    pub fn knows_global(&self, peer: &PeerId) -> bool {
        self.lock().knows_global(peer)
    }

    /// Replaces the known addresses of `peer`.
    pub fn replace(&self, peer: PeerId, addresses: Vec<(Multiaddr, NamedBy)>) {
        self.lock().book.replace(peer, addresses);
    }

    /// Records an address of `peer` that was seen on the local network. False if it may not be
    /// dialed.
    #[must_use]
    pub fn seen(&self, peer: PeerId, address: Multiaddr) -> bool {
        let mut planner = self.lock();
        let by = NamedBy::LocalNetwork;
        let is_allowed = check(&by, &address, &planner.subnets).is_ok();
        if is_allowed {
            planner.book.add(peer, address, by);
        }
        is_allowed
    }

    /// Forgets an address at which `peer` was not seen again.
    pub fn unseen(&self, peer: &PeerId, address: &Multiaddr) {
        self.lock().book.remove(peer, address);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Planner> {
        self.0.lock()
    }
}

/// Adds the known addresses of a peer to each dial of it, and denies dials that the policy
/// refuses.
///
/// Must come before all other behaviours that supply addresses.
pub struct Behaviour {
    dialer: Dialer,
    interfaces: Interfaces,
}

/// The source of our own subnets.
enum Interfaces {
    /// None yet: so far only addresses of this machine occurred.
    Unwatched,
    /// The system.
    Watched(Box<IfWatcher>),
    /// The listen addresses of the node, each with a prefix of usual length, as the system reports
    /// no subnets.
    Guessed,
}

impl Behaviour {
    /// The behaviour by which `dialer` decides.
    pub(crate) const fn new(dialer: Dialer) -> Self {
        Self {
            dialer,
            interfaces: Interfaces::Unwatched,
        }
    }

    /// The dialer, which decides what is dialed.
    #[must_use]
    pub fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    fn watch(&mut self, address: &Multiaddr) {
        let is_elsewhere = AddressScope::of(address) != Some(AddressScope::Loopback);
        if is_elsewhere && matches!(self.interfaces, Interfaces::Unwatched) {
            self.interfaces = IfWatcher::new().map_or_else(
                |error| {
                    tracing::debug!(%error, "cannot watch the interfaces: guessing our subnets");
                    Interfaces::Guessed
                },
                |watcher| Interfaces::Watched(Box::new(watcher)),
            );
        }
        if matches!(self.interfaces, Interfaces::Guessed)
            && let Some(ip) = crate::ip_of(address)
        {
            let prefix = if ip.is_ipv4() { 24 } else { 64 };
            let net = if_watch::IpNet::new(ip, prefix);
            // Both prefixes are valid for their address family.
            net.into_iter()
                .for_each(|net| self.dialer.lock().subnets.add(net));
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let begun = self
            .dialer
            .lock()
            .begin(id, peer, addresses, Instant::now());
        begun.map_err(ConnectionDenied::new)
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
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => {
                let remote = &remote_of(endpoint);
                self.watch(remote);
                let mut planner = self.dialer.lock();
                planner.connected(peer_id, connection_id, remote);
                if endpoint.is_dialer() {
                    planner.reached(connection_id, peer_id, remote);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                ..
            }) => self.dialer.lock().disconnected(peer_id, connection_id),
            FromSwarm::DialFailure(DialFailure {
                error,
                connection_id,
                ..
            }) => {
                let was_made = !matches!(
                    error,
                    DialError::NoAddresses | DialError::DialPeerConditionFalse(_)
                );
                self.dialer.lock().failed(connection_id, was_made);
            }
            FromSwarm::NewListenAddr(NewListenAddr { addr, .. }) => self.watch(addr),
            _ => {}
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
        let Interfaces::Watched(watcher) = &mut self.interfaces else {
            return Poll::Pending;
        };
        while let Poll::Ready(Some(event)) = watcher.poll_next_unpin(cx) {
            let subnets = &mut self.dialer.lock().subnets;
            match event {
                Ok(IfEvent::Up(net)) => subnets.add(net),
                Ok(IfEvent::Down(net)) => subnets.remove(&net),
                Err(error) => tracing::debug!(%error, "cannot read our subnets"),
            }
        }
        Poll::Pending
    }
}
