//! Permits for connections, and the account of all connections of a node.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use futures::future::AbortHandle;
use libp2p::{Multiaddr, PeerId};
use parking_lot::{Mutex, MutexGuard};

use super::{
    ConnectionKind, ConnectionsReport,
    capacity::Capacity,
    eviction,
    table::{Established, Handshake, Table},
};
use crate::{Origin, memory::Memory};

/// All connections of a node.
pub(crate) struct ConnectionPermits {
    capacity: Capacity,
    memory: Memory,
    /// Stands in for the ids of peers that have not proven theirs yet.
    unproven: PeerId,
    next: AtomicU64,
    evicted: AtomicU64,
    refused: AtomicU64,
    table: Mutex<Table>,
}

/// The right of a peer's handshake to continue. Dropping it returns it.
pub(super) struct HandshakePermit {
    permits: Arc<ConnectionPermits>,
    id: u64,
}

/// The right of a dial to continue. Dropping it returns it.
pub(super) struct DialPermit(Arc<ConnectionPermits>);

/// The right to one established connection. Dropping it returns it.
pub(super) struct ConnectionPermit {
    permits: Arc<ConnectionPermits>,
    pub(super) established: Arc<Established>,
}

impl ConnectionPermits {
    pub(super) fn new(capacity: Capacity, memory: Memory) -> Self {
        Self {
            capacity,
            memory,
            unproven: PeerId::random(),
            next: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            table: Mutex::default(),
        }
    }

    /// A permit for the handshake of a peer that calls from `address`, which it has not proven yet
    /// if it uses QUIC. `None` if the connection would be refused anyway. `abort` ends the
    /// handshake when others need its permit.
    pub(super) fn begin(
        self: &Arc<Self>,
        kind: ConnectionKind,
        address: &Multiaddr,
        abort: AbortHandle,
    ) -> Option<HandshakePermit> {
        let origin = Origin::new(self.unproven, address);
        let now = Instant::now();
        let mut table = self.table();
        // A peer that is refused before the handshake tries TCP; after the handshake it would
        // retry QUIC.
        if kind == ConnectionKind::Quic
            && table.choose_for_quic(&self.capacity, origin, true).is_err()
        {
            self.count_refused();
            return None;
        }
        let same_kind = table.pending.iter().filter(|(_, other)| other.kind == kind);
        let pending: Vec<_> = same_kind
            .map(|(id, other)| eviction::Pending {
                id: *id,
                origin: other.origin,
                since: other.since,
            })
            .collect();
        let most = self.capacity.pending_inbound;
        for victim in eviction::pending_victims(&pending, origin, most, now) {
            if let Some(victim) = table.pending.remove(&victim) {
                victim.abort.abort();
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let handshake = Handshake {
            kind,
            origin,
            since: now,
            abort,
        };
        table.pending.insert(id, handshake);
        Some(HandshakePermit {
            permits: Arc::clone(self),
            id,
        })
    }

    /// A permit for a dial of ours; `None` if too many are running, or if the connection would be
    /// refused.
    pub(super) fn dial(self: &Arc<Self>, kind: ConnectionKind) -> Option<DialPermit> {
        let mut table = self.table();
        let origin = Origin::new(self.unproven, &Multiaddr::empty());
        // Otherwise it would connect before the same peer is reached over TCP, and end
        // immediately.
        let is_in_vain = kind == ConnectionKind::Quic
            && table
                .choose_for_quic(&self.capacity, origin, false)
                .is_err();
        if is_in_vain || table.dials >= self.capacity.pending_outbound {
            self.count_refused();
            return None;
        }
        table.dials += 1;
        Some(DialPermit(Arc::clone(self)))
    }

    /// A permit for an established connection with `peer`, from or at `address`; `None` if the
    /// limit is reached and no other connection can be evicted.
    pub(super) fn establish(
        self: &Arc<Self>,
        kind: ConnectionKind,
        peer: PeerId,
        address: &Multiaddr,
        is_inbound: bool,
    ) -> Option<ConnectionPermit> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let established = Arc::new(Established::new(id, kind, peer, address, is_inbound));
        let mut table = self.table();
        let Ok(victim) = table.choose(&self.capacity, &established) else {
            self.count_refused();
            tracing::debug!(%peer, %address, "connection refused: the limit is reached");
            return None;
        };
        if let Some(victim) = victim.and_then(|victim| table.standing.remove(&victim)) {
            tracing::debug!(peer = %victim.peer, "connection closed in favour of another");
            self.evicted.fetch_add(1, Ordering::Relaxed);
            victim.evict();
        }
        table
            .standing
            .insert(established.id, Arc::clone(&established));
        drop(table);
        if kind == ConnectionKind::Quic {
            self.memory.change(0, self.capacity.quic_charge);
        }
        Some(ConnectionPermit {
            permits: Arc::clone(self),
            established,
        })
    }

    pub(super) fn report(&self) -> ConnectionsReport {
        let table = self.table();
        let of = |kind| table.count(|established| established.kind == kind);
        ConnectionsReport {
            tcp: of(ConnectionKind::Tcp),
            quic: of(ConnectionKind::Quic),
            relayed: of(ConnectionKind::Relayed),
            max: self.capacity.connections,
            max_quic: self.capacity.quic,
            pending: table.pending.len(),
            evicted: self.evicted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            ..ConnectionsReport::default()
        }
    }

    fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        self.permits.table().pending.remove(&self.id);
    }
}

impl Drop for DialPermit {
    fn drop(&mut self) {
        self.0.table().dials -= 1;
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let Self {
            permits,
            established,
        } = self;
        let mut table = permits.table();
        table.standing.remove(&established.id);
        let usefulness = established.activity.usefulness();
        table
            .history
            .note(established.origin, usefulness, Instant::now());
        drop(table);
        if established.kind == ConnectionKind::Quic {
            permits.memory.change(permits.capacity.quic_charge, 0);
        }
    }
}

impl fmt::Debug for ConnectionPermits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionPermits")
            .field(&self.report())
            .finish()
    }
}
