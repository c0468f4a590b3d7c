//! Punching holes: two nodes that are connected through a relay dial each other at the same time.

use std::{
    collections::HashSet,
    net::IpAddr,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    dcutr,
    swarm::{
        ConnectionDenied, ConnectionId, DialFailure, FromSwarm, NetworkBehaviour,
        NewExternalAddrCandidate, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};
use thiserror::Error;

use crate::{
    dial::{Dialer, NamedBy},
    ip_of,
};

/// Addresses of a peer that are tried at once, at most.
const MAX_ADDRESSES: usize = 8;

/// Hosts among these, at most: a node has one for each network that it is in.
const MAX_HOSTS: usize = 4;

/// A peer named more addresses for a direct connection than a node has.
#[derive(Debug, Error)]
#[error("the peer named more than {MAX_ADDRESSES} addresses or {MAX_HOSTS} hosts to dial")]
struct TooMany;

/// An attempt at a direct connection has ended.
#[derive(Debug)]
pub struct PunchEvent {
    /// The peer.
    pub peer: PeerId,
    /// The direct connection, if there is one now.
    pub connection: Option<ConnectionId>,
}

/// The library's behaviour, which learns from the owner of the swarm where this node is seen, and
/// dials by the policy of all dials.
pub struct Punch {
    dcutr: dcutr::Behaviour,
    local: PeerId,
    dialer: Dialer,
    /// Its dials that have not begun.
    dials: HashSet<ConnectionId>,
}

impl Punch {
    pub(crate) fn new(local: PeerId, dialer: Dialer) -> Self {
        Self {
            dcutr: dcutr::Behaviour::new(local),
            local,
            dialer,
            dials: HashSet::new(),
        }
    }

    pub(crate) const fn local(&self) -> PeerId {
        self.local
    }

    /// Another node sees this one at `address`. What identify makes of it has the port at which
    /// this node listens, which is wrong behind every router that moves ports.
    pub fn seen_at(&mut self, address: &Multiaddr) {
        let candidate = NewExternalAddrCandidate { addr: address };
        self.dcutr
            .on_swarm_event(FromSwarm::NewExternalAddrCandidate(candidate));
    }
}

fn are_plausible(addresses: &[Multiaddr]) -> bool {
    let hosts: HashSet<Option<IpAddr>> = addresses.iter().map(ip_of).collect();
    addresses.len() <= MAX_ADDRESSES && hosts.len() <= MAX_HOSTS
}

impl NetworkBehaviour for Punch {
    type ConnectionHandler = <dcutr::Behaviour as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = PunchEvent;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.dcutr
            .handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: Option<PeerId>,
        addresses: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        match self.dials.remove(&id) && !are_plausible(addresses) {
            true => Err(ConnectionDenied::new(TooMany)),
            false => Ok(Vec::new()),
        }
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.dcutr
            .handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::DialFailure(DialFailure { connection_id, .. }) = event {
            self.dials.remove(&connection_id);
        }
        // Those of identify: see `seen_at`.
        if !matches!(event, FromSwarm::NewExternalAddrCandidate(_)) {
            self.dcutr.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.dcutr.on_connection_handler_event(peer, id, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        while let Poll::Ready(event) = self.dcutr.poll(cx) {
            if let ToSwarm::Dial { opts } = &event {
                // It is connected through a relay, or was a moment ago.
                let namer = opts.get_peer_id().and_then(|peer| self.dialer.namer(&peer));
                let Some(namer) = namer else { continue };
                let id = opts.connection_id();
                self.dialer.expect(id, NamedBy::Peer(namer));
                self.dials.insert(id);
            }
            return Poll::Ready(event.map_out(|event| PunchEvent {
                peer: event.remote_peer_id,
                connection: event.result.ok(),
            }));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(number: usize, host: impl Fn(usize) -> usize) -> Vec<Multiaddr> {
        let address = |n| format!("/ip4/7.7.7.{}/udp/{}/quic-v1", host(n), 2000 + n);
        (0..number).map(|n| address(n).parse().unwrap()).collect()
    }

    #[test]
    fn a_peer_names_few_addresses_and_fewer_hosts() {
        assert!(are_plausible(&addresses(MAX_ADDRESSES, |n| n % MAX_HOSTS)));
        assert!(!are_plausible(&addresses(MAX_ADDRESSES + 1, |_| 1)));
        assert!(!are_plausible(&addresses(MAX_HOSTS + 1, |n| n)));
    }
}
