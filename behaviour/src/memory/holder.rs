//! One connection as [`Memory`](super::Memory) sees it: what it holds, and the tasks to wake.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    task::Waker,
};

use futures::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};

use super::held::Held;
use crate::Origin;

/// A connection that holds memory.
pub(super) struct Holder {
    id: u64,
    origin: Origin,
    /// What `held` amounts to, in bytes, readable without the lock.
    charge: AtomicU64,
    held: Mutex<Held>,
    is_closed: AtomicBool,
    /// The task of the connection.
    task: AtomicWaker,
}

impl Holder {
    pub(super) fn new(id: u64, origin: Origin) -> Self {
        Self {
            id,
            origin,
            charge: AtomicU64::new(0),
            held: Mutex::default(),
            is_closed: AtomicBool::new(false),
            task: AtomicWaker::new(),
        }
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) const fn origin(&self) -> Origin {
        self.origin
    }

    /// Bytes that the connection holds.
    pub(super) fn charge(&self) -> u64 {
        self.charge.load(Ordering::Relaxed)
    }

    pub(super) fn set_charge(&self, bytes: u64) {
        self.charge.store(bytes, Ordering::Relaxed);
    }

    /// Whether the connection is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    pub(super) fn set_closed(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// Registers the task of the connection, which [`wake`](Self::wake) wakes.
    pub(super) fn register(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Wakes the task of the connection.
    pub(super) fn wake(&self) {
        self.task.wake();
    }

    /// Wakes all tasks that wait for memory: there is enough again.
    pub(super) fn resume(&self) {
        let (reader, writers) = {
            let mut held = self.lock();
            (held.reader.take(), held.writers())
        };
        reader.into_iter().chain(writers).for_each(Waker::wake);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock()
    }
}
