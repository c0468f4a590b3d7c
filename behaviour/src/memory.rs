//! Memory that peers make a node hold: one budget for all connections.
//!
//! Each connection has an [`Account`] of what it holds: bytes received and not yet read, bytes
//! written and not yet sent, and the cost of keeping them. While the total is well below the
//! budget, all connections are read freely. When memory runs short, only connections that hold
//! less than a fair share are read, and after [`PATIENCE`] the one that holds the most is closed.
//! So the total stays below the budget, however many peers send without end: see [`Bounds`].

mod account;
mod held;

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
    next: AtomicU64,
    accounts: Mutex<HashMap<u64, Weak<Account>>>,
}

impl Memory {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Shared {
            bounds,
            total: AtomicU64::new(0),
            is_short: AtomicBool::new(false),
            closed: AtomicU64::new(0),
            next: AtomicU64::new(0),
            accounts: Mutex::default(),
        }))
    }

    /// Opens an account for a connection with a peer of `origin`.
    pub(crate) fn open(&self, origin: Origin) -> Arc<Account> {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let account = Arc::new(Account::new(id, origin, self.clone()));
        self.accounts().insert(id, Arc::downgrade(&account));
        account
    }

    /// Bytes held for all connections.
    pub(crate) fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }

    /// Connections that were closed because they held the most, so far.
    pub(crate) fn closed(&self) -> u64 {
        self.0.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn count_closed(&self) {
        self.0.closed.fetch_add(1, Ordering::Relaxed);
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
                self.each(|account| account.wake());
            }
        } else if after < before {
            let less = before - after;
            let total = shared.total.fetch_sub(less, Ordering::Relaxed) - less;
            if total < shared.bounds.relaxed && shared.is_short.swap(false, Ordering::Relaxed) {
                self.each(|account| account.resume());
            }
        }
    }

    /// Whether `account` is the largest one of the origin that holds the most.
    fn is_worst(&self, account: &Account) -> bool {
        let mut by_origin: HashMap<Origin, (u64, (u64, u64))> = HashMap::new();
        // What closed connections still hold is freed when their streams are dropped.
        self.each(|other| {
            if other.is_closed() {
                return;
            }
            let (sum, largest) = by_origin.entry(other.origin()).or_default();
            *sum += other.held();
            *largest = (*largest).max((other.held(), other.id()));
        });
        let worst = by_origin.into_values().max();
        worst.is_some_and(|(_, (_, id))| id == account.id())
    }

    fn forget(&self, account: u64) {
        self.accounts().remove(&account);
    }

    fn each(&self, mut act: impl FnMut(&Account)) {
        let accounts: Vec<_> = self.accounts().values().filter_map(Weak::upgrade).collect();
        accounts.iter().for_each(|account| act(account));
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<u64, Weak<Account>>> {
        self.0.accounts.lock()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memory").field(&self.total()).finish()
    }
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn memory(budget: u64, connections: u64) -> Memory {
        Memory::new(Bounds::new(budget, connections))
    }

    fn at(address: &str) -> Origin {
        Origin::new(PeerId::random(), &address.parse().unwrap())
    }

    fn fill(account: &Account, bytes: u64) {
        account.fill(bytes);
    }

    #[test]
    fn nobody_waits_while_there_is_enough() {
        let memory = memory(16 * MIB, 16);
        let account = memory.open(at("/ip4/8.8.8.8/tcp/1"));
        fill(&account, 11 * MIB);
        assert!(!memory.has_to_wait(account.held()));
    }

    #[test]
    fn all_shares_fit_between_the_bound_and_the_budget() {
        let connections = 16;
        let memory = memory(16 * MIB, connections);
        let accounts: Vec<_> = (0..connections)
            .map(|_| memory.open(at("/memory/1")))
            .collect();
        fill(&accounts[0], 12 * MIB);
        for account in &accounts {
            while !memory.has_to_wait(account.held()) {
                fill(account, 1024);
            }
        }
        assert!(memory.total() <= 16 * MIB, "{}", memory.total());
    }

    #[test]
    fn the_worst_is_the_largest_of_the_origin_that_holds_the_most() {
        let memory = memory(16 * MIB, 16);
        let [first, second] = [(); 2].map(|()| memory.open(at("/ip4/8.8.8.8/tcp/1")));
        let other = memory.open(at("/ip4/9.9.9.9/tcp/1"));
        fill(&first, 3 * MIB);
        fill(&second, 2 * MIB);
        fill(&other, 4 * MIB);
        assert!(memory.is_worst(&first));
        assert!(!memory.is_worst(&second) && !memory.is_worst(&other));
        drop(first);
        assert!(memory.is_worst(&other));
        assert_eq!(memory.total(), 6 * MIB);
    }

    #[test]
    fn memory_is_no_longer_short_once_somebody_leaves() {
        let memory = memory(16 * MIB, 16);
        let [worst, small] = [(); 2].map(|()| memory.open(at("/memory/1")));
        fill(&worst, 12 * MIB);
        fill(&small, MIB);
        assert!(memory.has_to_wait(small.held()));
        assert!(!memory.has_to_wait(100), "who holds little goes on");
        drop(worst);
        assert!(!memory.has_to_wait(small.held()));
    }
}
