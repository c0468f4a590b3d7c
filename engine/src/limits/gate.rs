//! One limit, with its queue of waiters; and one limit for each active peer.

use std::{collections::HashMap, sync::Arc};

use libp2p::PeerId;
use tokio::{sync::Mutex, time::sleep};

use super::{Rate, bucket::Bucket};

/// A gate that bytes pass at a rate. The first waiter holds the lock, and the others queue for it
/// in order of arrival.
#[derive(Default)]
pub(super) struct Gate(Mutex<Option<Bucket>>);

impl Gate {
    /// Waits until `bytes`, at most a granule of `rate`, may pass. Cancel safe: dropping the
    /// future lets nothing pass.
    pub(super) async fn pass(&self, rate: Rate, bytes: u64) {
        let mut bucket = self.0.lock().await;
        let bucket = match &mut *bucket {
            Some(bucket) if bucket.rate() == rate => bucket,
            other => other.insert(Bucket::new(rate)),
        };
        while let Err(wait) = bucket.take(bytes) {
            sleep(wait).await;
        }
    }

    /// Whether a caller waits.
    pub(super) fn is_waited_for(&self) -> bool {
        self.0.try_lock().is_err()
    }

    fn is_disposable(&mut self) -> bool {
        self.0.get_mut().as_ref().is_none_or(Bucket::is_full)
    }
}

/// A gate for each peer. Gates equal to a new one are forgotten, so that about as many remain as
/// there are peers with traffic in the last moment.
#[derive(Default)]
pub(super) struct PeerGates(parking_lot::Mutex<HashMap<PeerId, Arc<Gate>>>);

impl PeerGates {
    pub(super) fn of(&self, peer: PeerId) -> Arc<Gate> {
        let mut gates = self.0.lock();
        // Only searched before it would grow: rarely enough to cost nothing.
        if gates.len() == gates.capacity() && !gates.contains_key(&peer) {
            let is_used =
                |gate: &mut Arc<Gate>| Arc::get_mut(gate).is_none_or(|gate| !gate.is_disposable());
            gates.retain(|_, gate| is_used(gate));
        }
        Arc::clone(gates.entry(peer).or_default())
    }

    /// Whether a caller waits for any of them.
    pub(super) fn any_waited_for(&self) -> bool {
        let gates = self.0.lock();
        gates.values().any(|gate| gate.is_waited_for())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}
