//! Memory that peers make a node hold: one budget for all connections.
//!
//! Each connection has an [`Account`] of what it holds: bytes received and not yet read, bytes
//! written and not yet sent, and the cost of keeping them. While the total is well below the
//! budget, all connections are read freely. When memory runs short, only connections that hold
//! less than a fair share are read, and after [`PATIENCE`] the one that holds the most is closed.
//! So the total stays below the budget, however many peers send without end: see [`Bounds`].

mod account;
mod held;
mod holder;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use self::holder::Holder;
use crate::Origin;

pub(crate) use account::Account;
pub(crate) use held::Overrun;

/// How long a connection may hold more than its share while memory is short.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Pause between two checks of which connection holds the most, once a connection has had its
/// time: this shows whether closing another one was enough.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// What all connections may hold. Pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// From here on, memory is short.
    soft: u64,
    /// Below this, it no longer is: lower than `soft`, so that the state does not change with
    /// every byte.
    relaxed: u64,
    /// What each connection may hold while memory is short. All of these shares fit between `soft`
    /// and the budget.
    share: u64,
}

impl Bounds {
    /// The bounds for a budget in bytes and a number of connections.
    pub(crate) const fn new(budget: u64, connections: u64) -> Self {
        let soft = budget / 4 * 3;
        let connections = if connections == 0 { 1 } else { connections };
        Self {
            soft,
            relaxed: soft / 16 * 15,
            share: (budget - soft) / connections,
        }
    }
}

/// The memory of all connections of a node. Clones share it.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Shared>);

struct Shared {
    bounds: Bounds,
    total: AtomicU64,
    is_short: AtomicBool,
    /// Connections closed because they held the most.
    closed: AtomicU64,
    /// When the last one of them was closed.
    last_closed: Mutex<Option<Instant>>,
    next: AtomicU64,
    holders: Mutex<HashMap<u64, Weak<Holder>>>,
}

impl Memory {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Shared {
            bounds,
            total: AtomicU64::new(0),
            is_short: AtomicBool::new(false),
            closed: AtomicU64::new(0),
            last_closed: Mutex::default(),
            next: AtomicU64::new(0),
            holders: Mutex::default(),
        }))
    }

    /// Adds a connection with a peer of `origin`.
    fn add(&self, origin: Origin) -> Arc<Holder> {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let holder = Arc::new(Holder::new(id, origin));
        self.holders().insert(id, Arc::downgrade(&holder));
        holder
    }

    /// Bytes held for all connections.
    pub(crate) fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }

    /// Connections that were closed because they held the most, so far.
    pub(crate) fn closed(&self) -> u64 {
        self.0.closed.load(Ordering::Relaxed)
    }

    /// Whether `holder` is to be closed now: it holds the most, and the last close was some time
    /// ago, so that it shows whether that one was enough. Counts it as closed.
    fn closes(&self, holder: &Holder) -> bool {
        let mut last = self.0.last_closed.lock();
        let is_early = last.is_some_and(|last| last.elapsed() < LOOK_INTERVAL);
        if is_early || !self.is_worst(holder) {
            return false;
        }
        *last = Some(Instant::now());
        self.0.closed.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Whether a connection that holds this much has to wait until there is more memory.
    pub(crate) fn has_to_wait(&self, held: u64) -> bool {
        self.0.is_short.load(Ordering::Relaxed) && held >= self.0.bounds.share
    }

    /// Records a change of what one connection holds.
    pub(crate) fn change(&self, before: u64, after: u64) {
        let shared = &self.0;
        if after > before {
            let more = after - before;
            let total = shared.total.fetch_add(more, Ordering::Relaxed) + more;
            if total >= shared.bounds.soft && !shared.is_short.swap(true, Ordering::Relaxed) {
                tracing::debug!(held = total, "memory for connections runs short");
                // Quiet connections that hold much have to notice that their time is running.
                self.each(Holder::wake);
            }
        } else if after < before {
            let less = before - after;
            let total = shared.total.fetch_sub(less, Ordering::Relaxed) - less;
            if total < shared.bounds.relaxed && shared.is_short.swap(false, Ordering::Relaxed) {
                self.each(Holder::resume);
            }
        }
    }

    /// Whether `holder` is the largest one of the origin that holds the most.
    fn is_worst(&self, holder: &Holder) -> bool {
        let mut by_origin: HashMap<Origin, (u64, (u64, u64))> = HashMap::new();
        // What closed connections still hold is freed when their streams are dropped.
        self.each(|other| {
            if other.is_closed() {
                return;
            }
            let (sum, largest) = by_origin.entry(other.origin()).or_default();
            *sum += other.charge();
            *largest = (*largest).max((other.charge(), other.id()));
        });
        let worst = by_origin.into_values().max();
        worst.is_some_and(|(_, (_, id))| id == holder.id())
    }

    fn forget(&self, holder: &Holder) {
        self.holders().remove(&holder.id());
    }

    fn each(&self, mut act: impl FnMut(&Holder)) {
        let holders: Vec<_> = self.holders().values().filter_map(Weak::upgrade).collect();
        holders.iter().for_each(|holder| act(holder));
    }

    fn holders(&self) -> MutexGuard<'_, HashMap<u64, Weak<Holder>>> {
        self.0.holders.lock()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memory").field(&self.total()).finish()
    }
}
