//! The connected peers, and what they report about themselves.

use std::{collections::HashMap, time::Duration};

use libp2p::{Multiaddr, PeerId, core::ConnectedPoint, multiaddr::Protocol, swarm::ConnectionId};

use pelago_behaviour::{AddressScope, MAX_ADDRESSES, Origin, Prefix, dial, is_relayed, remote_of};

use super::{PeerAddress, reach::Reach};

/// How a peer is connected, the best way last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Through a relay.
    Relayed,
    /// Directly, after both ends have dialed each other at the same time.
    Punched,
    /// Directly.
    Direct,
    /// Directly, within this machine or a private network.
    Lan,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The peer's id.
    pub peer_id: PeerId,
    /// The name that it reported, if any. Untrusted.
    pub name: Option<String>,
    /// The remote ends of our connections to it.
    pub addresses: Vec<Multiaddr>,
    /// The addresses at which it reports to listen: at most 16.
    pub listen_addresses: Vec<Multiaddr>,
    /// The latest round trip of a ping.
    pub rtt: Option<Duration>,
    /// Whether it opened a connection to this node, without a relay.
    pub is_inbound: bool,
    /// How it is connected.
    pub way: Way,
}

impl Peer {
    /// The address to send to others, with the peer's id: one at which it reports to listen, with
    /// the IP address of its connection. `None` until it reported one.
    #[must_use]
    pub fn best_address(&self) -> Option<Multiaddr> {
        let mut listen = self.listen_addresses.iter();
        let best = listen.find(|address| self.is_vouched(address))?;
        Some(best.clone().with(Protocol::P2p(self.peer_id)))
    }

    /// The addresses at which it reports to listen and that have the IP address of its connection;
    /// others may belong to anyone. Of a peer on this machine, all addresses count.
    #[must_use]
    pub fn vouched_addresses(&self) -> Vec<Multiaddr> {
        let is_here = self.addresses.iter().any(is_on_this_host);
        let listen = self.listen_addresses.iter();
        let vouched = listen.filter(|address| is_here || self.is_vouched(address));
        vouched.cloned().collect()
    }

    fn is_vouched(&self, address: &Multiaddr) -> bool {
        let mut remotes = self.addresses.iter();
        remotes.any(|remote| dial::is_vouched(remote, address))
    }
}

/// Whether a peer with this remote address is on this machine.
fn is_on_this_host(remote: &Multiaddr) -> bool {
    !is_relayed(remote) && Reach::of(remote) == Reach::Host
}

/// The other end of a connection.
pub(super) struct Remote {
    pub(super) address: Multiaddr,
    /// Whether the peer made the connection.
    pub(super) is_inbound: bool,
    /// Whether it was found to be dead, and is being closed.
    is_dead: bool,
    /// Whether both ends dialed each other.
    is_punched: bool,
    /// Whether the peer made the connection, and nothing of this node went to its site before.
    pub(super) is_unasked: bool,
}

impl Remote {
    fn way(&self) -> Way {
        match AddressScope::of(&self.address) {
            _ if !self.is_direct() => Way::Relayed,
            _ if self.is_punched => Way::Punched,
            None | Some(AddressScope::Global) => Way::Direct,
            Some(_) => Way::Lan,
        }
    }

    /// Whether it is connected without a relay.
    pub(super) fn is_direct(&self) -> bool {
        !is_relayed(&self.address)
    }
}

impl From<&ConnectedPoint> for Remote {
    fn from(endpoint: &ConnectedPoint) -> Self {
        Self {
            address: remote_of(endpoint),
            is_inbound: endpoint.is_listener(),
            is_dead: false,
            is_punched: false,
            is_unasked: false,
        }
    }
}

/// What the end of a connection means for its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// There is another connection to it.
    Connected,
    /// It is gone.
    Gone,
    /// The last connection to it died silently: it may be there still.
    Lost,
}

#[derive(Default)]
struct ConnectedPeer {
    connections: HashMap<ConnectionId, Remote>,
    is_identified: bool,
    name: Option<String>,
    listen_addresses: Vec<Multiaddr>,
    rtt: Option<Duration>,
}

impl ConnectedPeer {
    fn peer(&self, peer_id: PeerId) -> Peer {
        let remotes = self.connections.values();
        let mut direct = remotes.clone().filter(|remote| remote.is_direct());
        Peer {
            peer_id,
            name: self.name.clone(),
            addresses: remotes
                .clone()
                .map(|remote| remote.address.clone())
                .collect(),
            listen_addresses: self.listen_addresses.clone(),
            rtt: self.rtt,
            is_inbound: direct.any(|remote| remote.is_inbound),
            // A peer without connections is forgotten.
            way: remotes.map(Remote::way).max().unwrap_or(Way::Relayed),
        }
    }
}

/// All connected peers: as many as the connection limits allow.
#[derive(Default)]
pub(super) struct Peers {
    connected: HashMap<PeerId, ConnectedPeer>,
}

impl Peers {
    pub(super) fn connected(&mut self, peer: PeerId, connection: ConnectionId, remote: Remote) {
        self.connected
            .entry(peer)
            .or_default()
            .connections
            .insert(connection, remote);
    }

    /// A connection was found to be dead: it will be closed.
    pub(super) fn died(&mut self, peer: &PeerId, connection: ConnectionId) {
        let connected = self.connected.get_mut(peer);
        let remote = connected.and_then(|connected| connected.connections.get_mut(&connection));
        if let Some(remote) = remote {
            remote.is_dead = true;
        }
    }

    pub(super) fn disconnected(&mut self, peer: PeerId, connection: ConnectionId) -> Left {
        let Some(connected) = self.connected.get_mut(&peer) else {
            return Left::Gone;
        };
        let closed = connected.connections.remove(&connection);
        if !connected.connections.is_empty() {
            return Left::Connected;
        }
        self.connected.remove(&peer);
        match closed.is_some_and(|remote| remote.is_dead) {
            true => Left::Lost,
            false => Left::Gone,
        }
    }

    /// Whether all of them have reported about themselves.
    pub(super) fn are_identified(&self) -> bool {
        self.connected.values().all(|peer| peer.is_identified)
    }

    /// Records what `peer` reports about itself; returns those of its addresses that are
    /// plausible, given the connections to it.
    pub(super) fn identified(
        &mut self,
        peer: PeerId,
        name: Option<&str>,
        listen_addresses: Vec<Multiaddr>,
    ) -> Vec<Multiaddr> {
        let Some(connected) = self.connected.get_mut(&peer) else {
            return Vec::new();
        };
        let mut remotes = connected.connections.values();
        let is_here = remotes.any(|remote| is_on_this_host(&remote.address));
        let can_be_true = |address: &Multiaddr| match Reach::of(address) {
            Reach::Nowhere => false,
            Reach::Host => is_here,
            Reach::Beyond => true,
        };
        let plausible = listen_addresses.into_iter().filter(can_be_true);
        connected.listen_addresses = plausible.take(MAX_ADDRESSES).collect();
        connected.name = name.map(str::to_owned);
        connected.is_identified = true;
        connected.listen_addresses.clone()
    }

    pub(super) fn round_trip(&mut self, peer: PeerId, rtt: Duration) {
        if let Some(connected) = self.connected.get_mut(&peer) {
            connected.rtt = Some(rtt);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connected.is_empty()
    }

    /// Both ends have made this connection to `peer`.
    pub(super) fn punched(&mut self, peer: &PeerId, connection: ConnectionId) {
        if let Some(remote) = self.remote_mut(peer, connection) {
            remote.is_punched = true;
        }
    }

    /// `peer` has made this connection, and nothing of this node went to its site before.
    pub(super) fn came_unasked(&mut self, peer: &PeerId, connection: ConnectionId) {
        if let Some(remote) = self.remote_mut(peer, connection) {
            remote.is_unasked = true;
        }
    }

    /// Whether this node has dialed a host of `site`, and is connected there.
    pub(super) fn is_dialed_at(&self, site: Prefix) -> bool {
        let is_there = |peer: &PeerId, remote: &Remote| {
            !remote.is_inbound && Origin::new(*peer, &remote.address).site() == Some(site)
        };
        self.connected.iter().any(|(peer, connected)| {
            let mut remotes = connected.connections.values();
            remotes.any(|remote| is_there(peer, remote))
        })
    }

    fn remote_mut(&mut self, peer: &PeerId, connection: ConnectionId) -> Option<&mut Remote> {
        self.connected
            .get_mut(peer)?
            .connections
            .get_mut(&connection)
    }

    /// Whether `peer` is connected without a relay.
    pub(super) fn is_direct(&self, peer: &PeerId) -> bool {
        self.remotes(peer).any(|(_, remote)| remote.is_direct())
    }

    /// The other end of a connection to `peer`.
    pub(super) fn remote(&self, peer: &PeerId, connection: ConnectionId) -> Option<&Remote> {
        self.connected.get(peer)?.connections.get(&connection)
    }

    /// The connections to `peer` through relays.
    pub(super) fn relayed(&self, peer: &PeerId) -> Vec<ConnectionId> {
        let relayed = self.remotes(peer).filter(|(_, remote)| !remote.is_direct());
        relayed.map(|(connection, _)| *connection).collect()
    }

    /// Whether a peer with a global address is connected without a relay.
    pub(super) fn is_any_global(&self) -> bool {
        let remotes = self
            .connected
            .values()
            .flat_map(|peer| peer.connections.values());
        let mut direct = remotes.filter(|remote| remote.is_direct());
        direct.any(|remote| AddressScope::of(&remote.address) == Some(AddressScope::Global))
    }

    fn remotes(&self, peer: &PeerId) -> impl Iterator<Item = (&ConnectionId, &Remote)> {
        let connected = self.connected.get(peer).into_iter();
        connected.flat_map(|connected| &connected.connections)
    }

    /// The addresses at which this node has reached `peer`, of the open connections.
    pub(super) fn dialed(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let connected = self.connected.get(peer);
        let remotes = connected
            .into_iter()
            .flat_map(|connected| connected.connections.values());
        let dialed = remotes.filter(|remote| !remote.is_inbound);
        dialed
            .map(|remote| PeerAddress::from(remote.address.clone()).address().clone())
            .collect()
    }

    /// The peers that are on other machines.
    pub(super) fn beyond_this_host(&self) -> Vec<PeerId> {
        let is_beyond = |connected: &ConnectedPeer| {
            let mut remotes = connected.connections.values();
            remotes.any(|remote| Reach::of(&remote.address) == Reach::Beyond)
        };
        let beyond = self
            .connected
            .iter()
            .filter(|(_, connected)| is_beyond(connected));
        beyond.map(|(peer, _)| *peer).collect()
    }

    /// The peer at the other end of a connection that this node made to `address`.
    pub(super) fn reached_at(&self, address: &Multiaddr) -> Option<PeerId> {
        let is_there = |remote: &Remote| {
            // A dial by id leaves the id at the end of the address.
            let dialled = PeerAddress::from(remote.address.clone());
            !remote.is_inbound && dialled.address() == address
        };
        let mut connected = self.connected.iter();
        let (peer, _) =
            connected.find(|(_, connected)| connected.connections.values().any(is_there))?;
        Some(*peer)
    }

    pub(super) fn list(&self) -> Vec<Peer> {
        let connected = self.connected.iter();
        connected
            .map(|(id, connected)| connected.peer(*id))
            .collect()
    }

    pub(super) fn get(&self, peer: &PeerId) -> Option<Peer> {
        self.connected
            .get(peer)
            .map(|connected| connected.peer(*peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(address: &str, is_inbound: bool) -> Remote {
        Remote {
            address: address.parse().unwrap(),
            is_inbound,
            is_dead: false,
            is_punched: false,
            is_unasked: false,
        }
    }

    #[test]
    fn a_peer_is_lost_when_its_last_connection_dies_and_not_when_it_is_closed() {
        let peer = PeerId::random();
        let mut peers = Peers::default();
        let [first, second, third] = [1, 2, 3].map(ConnectionId::new_unchecked);
        for connection in [first, second] {
            peers.connected(peer, connection, remote("/ip4/10.0.0.2/tcp/9", true));
            peers.died(&peer, connection);
        }
        assert_eq!(peers.disconnected(peer, first), Left::Connected);
        assert_eq!(peers.disconnected(peer, second), Left::Lost);
        peers.connected(peer, third, remote("/ip4/10.0.0.2/tcp/9", true));
        peers.died(&peer, second);
        assert_eq!(peers.disconnected(peer, third), Left::Gone);
    }

    #[test]
    fn callers_from_where_this_node_has_dialed_come_as_answers() {
        let (peer, mut peers) = (PeerId::random(), Peers::default());
        let site = |text: &str| Origin::new(peer, &text.parse().unwrap()).site().unwrap();
        let [first, second] = [1, 2].map(ConnectionId::new_unchecked);
        peers.connected(peer, first, remote("/ip4/8.8.8.8/tcp/1", true));
        assert!(!peers.is_dialed_at(site("/ip4/8.8.8.8/tcp/1")));
        peers.came_unasked(&peer, first);
        assert!(peers.remote(&peer, first).unwrap().is_unasked);
        peers.connected(peer, second, remote("/ip4/9.9.9.9/tcp/1", false));
        assert!(peers.is_dialed_at(site("/ip4/9.9.9.7/tcp/1")));
    }

    #[test]
    fn the_best_connection_is_the_way_to_a_peer() {
        let (peer, mut peers) = (PeerId::random(), Peers::default());
        let way = |peers: &Peers| peers.get(&peer).unwrap().way;
        let relay = PeerId::random();
        let through = format!("/ip4/7.7.7.7/tcp/1/p2p/{relay}/p2p-circuit/p2p/{peer}");
        let [first, second, third] = [1, 2, 3].map(ConnectionId::new_unchecked);
        peers.connected(peer, first, remote(&through, true));
        assert_eq!(way(&peers), Way::Relayed);
        assert!(
            !peers.get(&peer).unwrap().is_inbound,
            "it did not reach this node"
        );
        assert!(!peers.is_direct(&peer) && !peers.is_any_global());
        peers.connected(peer, second, remote("/ip4/8.8.8.8/udp/1/quic-v1", true));
        assert_eq!(way(&peers), Way::Direct);
        peers.punched(&peer, second);
        assert_eq!(way(&peers), Way::Punched);
        assert_eq!(peers.relayed(&peer), [first]);
        assert!(peers.is_direct(&peer) && peers.is_any_global());
        peers.connected(peer, third, remote("/ip4/192.168.1.2/tcp/1", false));
        assert_eq!(way(&peers), Way::Lan);
    }

    #[test]
    fn one_peer_is_looked_up_as_it_is_listed() {
        let peer = PeerId::random();
        let mut peers = Peers::default();
        assert_eq!(peers.get(&peer), None);
        let connection = ConnectionId::new_unchecked(1);
        peers.connected(peer, connection, remote("/ip4/10.0.0.2/tcp/9", true));
        peers.identified(peer, Some("name"), Vec::new());
        assert_eq!(peers.list(), [peers.get(&peer).unwrap()]);
        peers.disconnected(peer, connection);
        assert_eq!(peers.get(&peer), None);
    }

    #[test]
    fn a_peer_is_found_by_the_address_that_was_dialled() {
        let [dialled, came] = [PeerId::random(), PeerId::random()];
        let address: Multiaddr = "/ip4/10.0.0.2/tcp/9".parse().unwrap();
        let mut peers = Peers::default();
        let [first, second] = [1, 2].map(ConnectionId::new_unchecked);
        peers.connected(came, first, remote("/ip4/10.0.0.2/tcp/9", true));
        assert_eq!(peers.reached_at(&address), None, "its port says nothing");
        peers.connected(dialled, second, remote("/ip4/10.0.0.2/tcp/9", false));
        assert_eq!(peers.reached_at(&address), Some(dialled));
        peers.disconnected(dialled, second);
        assert_eq!(peers.reached_at(&address), None);
    }

    #[test]
    fn loopback_addresses_of_a_peer_elsewhere_are_left_out() {
        let [here, there] = [PeerId::random(), PeerId::random()];
        let mut peers = Peers::default();
        peers.connected(
            here,
            ConnectionId::new_unchecked(1),
            remote("/ip4/127.0.0.1/tcp/9", false),
        );
        peers.connected(
            there,
            ConnectionId::new_unchecked(2),
            remote("/ip4/10.0.0.2/tcp/9", true),
        );
        let inbound = |peer| {
            peers
                .list()
                .iter()
                .any(|p| p.peer_id == peer && p.is_inbound)
        };
        assert_eq!([inbound(here), inbound(there)], [false, true]);
        let said: Vec<Multiaddr> = [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/10.0.0.2/tcp/1",
            "/ip4/0.0.0.0/tcp/1",
        ]
        .map(|address| address.parse().unwrap())
        .into();
        assert_eq!(peers.identified(here, None, said.clone()), said[..2]);
        assert_eq!(peers.identified(there, None, said.clone()), said[1..2]);
    }
}
