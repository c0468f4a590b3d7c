//! All connections of a node, and which one is evicted for another: translates the state into the
//! terms of `eviction.rs`.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    time::Instant,
};

use futures::{future::AbortHandle, task::AtomicWaker};
use libp2p::{Multiaddr, PeerId};

use super::{
    ConnectionKind,
    activity::Activity,
    capacity::Capacity,
    eviction::{self, Claim, EvictionCandidate},
    history::OriginHistory,
};
use crate::Origin;

/// Connections with one peer: TCP and QUIC, each dialed from both sides, and as many again that
/// still look alive after the peer has moved to another address.
const MAX_CONNECTIONS_PER_PEER: usize = 8;

/// Connections with one peer through relays: one that each side opened, through two relays each.
const MAX_RELAYED_PER_PEER: usize = 4;

/// All connections, handshakes and dials.
#[derive(Default)]
pub(super) struct Table {
    pub(super) pending: HashMap<u64, Handshake>,
    pub(super) dials: usize,
    pub(super) standing: HashMap<u64, Arc<Established>>,
    pub(super) history: OriginHistory,
}

pub(super) struct Handshake {
    pub(super) kind: ConnectionKind,
    pub(super) origin: Origin,
    pub(super) since: Instant,
    pub(super) abort: AbortHandle,
}

/// An established connection.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) id: u64,
    pub(super) peer: PeerId,
    pub(super) origin: Origin,
    pub(super) kind: ConnectionKind,
    is_inbound: bool,
    pub(super) activity: Activity,
    is_evicted: AtomicBool,
    task: AtomicWaker,
}

impl Established {
    pub(super) fn new(
        id: u64,
        kind: ConnectionKind,
        peer: PeerId,
        address: &Multiaddr,
        is_inbound: bool,
    ) -> Self {
        Self {
            id,
            peer,
            origin: Origin::new(peer, address),
            kind,
            is_inbound,
            activity: Activity::new(),
            is_evicted: AtomicBool::new(false),
            task: AtomicWaker::new(),
        }
    }

    /// Makes the connection end.
    pub(super) fn evict(&self) {
        self.is_evicted.store(true, Ordering::Relaxed);
        self.task.wake();
    }

    /// Whether the connection has to end; wakes `task` when it has to.
    pub(super) fn is_evicted(&self, task: &Waker) -> bool {
        self.task.register(task);
        self.is_evicted.load(Ordering::Relaxed)
    }
}

/// The limit is reached, and no other connection can be evicted.
#[derive(Debug)]
pub(super) struct NoPermit;

impl Table {
    /// The connection to evict for `established`, if any.
    pub(super) fn choose(
        &self,
        capacity: &Capacity,
        established: &Established,
    ) -> Result<Option<u64>, NoPermit> {
        if established.kind == ConnectionKind::Relayed {
            return self.choose_for_relayed(capacity, established);
        }
        let mut victim = self.choose_of_peer(established)?;
        if victim.is_none() && established.kind == ConnectionKind::Quic {
            victim = self.choose_for_quic(capacity, established.origin, established.is_inbound)?;
        }
        match victim {
            Some(victim) => Ok(Some(victim)),
            None => self.choose_of_all(capacity, established),
        }
    }

    fn choose_of_peer(&self, established: &Established) -> Result<Option<u64>, NoPermit> {
        let is_same = |other: &Established| other.peer == established.peer;
        if self.count(is_same) < MAX_CONNECTIONS_PER_PEER {
            return Ok(None);
        }
        let same = self.standing(is_same);
        eviction::victim(&same, established.origin, Claim::Ours)
            .map(Some)
            .ok_or(NoPermit)
    }

    pub(super) fn choose_for_quic(
        &self,
        capacity: &Capacity,
        origin: Origin,
        is_inbound: bool,
    ) -> Result<Option<u64>, NoPermit> {
        let is_quic = |other: &Established| other.kind == ConnectionKind::Quic;
        if self.count(is_quic) < capacity.quic {
            return Ok(None);
        }
        // QUIC connections are few, and TCP is as good: a newcomer of equal claim has to use TCP,
        // and dials of ours do not replace each other.
        let mut victim = eviction::victim(&self.standing(is_quic), origin, Claim::Fair);
        if victim.is_none() && !is_inbound {
            let of_peers = self.standing(|other| is_quic(other) && other.is_inbound);
            victim = eviction::victim(&of_peers, origin, Claim::Idle);
        }
        victim.map(Some).ok_or(NoPermit)
    }

    /// A relayed connection displaces other relayed ones only: it helps until there is a direct one.
    fn choose_for_relayed(
        &self,
        capacity: &Capacity,
        established: &Established,
    ) -> Result<Option<u64>, NoPermit> {
        let is_relayed = |other: &Established| other.kind == ConnectionKind::Relayed;
        let is_same = |other: &Established| is_relayed(other) && other.peer == established.peer;
        let (candidates, claim) = if self.count(is_same) >= MAX_RELAYED_PER_PEER {
            (self.standing(is_same), Claim::Ours)
        } else if self.count(is_relayed) >= capacity.relayed
            || self.standing.len() >= capacity.connections
        {
            (self.standing(is_relayed), Claim::Idle)
        } else {
            return Ok(None);
        };
        eviction::victim(&candidates, established.origin, claim)
            .map(Some)
            .ok_or(NoPermit)
    }

    fn choose_of_all(
        &self,
        capacity: &Capacity,
        established: &Established,
    ) -> Result<Option<u64>, NoPermit> {
        let inbound = self.count(|other| other.is_inbound);
        let are_many = established.is_inbound && inbound >= capacity.inbound;
        if self.standing.len() < capacity.connections && !are_many {
            return Ok(None);
        }
        // Our own dials and those of peers get half of the connections each, if both need them.
        let are_few = inbound < capacity.connections / 2;
        let all = self.standing(|other| other.is_inbound || are_few);
        let claim = if established.is_inbound {
            Claim::Idle
        } else {
            Claim::Ours
        };
        eviction::victim(&all, established.origin, claim)
            .map(Some)
            .ok_or(NoPermit)
    }

    pub(super) fn count(&self, is_meant: impl Fn(&Established) -> bool) -> usize {
        self.standing
            .values()
            .filter(|established| is_meant(established))
            .count()
    }

    fn standing(&self, is_meant: impl Fn(&Established) -> bool) -> Vec<EvictionCandidate> {
        let meant = self
            .standing
            .values()
            .filter(|established| is_meant(established));
        meant
            .map(|established| EvictionCandidate {
                id: established.id,
                origin: established.origin,
                is_used: established.activity.is_used(),
                is_busy: established.activity.is_busy(),
                idle: established.activity.idle(),
                usefulness: self.history.of(established.origin),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: u64 = 16 << 20;

    fn established(id: u64, kind: ConnectionKind, address: &str, is_inbound: bool) -> Established {
        let address = address.parse().unwrap();
        Established::new(id, kind, PeerId::random(), &address, is_inbound)
    }

    fn table(all: impl IntoIterator<Item = Established>) -> Table {
        let standing = all
            .into_iter()
            .map(|established| (established.id, Arc::new(established)));
        Table {
            standing: standing.collect(),
            ..Table::default()
        }
    }

    #[test]
    fn dials_over_quic_displace_idle_strangers_and_not_each_other() {
        let capacity = Capacity::new(CAPACITY);
        let [first, second] = ["/ip4/8.8.8.8/udp/1/quic-v1", "/ip4/9.9.9.9/udp/1/quic-v1"];
        let newcomer = established(9, ConnectionKind::Quic, "/ip4/7.7.7.7/udp/1/quic-v1", false);
        let both = |is_inbound| {
            table([
                established(1, ConnectionKind::Quic, first, false),
                established(2, ConnectionKind::Quic, second, is_inbound),
            ])
        };
        assert_eq!(both(true).choose(&capacity, &newcomer).unwrap(), Some(2));
        assert!(both(false).choose(&capacity, &newcomer).is_err());
        let by_tcp = established(9, ConnectionKind::Tcp, "/ip4/7.7.7.7/tcp/1", false);
        assert_eq!(both(false).choose(&capacity, &by_tcp).unwrap(), None);
    }

    #[test]
    fn dials_of_ours_come_in_when_peers_have_all_places() {
        let capacity = Capacity::new(CAPACITY);
        let places = 0..capacity.connections as u64;
        let full =
            table(places.map(|id| established(id, ConnectionKind::Tcp, "/memory/1", id > 0)));
        let newcomer = established(99, ConnectionKind::Tcp, "/ip4/7.7.7.7/tcp/1", false);
        let victim = full.choose(&capacity, &newcomer).unwrap().unwrap();
        assert_ne!(victim, 0, "one that a peer made");
        // Connections from which this node takes content stay.
        full.standing
            .values()
            .for_each(|established| established.activity.taken(1 << 20));
        assert!(full.choose(&capacity, &newcomer).is_err());
    }

    #[test]
    fn relayed_connections_displace_each_other_and_no_direct_one() {
        let capacity = Capacity::new(CAPACITY);
        let through = |relay: u64| format!("/ip4/8.8.{relay}.8/tcp/4001/p2p-circuit");
        let relayed = |id| established(id, ConnectionKind::Relayed, &through(id), true);
        let places = capacity.connections as u64;
        let direct = |id| established(id, ConnectionKind::Tcp, "/memory/1", true);
        let full = table((0..places).map(direct));
        assert!(full.choose(&capacity, &relayed(99)).is_err());
        let some = table((0..capacity.relayed as u64).map(relayed));
        let victim = some.choose(&capacity, &relayed(99)).unwrap();
        assert!(victim.is_some());
        assert_eq!(some.choose(&capacity, &direct(99)).unwrap(), None);
    }

    #[test]
    fn a_peer_that_connects_too_often_displaces_itself() {
        let capacity = Capacity::new(CAPACITY);
        let peer = PeerId::random();
        let address = "/memory/1".parse().unwrap();
        let new = |id| Established::new(id, ConnectionKind::Tcp, peer, &address, true);
        let mut all: Vec<_> = (0..MAX_CONNECTIONS_PER_PEER as u64).map(new).collect();
        all.push(established(50, ConnectionKind::Tcp, "/memory/1", true));
        let victim = table(all).choose(&capacity, &new(99)).unwrap().unwrap();
        assert!(victim < MAX_CONNECTIONS_PER_PEER as u64);
    }
}
