//! The activity of a connection, shared by its stream, its requests and the listener.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::Notify, time::Instant};

use super::activity::Activity;

/// The activity of a connection, and a way to evict it.
#[derive(Debug)]
pub(super) struct SharedActivity {
    activity: Mutex<Activity>,
    /// Notified when the connection is to close.
    evicted: Notify,
}

impl SharedActivity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            activity: Mutex::new(Activity::new(Instant::now())),
            evicted: Notify::new(),
        })
    }

    /// Asks the connection to close, unless a request has come meanwhile.
    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// Returns when the connection is to close.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock()
    }

    pub(super) fn read_bytes(&self, bytes: usize) {
        self.lock().read_bytes(bytes as u64, Instant::now());
    }

    pub(super) fn write_blocked(&self) {
        self.lock().write_blocked(Instant::now());
    }
}

/// Marks the connection as answering a request, until this is dropped.
pub(super) struct ActiveRequest(Arc<SharedActivity>);

impl ActiveRequest {
    pub(super) fn new(noted: &Arc<SharedActivity>) -> Self {
        noted.lock().begin(Instant::now());
        Self(Arc::clone(noted))
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.lock().end(Instant::now());
    }
}
