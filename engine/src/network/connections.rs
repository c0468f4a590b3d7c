//! Connections made and lost: requests to connect, dead connections, changes of our addresses, and
//! the outcome of dials.

use std::time::Instant;

use libp2p::{
    Multiaddr, PeerId, ping,
    swarm::{
        ConnectionId, DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use pelago_behaviour::{DEAD_SILENCE, dial::NamedBy, is_relayed, relay_of};
use tokio::sync::oneshot;

use super::{
    ConnectError, IdentityClash, event_loop::EventLoop, listen_addresses::AddressChange,
    peers::Left, pending_connects::connect_error, redial::DialReason,
};

impl EventLoop {
    pub(super) fn connect(
        &mut self,
        peer: Option<PeerId>,
        mut addresses: Vec<Multiaddr>,
        named_by: Option<PeerId>,
        reply: oneshot::Sender<Result<PeerId, ConnectError>>,
    ) {
        let local = *self.swarm.local_peer_id();
        // A relayed address of a peer of this relay.
        addresses.retain(|address| relay_of(address) != Some(local));
        // As many direct ones as are tried at a time may be dead.
        addresses.sort_by_key(|address| !is_relayed(address));
        if let Some(peer) = peer.filter(|peer| self.swarm.is_connected(peer)) {
            let _ = reply.send(Ok(peer));
            if named_by.is_none() {
                self.seek_direct(peer, NamedBy::User, &addresses);
            }
            return;
        }
        if let (Some(peer), true) = (peer, addresses.is_empty()) {
            self.seek_by_relays(peer);
        }
        if let (None, Some(address)) = (peer, addresses.first()) {
            // A second connection to the same address would be of no use.
            if let Some(peer) = self.peers.reached_at(address) {
                let _ = reply.send(Ok(peer));
                return;
            }
            if let Some(dial) = self.connects.dial_to(address) {
                self.connects.wait_at(address.clone(), dial, reply);
                return;
            }
        }
        let options = match (peer, addresses.first()) {
            // Another dial of this peer may know its addresses: join it instead of repeating it.
            (Some(peer), None) => DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .build(),
            (Some(peer), Some(_)) => DialOpts::peer_id(peer)
                .condition(PeerCondition::Disconnected)
                .addresses(addresses.clone())
                .extend_addresses_through_behaviour()
                .build(),
            (None, Some(address)) => DialOpts::unknown_peer_id().address(address.clone()).build(),
            (None, None) => {
                let _ = reply.send(Err(ConnectError::Failed(
                    "no address of the peer is known".into(),
                )));
                return;
            }
        };
        let Some(named_by) = self.named_by(named_by) else {
            let _ = reply.send(Err(ConnectError::Failed(
                "the peer that named its address has disconnected".into(),
            )));
            return;
        };
        let dial = options.connection_id();
        match self.dial(options, named_by) {
            Ok(()) if peer.is_none() => {
                self.connects.wait_at(addresses.swap_remove(0), dial, reply);
            }
            Ok(()) => self.connects.wait(peer, Some(dial), reply),
            Err(DialError::DialPeerConditionFalse(_)) => self.connects.wait(peer, None, reply),
            Err(error) => {
                let _ = reply.send(Err(connect_error(&error)));
            }
        }
    }

    /// Closes a connection that does not answer pings, unless bytes moved on it meanwhile: then
    /// the ping is only stuck behind them.
    pub(super) fn handle_ping(&mut self, event: &ping::Event) {
        let (peer, connection) = (event.peer, event.connection);
        match &event.result {
            Ok(rtt) => self.peers.round_trip(peer, *rtt),
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                let silence = self.swarm.behaviour().streams.silence(connection);
                if silence.is_some_and(|silence| silence < DEAD_SILENCE) {
                    return;
                }
                tracing::debug!(%peer, %error, "connection closed: it does not answer pings");
                self.peers.died(&peer, connection);
                self.swarm.close_connection(connection);
            }
        }
    }

    /// A connection was closed. A peer that may be there still is dialed again: only now, as it counts
    /// as connected until then.
    pub(super) fn connection_closed(&mut self, peer: PeerId, connection: ConnectionId) {
        match self.peers.disconnected(peer, connection) {
            Left::Connected => return,
            Left::Gone => {}
            Left::Lost => self.redial.lost(peer, Instant::now()),
        }
        self.departures.send_modify(|number| *number += 1);
    }

    pub(super) fn add_listen_address(&mut self, address: &Multiaddr) {
        let now = Instant::now();
        if self.listen_addresses.add(address) == AddressChange::Network {
            self.redial.address_changed(now);
        }
        self.own_addresses.listens(address);
        self.reconsider_reach(now);
    }

    pub(super) fn remove_listen_address(&mut self, address: &Multiaddr) {
        let now = Instant::now();
        let has_moved = self.listen_addresses.remove(address) == AddressChange::Network;
        if has_moved {
            self.redial.address_changed(now);
            self.redial.moved(self.peers.beyond_this_host(), now);
        }
        self.own_addresses.listens_no_more(address, has_moved);
        self.reconsider_reach(now);
    }

    pub(super) fn dial_failed(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        error: &DialError,
    ) {
        tracing::debug!(?peer, %error, "dial failed");
        let now = Instant::now();
        let reason = connect_error(error);
        self.connects.failed(connection, peer, &reason);
        if let DialError::LocalPeerId { address } = error {
            self.self_dials.outgoing(address.clone(), now);
            // A list of nodes that all of them use names each one to itself.
            self.redial.led_here(connection);
            return;
        }
        let Some(failed) = self.redial.failed(connection, &reason, now) else {
            return;
        };
        let node = failed.node;
        match failed.reason {
            DialReason::Asked(_) => tracing::warn!(
                %node, error = %reason,
                "cannot join the network there yet; retrying for as long as the command waits"
            ),
            _ => tracing::warn!(
                %node, error = %reason,
                "a bootstrap node is not reached; retrying with pauses of up to 60 s"
            ),
        }
    }

    /// The namer of addresses: a person, or `peer`, if it is connected or was recently.
    fn named_by(&self, peer: Option<PeerId>) -> Option<NamedBy> {
        let Some(peer) = peer else {
            return Some(NamedBy::User);
        };
        let namer = self.swarm.behaviour().dial.dialer().namer(&peer);
        namer.map(NamedBy::Peer)
    }

    /// The only place where this crate dials. `named_by` named the addresses in `options`.
    fn dial(&mut self, options: DialOpts, named_by: NamedBy) -> Result<(), DialError> {
        let dialer = self.swarm.behaviour().dial.dialer();
        dialer.expect(options.connection_id(), named_by);
        self.swarm.dial(options)
    }

    /// Dials without a caller that waits: the outcome arrives as an event.
    pub(super) fn dial_quietly(&mut self, options: DialOpts, named_by: NamedBy) {
        let connection = options.connection_id();
        let Err(error) = self.dial(options, named_by) else {
            return;
        };
        tracing::trace!(%error, "not dialed");
        let is_condition = matches!(error, DialError::DialPeerConditionFalse(_));
        if is_condition || matches!(connect_error(&error), ConnectError::Later) {
            self.redial.not_dialed(connection, Instant::now());
        } else {
            self.dial_failed(connection, None, &error);
        }
    }

    pub(super) fn report_clash(&mut self, clash: IdentityClash) {
        let is_news = self.clash.borrow().is_none();
        if is_news {
            tracing::warn!(
                address = %clash.address,
                "another node has the same identity as this one, so peers cannot tell them apart: \
                 was the data folder copied? `pelago doctor` says what to do"
            );
        }
        self.clash.send_replace(Some(clash));
    }
}
