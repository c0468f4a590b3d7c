//! Locking without a panic: the state under the store's locks is whole after every statement, so
//! a thread that panicked while holding one has left nothing half-changed.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the lock, also after another thread panicked while holding it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
