//! Scenarios with requesters that ask for more than they take, stepped by a clock.

use std::time::{Duration, Instant};

use futures::FutureExt;

use super::{
    Buffers,
    grants::{BufferLimits, DrainRate, Grant, Grants},
};
use crate::serve::{request_queue::Ticket, requester::Requester};

const MIB: u64 = 1 << 20;
const LIMITS: BufferLimits = BufferLimits {
    total: 64 * MIB,
    per_peer: 16 * MIB,
};

/// A granted request, as its requester drains it.
struct Held {
    ticket: Ticket,
    grant: Grant,
    drain: DrainRate,
}

/// A node that serves, with a clock that the test moves.
struct World {
    grants: Grants,
    now: Instant,
    tickets: Ticket,
    held: Vec<Held>,
    /// Tickets of requests that were refused or lost their grant.
    lost: Vec<Ticket>,
}

impl World {
    fn new() -> Self {
        Self {
            grants: Grants::new(LIMITS),
            now: Instant::now(),
            tickets: 0,
            held: Vec::new(),
            lost: Vec::new(),
        }
    }

    fn ask(&mut self, requester: Requester, bytes: u64) -> Ticket {
        self.tickets += 1;
        let dropped = self.grants.wait(self.tickets, requester, bytes);
        self.lost.extend(dropped);
        self.grant();
        self.tickets
    }

    fn grant(&mut self) {
        while let Some((ticket, grant)) = self.grants.next(self.now) {
            let drain = DrainRate::default();
            self.held.push(Held {
                ticket,
                grant,
                drain,
            });
        }
    }

    /// Moves the clock by `time`, in which each requester takes the given number of bytes; ends
    /// the grants that are over.
    fn pass(&mut self, time: Duration, taken: impl Fn(&Requester) -> u64) {
        self.now += time;
        for held in &mut self.held {
            let taken = taken(&held.grant.requester).min(held.grant.bytes);
            let drain = &mut held.drain;
            self.grants
                .taken(&held.grant, drain, (taken, time), self.now);
        }
        let over: Vec<_> = self
            .held
            .extract_if(.., |held| {
                self.grants.is_over(&held.grant, held.drain, self.now)
            })
            .collect();
        for mut held in over {
            self.lost.push(held.ticket);
            self.grants.end(&mut held.grant, &mut held.drain, self.now);
        }
        self.grant();
    }

    fn holds(&self, ticket: Ticket) -> bool {
        self.held.iter().any(|held| held.ticket == ticket)
    }

    /// The requester takes all of it in `time`.
    fn finish(&mut self, ticket: Ticket, time: Duration) {
        let index = self.held.iter().position(|held| held.ticket == ticket);
        let mut held = self.held.swap_remove(index.unwrap());
        let bytes = held.grant.bytes;
        self.now += time;
        let (grant, drain) = (&mut held.grant, &mut held.drain);
        self.grants.taken(grant, drain, (bytes, time), self.now);
        self.grants.end(grant, drain, self.now);
        self.grant();
    }

    /// How many chunks of 1 MiB `requester` gets in `time`, one after the other, each taken in 10
    /// ms, while the others take a kilobyte in 8 s.
    fn chunks_in(&mut self, requester: Requester, time: Duration) -> usize {
        let (end, mut chunks) = (self.now + time, 0);
        while self.now < end {
            let ticket = self.ask(requester, MIB);
            while !self.holds(ticket) && self.now < end {
                self.pass(Duration::from_millis(100), |_| 15);
            }
            if self.holds(ticket) {
                self.finish(ticket, Duration::from_millis(10));
                chunks += 1;
            }
        }
        chunks
    }
}

/// Slow requesters ask for all that they may, and again whenever they lose it.
fn slow_ones(world: &mut World, addresses: impl Iterator<Item = String>) -> Vec<Requester> {
    let slow: Vec<_> = addresses.map(|address| Requester::at(&address)).collect();
    for _ in 0..8 {
        for requester in &slow {
            world.ask(*requester, 4 * MIB);
        }
    }
    slow
}

#[test]
fn slow_ids_on_one_address_hardly_slow_an_honest_peer_down() {
    let mut world = World::new();
    slow_ones(&mut world, (0..48).map(|_| "11.0.0.1".to_owned()));
    assert!(world.grants.depths().0 <= LIMITS.total / 2, "a host's part");
    let honest = Requester::at("11.0.1.1");
    let chunks = world.chunks_in(honest, Duration::from_secs(2));
    assert_eq!(chunks, 200, "as many as in a quiet run");
}

#[test]
fn slow_ids_in_as_many_networks_soon_yield() {
    let mut world = World::new();
    slow_ones(&mut world, (0..48).map(|n| format!("11.0.{n}.1")));
    let honest = Requester::at("12.0.0.1");
    // The honest peer starts behind newcomers that take nothing, which have no record yet.
    world.chunks_in(honest, Duration::from_secs(6));
    let chunks = world.chunks_in(honest, Duration::from_secs(2));
    assert!(chunks >= 150, "{chunks} of 200 in a quiet run");
    // Other ids in the same networks make no difference.
    slow_ones(&mut world, (0..48).map(|n| format!("11.0.{n}.2")));
    let chunks = world.chunks_in(honest, Duration::from_secs(2));
    assert!(chunks >= 150, "{chunks} of 200 in a quiet run");
}

#[test]
fn a_buffer_without_waiters_is_kept_however_slow_its_requester() {
    let mut world = World::new();
    let slow = Requester::at("11.0.0.1");
    let ticket = world.ask(slow, 4 * MIB);
    for _ in 0..600 {
        world.pass(Duration::from_secs(1), |_| 150);
    }
    assert!(world.holds(ticket) && world.lost.is_empty());
}

#[test]
fn a_modem_keeps_what_it_takes_in_time() {
    let mut world = World::new();
    let modem = Requester::at("11.0.0.1");
    for _ in 0..3 {
        let ticket = world.ask(modem, 16 << 10);
        for n in 0..200 {
            world.ask(Requester::at(&format!("11.1.{}.1", n % 250)), MIB);
        }
        world.pass(Duration::from_secs(1), |_| 16 << 10);
        assert!(!world.lost.contains(&ticket));
        world.held.clear();
        world.grants = Grants::new(LIMITS);
    }
}

#[test]
fn the_host_that_holds_least_is_next_and_on_it_the_peer_that_does() {
    let mut world = World::new();
    let [greedy, other] = ["11.0.0.1", "11.0.0.1"].map(Requester::at);
    for _ in 0..8 {
        world.ask(greedy, 4 * MIB);
    }
    let of_other = world.ask(other, 4 * MIB);
    assert!(world.holds(of_other), "a peer has its part, not its host's");
    let neighbour = Requester::at("11.0.0.2");
    for _ in 0..4 {
        world.ask(neighbour, 4 * MIB);
    }
    let elsewhere = world.ask(Requester::at("11.0.9.1"), 4 * MIB);
    assert!(
        world.holds(elsewhere),
        "a quarter is left to other networks"
    );
}

#[test]
fn when_too_many_wait_the_site_with_the_most_loses_its_last_one() {
    let mut world = World::new();
    for n in 0..17 {
        let requester = Requester::at(&format!("11.0.0.{n}"));
        for _ in 0..32 {
            world.ask(requester, 4 * MIB);
        }
    }
    world.lost.clear();
    let honest = world.ask(Requester::at("12.0.0.1"), 64 * MIB);
    assert_ne!(world.lost, [honest]);
}

#[tokio::test]
async fn a_request_that_is_given_up_takes_nothing_from_others() {
    let buffers = Buffers::new(4 * MIB, 4 * MIB);
    let [one, other] = ["11.0.0.1", "11.0.1.1"].map(Requester::at);
    let held = buffers.acquire(one, 4 * MIB).await.unwrap();
    assert!(buffers.acquire(other, MIB).now_or_never().is_none());
    assert_eq!(buffers.depths(), (4 * MIB, 0));
    held.shrink(MIB);
    assert!(buffers.acquire(other, MIB).now_or_never().is_some());
    drop(held);
    assert_eq!(buffers.depths(), (0, 0));
}
