//! A node as a relay: what it carries for members of its network, and how much.

use std::{
    collections::HashSet,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, relay};
use parking_lot::Mutex;

/// Reservations of peers, at most: a quarter of the connections that a node has by default.
pub const MAX_RESERVATIONS: usize = 64;

/// Circuits between two peers, at most.
pub const MAX_CIRCUITS: usize = 16;

/// Circuits of one peer, at most.
const MAX_CIRCUITS_PER_PEER: usize = 2;

/// How long a circuit may last.
const CIRCUIT_TIME: Duration = Duration::from_secs(600);

/// Bytes that a circuit carries, both ways together. Peers need a few KiB to agree on a direct
/// connection; where there is none, they open one circuit after the other.
const CIRCUIT_BYTES: u64 = 4 << 20;

/// How long a reservation lasts; its owner renews it before.
const RESERVATION_TIME: Duration = Duration::from_secs(3600);

const MINUTE: Duration = Duration::from_secs(60);

/// Reservations a minute: of one peer, from one address, and of all peers together. An address may
/// be that of a household.
const RESERVATIONS_PER_PEER: NonZeroU32 = NonZeroU32::MIN;
const RESERVATIONS_PER_ADDRESS: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);
const RESERVATIONS_OF_ALL: u32 = 30;

/// Circuits that one peer opens in a burst, and the pause after which it may open one more: what a
/// circuit carries takes 32 s at the rate of relayed content.
const CIRCUITS_AT_ONCE: NonZeroU32 = NonZeroU32::MIN.saturating_add(3);
const CIRCUIT_PAUSE: Duration = Duration::from_secs(20);

/// The connected peers that have shown to be of this network. Only these may use a relay: the
/// protocol of relays has the same name in all networks. A handle: clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Members(Arc<Mutex<HashSet<PeerId>>>);

impl Members {
    /// `peer` is connected and of this network.
    pub fn insert(&self, peer: PeerId) {
        self.0.lock().insert(peer);
    }

    /// `peer` is not connected any more.
    pub fn remove(&self, peer: &PeerId) {
        self.0.lock().remove(peer);
    }

    fn contains(&self, peer: &PeerId) -> bool {
        self.0.lock().contains(peer)
    }
}

/// The library's relay, with the bounds of this node.
pub type Relay = relay::Behaviour;

/// Lets a number of requests pass a minute.
struct PerMinute {
    most: u32,
    since: Option<Instant>,
    passed: u32,
}

impl PerMinute {
    const fn new(most: u32) -> Self {
        Self {
            most,
            since: None,
            passed: 0,
        }
    }

    fn lets_pass(&mut self, now: Instant) -> bool {
        let is_over = |since: Instant| now.saturating_duration_since(since) >= MINUTE;
        if self.since.is_none_or(is_over) {
            (self.since, self.passed) = (Some(now), 0);
        }
        let passes = self.passed < self.most;
        self.passed += u32::from(passes);
        passes
    }
}

/// A relay for `members`, which refuses all others. It is off until its status is set.
pub(crate) fn new(local: PeerId, members: &Members) -> Relay {
    let mut all = PerMinute::new(RESERVATIONS_OF_ALL);
    let [reserving, calling] = [members.clone(), members.clone()];
    // The first that refuses ends the check, so that strangers use up nothing.
    let config = relay::Config {
        max_reservations: MAX_RESERVATIONS,
        // The library compares both with `>`.
        max_reservations_per_peer: 0,
        max_circuits_per_peer: MAX_CIRCUITS_PER_PEER - 1,
        reservation_duration: RESERVATION_TIME,
        max_circuits: MAX_CIRCUITS,
        max_circuit_duration: CIRCUIT_TIME,
        max_circuit_bytes: CIRCUIT_BYTES,
        reservation_rate_limiters: vec![Box::new(
            move |peer: PeerId, _: &Multiaddr, _: Instant| reserving.contains(&peer),
        )],
        circuit_src_rate_limiters: vec![Box::new(
            move |peer: PeerId, _: &Multiaddr, _: Instant| calling.contains(&peer),
        )],
    };
    let mut config = config
        .reservation_rate_per_peer(RESERVATIONS_PER_PEER, MINUTE)
        .reservation_rate_per_ip(RESERVATIONS_PER_ADDRESS, MINUTE)
        .circuit_src_per_peer(CIRCUITS_AT_ONCE, CIRCUIT_PAUSE);
    let of_all = move |_: PeerId, _: &Multiaddr, now: Instant| all.lets_pass(now);
    config.reservation_rate_limiters.push(Box::new(of_all));
    let mut relay = relay::Behaviour::new(local, config);
    relay.set_status(Some(relay::Status::Disable));
    relay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_pass_a_minute() {
        let (mut requests, start) = (PerMinute::new(3), Instant::now());
        let mut passed = |seconds| {
            let now = start + Duration::from_secs(seconds);
            (0..10).filter(|_| requests.lets_pass(now)).count()
        };
        assert_eq!([0, 59, 60].map(&mut passed), [3, 0, 3]);
    }
}
