//! Which chunk is asked of whom. Pure: events and the time go in, actions come out.
//!
//! A block is in one of three places: missing, in flight at one source, or verified. Each source has
//! a window of bytes in flight and a level of its own, both found from its measured rate: a chunk
//! shall take about [`CHUNK_TIME`], so that a slow source holds little and a fast one is asked
//! rarely. A source that fails gives its chunks back at once.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_content::{BLOCK_SIZE, BlockRanges, Chunk, Geometry};

use crate::limits::{Rate, Rates};

/// How long one chunk should take from one source; the design's bound is about 2 s.
const CHUNK_TIME: Duration = Duration::from_millis(500);

/// The level of a source's first request, before its rate is known: 256 KiB.
const FIRST_LEVEL: u8 = 4;

/// The highest level asked for: 1 MiB. Larger chunks gained nothing on loopback and cost memory on
/// both sides (docs/PROTOCOL.md).
const MAX_LEVEL: u8 = 6;

/// Bytes in flight at a source before its rate is known.
const FIRST_WINDOW: u64 = 4 << 20;

/// How long what is in flight may take: long enough to keep a distant source busy.
const WINDOW_TIME: Duration = Duration::from_secs(2);

/// How much of the newest measurement enters a source's rate.
const RATE_WEIGHT: f64 = 0.3;

/// Failures in a row after which a source is given up.
const MAX_FAILURES: u32 = 5;

/// How long a busy source is left in peace at least: one that asks for no patience at all would be
/// asked for the same chunks again and again, and others would never get to them.
const MIN_BUSY: Duration = Duration::from_millis(100);

/// What the scheduler wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Ask the source for the chunk.
    Request(PeerId, Chunk),
    /// Stop using the source.
    Drop(PeerId),
}

/// Why a chunk did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The source asks for patience.
    Busy(Duration),
    /// The source does not have it after all.
    Absent,
}

struct InFlight {
    chunk: Chunk,
    asked: Instant,
}

struct Source {
    has: BlockRanges,
    in_flight: Vec<InFlight>,
    bytes_in_flight: u64,
    /// Bytes a second, once measured.
    rate: Option<f64>,
    last_arrival: Option<Instant>,
    paused_until: Option<Instant>,
    failures: u32,
}

/// The scheduler of one download.
pub(super) struct Scheduler {
    geometry: Geometry,
    max_window: u64,
    limits: Rates,
    missing: BlockRanges,
    sources: HashMap<PeerId, Source>,
    /// Sources in the order they joined: who is asked first does not depend on chance.
    order: Vec<PeerId>,
}

impl Scheduler {
    /// Schedules what `verified` lacks of content with `geometry`, with at most `max_window` bytes in
    /// flight at one source.
    pub(super) fn new(geometry: Geometry, verified: &BlockRanges, max_window: u64) -> Self {
        let mut all = BlockRanges::default();
        all.insert(0..geometry.blocks());
        let missing = all.difference(verified);
        Self {
            geometry,
            max_window,
            limits: Rates::default(),
            missing,
            sources: HashMap::new(),
            order: Vec::new(),
        }
    }

    /// Content comes no faster than `limits`. What is asked for sooner than it may be read would keep
    /// a source waiting to send it, until it takes that for a stall.
    pub(super) fn limit(&mut self, limits: Rates) {
        self.limits = limits;
    }

    /// A source has `blocks`, on top of what it had before.
    pub(super) fn has(&mut self, peer: PeerId, blocks: &BlockRanges) {
        let source = self.sources.entry(peer).or_insert_with(|| {
            self.order.push(peer);
            Source::new()
        });
        source.has = source.has.union(blocks);
    }

    /// The source is gone: what it was asked for is missing again.
    pub(super) fn left(&mut self, peer: PeerId) {
        self.order.retain(|other| *other != peer);
        if let Some(source) = self.sources.remove(&peer) {
            for request in source.in_flight {
                self.missing.insert(request.chunk.blocks(self.geometry));
            }
        }
    }

    /// The chunk has come from the source and is verified and written.
    pub(super) fn arrived(&mut self, peer: PeerId, chunk: Chunk, now: Instant) {
        let bytes = self.bytes(chunk);
        if let Some((source, asked)) = self.take_in_flight(peer, chunk) {
            source.measure(bytes, asked, now);
            source.failures = 0;
        }
    }

    /// The chunk did not come.
    pub(super) fn failed(&mut self, peer: PeerId, chunk: Chunk, failure: Failure, now: Instant) {
        let blocks = chunk.blocks(self.geometry);
        let Some((source, _)) = self.take_in_flight(peer, chunk) else {
            return;
        };
        match failure {
            Failure::Busy(wait) => source.paused_until = Some(now + wait.max(MIN_BUSY)),
            Failure::Absent => {
                source.has.remove(blocks.clone());
                source.failures += 1;
            }
        }
        self.missing.insert(blocks);
    }

    /// What is to be done now.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        // One chunk each in turn, so that the first source does not take all there is.
        let mut asking = self.order.clone();
        while !asking.is_empty() {
            asking.retain(|peer| {
                if self.sources.get(peer).is_some_and(|s| self.has_failed(s)) {
                    self.left(*peer);
                    actions.push(Action::Drop(*peer));
                    return false;
                }
                let chunk = self.next_for(*peer, now);
                actions.extend(chunk.map(|chunk| Action::Request(*peer, chunk)));
                chunk.is_some()
            });
        }
        actions
    }

    /// When to poll again though nothing has happened.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.sources
            .values()
            .filter_map(|source| source.paused_until)
            .min()
    }

    /// Whether some source has, or is about to send, something that is missing. If not, only another
    /// source or news of these can help.
    pub(super) fn can_go_on(&self) -> bool {
        self.sources
            .values()
            .any(|source| !source.in_flight.is_empty() || self.is_of_use(source))
    }

    /// Whether every block is verified, or on its way to be.
    pub(super) fn is_done(&self) -> bool {
        self.missing.is_empty() && self.sources.values().all(|s| s.in_flight.is_empty())
    }

    /// Whether the source has claimed too often what it does not have, or all that it claimed.
    fn has_failed(&self, source: &Source) -> bool {
        let is_spent = || source.in_flight.is_empty() && !self.is_of_use(source);
        source.failures >= MAX_FAILURES || source.failures > 0 && is_spent()
    }

    fn is_of_use(&self, source: &Source) -> bool {
        first_common(&self.missing, &source.has).is_some()
    }

    fn next_for(&mut self, peer: PeerId, now: Instant) -> Option<Chunk> {
        let rate = self.expected_rate(peer);
        let is_full = self.is_full();
        let source = self.sources.get_mut(&peer)?;
        if source.paused_until.is_some_and(|until| until > now) {
            return None;
        }
        source.paused_until = None;
        let level = level(rate, self.max_window);
        let in_flight = source.bytes_in_flight;
        if in_flight >= window(rate, level, self.max_window) || is_full && in_flight > 0 {
            return None;
        }
        let chunk = pick(self.geometry, &self.missing, &source.has, level)?;
        let bytes = chunk.bytes(self.geometry);
        source.bytes_in_flight += bytes.end - bytes.start;
        source.in_flight.push(InFlight { chunk, asked: now });
        self.missing.remove(chunk.blocks(self.geometry));
        Some(chunk)
    }

    /// Bytes a second that the source may give: as measured; before that, and when all is in flight
    /// that may be, an equal share of what is allowed; never more than that.
    fn expected_rate(&self, peer: PeerId) -> Option<f64> {
        let bytes = |limit: Option<Rate>| limit.map(|rate| rate.bytes() as f64);
        let measured = self.sources.get(&peer)?.rate.filter(|_| !self.is_full());
        let all = bytes(self.limits.download);
        let share = all.map(|all| all / self.sources.len() as f64);
        let limits = [all, bytes(self.limits.download_per_peer)];
        let rates = [measured.or(share)].into_iter().chain(limits);
        rates.flatten().reduce(f64::min)
    }

    /// Whether all that is in flight is as much as may come in [`WINDOW_TIME`]: then each source has
    /// at most one chunk more, of its share.
    fn is_full(&self) -> bool {
        self.limits.download.is_some_and(|limit| {
            let in_flight = self.sources.values().map(|source| source.bytes_in_flight);
            in_flight.sum::<u64>() >= limit.bytes() * WINDOW_TIME.as_secs()
        })
    }

    fn take_in_flight(&mut self, peer: PeerId, chunk: Chunk) -> Option<(&mut Source, Instant)> {
        let bytes = self.bytes(chunk);
        let source = self.sources.get_mut(&peer)?;
        let index = source
            .in_flight
            .iter()
            .position(|request| request.chunk == chunk)?;
        let request = source.in_flight.remove(index);
        source.bytes_in_flight -= bytes;
        Some((source, request.asked))
    }

    fn bytes(&self, chunk: Chunk) -> u64 {
        let bytes = chunk.bytes(self.geometry);
        bytes.end - bytes.start
    }
}

impl Source {
    fn new() -> Self {
        Self {
            has: BlockRanges::default(),
            in_flight: Vec::new(),
            bytes_in_flight: 0,
            rate: None,
            last_arrival: None,
            paused_until: None,
            failures: 0,
        }
    }

    /// A chunk that was asked for behind others has been on the wire only since the one before it.
    fn measure(&mut self, bytes: u64, asked: Instant, now: Instant) {
        let began = self.last_arrival.map_or(asked, |last| last.max(asked));
        let seconds = now.saturating_duration_since(began).as_secs_f64().max(1e-6);
        let rate = bytes as f64 / seconds;
        self.rate = Some(
            self.rate
                .map_or(rate, |old| old + RATE_WEIGHT * (rate - old)),
        );
        self.last_arrival = Some(now);
    }
}

/// The level whose chunks take about [`CHUNK_TIME`] at `rate`, and fit into `max_window` bytes.
fn level(rate: Option<f64>, max_window: u64) -> u8 {
    let wanted = match rate {
        Some(rate) => (rate * CHUNK_TIME.as_secs_f64() / BLOCK_SIZE as f64) as u64,
        None => 1 << FIRST_LEVEL,
    };
    let blocks = wanted.min(max_window / BLOCK_SIZE);
    let level = blocks.checked_ilog2().unwrap_or(0);
    level.min(MAX_LEVEL.into()) as u8
}

/// What comes in [`WINDOW_TIME`] at `rate`, at most `max` bytes, and always at least one chunk of
/// `level`.
fn window(rate: Option<f64>, level: u8, max: u64) -> u64 {
    let wanted = rate.map_or(FIRST_WINDOW, |rate| {
        (rate * WINDOW_TIME.as_secs_f64()) as u64
    });
    wanted.min(max).max(BLOCK_SIZE << level)
}

/// The first chunk, of `level` or as near below as is wholly missing, that the source has.
fn pick(geometry: Geometry, missing: &BlockRanges, has: &BlockRanges, level: u8) -> Option<Chunk> {
    if geometry.blocks() == 0 {
        return None;
    }
    let run = first_common(missing, has)?;
    (0..=level)
        .rev()
        .filter_map(|level| geometry.chunk_of_block(level, run.start).ok())
        .find(|chunk| {
            let blocks = chunk.blocks(geometry);
            blocks.start >= run.start && blocks.end <= run.end
        })
}

/// The first run of blocks that are in both sets.
fn first_common(missing: &BlockRanges, has: &BlockRanges) -> Option<std::ops::Range<u64>> {
    missing.iter().find_map(|run| has.within(run).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn blocks(runs: &[std::ops::Range<u64>]) -> BlockRanges {
        let mut set = BlockRanges::default();
        runs.iter().for_each(|run| set.insert(run.clone()));
        set
    }

    fn all(geometry: Geometry) -> BlockRanges {
        let mut set = BlockRanges::default();
        set.insert(0..geometry.blocks());
        set
    }

    fn scheduler(size: u64) -> Scheduler {
        Scheduler::new(Geometry::new(size), &BlockRanges::default(), 16 * MIB)
    }

    fn requests(actions: &[Action]) -> Vec<(PeerId, Chunk)> {
        let request = |action: &Action| match action {
            Action::Request(peer, chunk) => Some((*peer, *chunk)),
            Action::Drop(_) => None,
        };
        actions.iter().filter_map(request).collect()
    }

    /// Lets every request arrive `latency` after it was made, until nothing is left to do.
    fn run(scheduler: &mut Scheduler, mut now: Instant, latency: Duration) -> Vec<(PeerId, Chunk)> {
        let mut asked = Vec::new();
        loop {
            let new = requests(&scheduler.poll(now));
            if new.is_empty() {
                return asked;
            }
            now += latency;
            new.iter()
                .for_each(|(peer, chunk)| scheduler.arrived(*peer, *chunk, now));
            asked.extend(new);
        }
    }

    #[test]
    fn every_block_is_asked_for_exactly_once() {
        let peers = [PeerId::random(), PeerId::random()];
        let mut scheduler = scheduler(50 * MIB + 5);
        let geometry = Geometry::new(50 * MIB + 5);
        peers
            .iter()
            .for_each(|peer| scheduler.has(*peer, &all(geometry)));
        let asked = run(&mut scheduler, Instant::now(), Duration::from_millis(20));
        let mut seen = BlockRanges::default();
        for (_, chunk) in &asked {
            assert!(
                !seen.overlaps(chunk.blocks(geometry)),
                "{chunk:?} was asked for before"
            );
            seen.insert(chunk.blocks(geometry));
        }
        assert_eq!(seen.len(), geometry.blocks());
        assert!(scheduler.is_done());
        assert!(
            peers
                .iter()
                .all(|peer| asked.iter().any(|(asked, _)| asked == peer))
        );
    }

    #[test]
    fn what_a_lost_source_was_asked_for_goes_to_another() {
        let [lost, other] = [PeerId::random(), PeerId::random()];
        let (mut scheduler, now) = (scheduler(3 * MIB), Instant::now());
        let geometry = Geometry::new(3 * MIB);
        scheduler.has(lost, &all(geometry));
        assert!(!requests(&scheduler.poll(now)).is_empty());
        scheduler.has(other, &all(geometry));
        assert!(
            requests(&scheduler.poll(now)).is_empty(),
            "all is in flight"
        );
        scheduler.left(lost);
        let again = run(&mut scheduler, now, Duration::from_millis(1));
        assert!(again.iter().all(|(peer, _)| *peer == other));
        assert!(scheduler.is_done());
    }

    #[test]
    fn only_what_a_source_has_is_asked_of_it() {
        let (peer, mut scheduler) = (PeerId::random(), scheduler(10 * MIB));
        let geometry = Geometry::new(10 * MIB);
        let has = blocks(&[3..7, 100..301]);
        scheduler.has(peer, &has);
        let asked = run(&mut scheduler, Instant::now(), Duration::from_millis(1));
        let mut seen = BlockRanges::default();
        asked
            .iter()
            .for_each(|(_, chunk)| seen.insert(chunk.blocks(geometry)));
        assert_eq!(seen, has);
        assert!(!scheduler.is_done());
    }

    #[test]
    fn chunks_shrink_until_one_takes_about_its_time() {
        let (peer, mut scheduler) = (PeerId::random(), scheduler(10 * MIB));
        scheduler.has(peer, &all(Geometry::new(10 * MIB)));
        let mut now = Instant::now();
        let mut queue = requests(&scheduler.poll(now));
        let mut last = None;
        for _ in 0..60 {
            let (_, chunk) = queue.remove(0);
            now += Duration::from_secs_f64(scheduler.bytes(chunk) as f64 / 50_000.0);
            scheduler.arrived(peer, chunk, now);
            queue.extend(requests(&scheduler.poll(now)));
            last = queue.last().copied();
        }
        assert_eq!(last.unwrap().1.level(), 0, "16 KiB take 0.3 s at 50 KB/s");
        assert!(scheduler.sources[&peer].bytes_in_flight <= 120_000);
    }

    #[test]
    fn little_is_in_flight_where_little_may_come() {
        let limits = |all, one| Rates {
            download: Rate::limit(all).unwrap(),
            download_per_peer: Rate::limit(one).unwrap(),
            ..Rates::default()
        };
        let geometry = Geometry::new(50 * MIB);
        for (limits, peers, at_most) in [
            (limits(50_000, 0), 1, 120_000),
            (limits(50_000, 0), 20, 20 * BLOCK_SIZE),
            (limits(1_000_000, 0), 20, 2_600_000),
            (limits(1_000_000, 20_000), 20, 20 * 50_000),
            (limits(0, 1_000), 1, BLOCK_SIZE),
        ] {
            let (mut scheduler, mut now) = (scheduler(50 * MIB), Instant::now());
            scheduler.limit(limits);
            (0..peers).for_each(|_| scheduler.has(PeerId::random(), &all(geometry)));
            let mut queue = requests(&scheduler.poll(now));
            // All come at once, from what the buckets held: so fast they will not go on.
            for _ in 0..200 {
                let in_flight = scheduler.sources.values().map(|s| s.bytes_in_flight);
                let in_flight = in_flight.sum::<u64>();
                assert!(
                    in_flight <= at_most,
                    "{in_flight} of {at_most} for {limits:?}"
                );
                let (peer, chunk) = queue.remove(0);
                now += Duration::from_millis(1);
                scheduler.arrived(peer, chunk, now);
                queue.extend(requests(&scheduler.poll(now)));
            }
            assert!(queue.len() >= peers, "each is asked for something");
        }
    }

    #[test]
    fn a_window_of_one_block_is_enough() {
        let (peer, mut scheduler) = (PeerId::random(), {
            Scheduler::new(Geometry::new(MIB), &BlockRanges::default(), BLOCK_SIZE)
        });
        scheduler.has(peer, &all(Geometry::new(MIB)));
        let asked = run(&mut scheduler, Instant::now(), Duration::from_millis(1));
        assert_eq!(asked.len(), 64);
        assert!(scheduler.is_done());
    }

    #[test]
    fn a_busy_source_is_left_in_peace_and_asked_again() {
        let (peer, mut scheduler) = (PeerId::random(), scheduler(MIB));
        let now = Instant::now();
        scheduler.has(peer, &all(Geometry::new(MIB)));
        for (_, chunk) in requests(&scheduler.poll(now)) {
            scheduler.failed(peer, chunk, Failure::Busy(Duration::from_secs(1)), now);
        }
        assert!(scheduler.poll(now).is_empty());
        let later = scheduler.next_wake().unwrap();
        assert_eq!(later, now + Duration::from_secs(1));
        run(&mut scheduler, later, Duration::from_millis(1));
        assert!(scheduler.is_done());
    }

    #[test]
    fn a_source_that_is_busy_without_end_leaves_the_chunks_to_others() {
        let [busy, other] = [PeerId::random(), PeerId::random()];
        let (mut scheduler, now) = (scheduler(MIB), Instant::now());
        let geometry = Geometry::new(MIB);
        scheduler.has(busy, &all(geometry));
        scheduler.has(other, &all(geometry));
        for (peer, chunk) in requests(&scheduler.poll(now)) {
            match peer == busy {
                true => scheduler.failed(peer, chunk, Failure::Busy(Duration::ZERO), now),
                false => scheduler.arrived(peer, chunk, now),
            }
        }
        let asked = run(&mut scheduler, now, Duration::from_millis(1));
        assert!(!asked.is_empty() && asked.iter().all(|(peer, _)| *peer == other));
        assert!(scheduler.is_done());
    }

    #[test]
    fn a_source_is_dropped_when_the_last_of_its_claims_has_failed() {
        let (peer, mut scheduler) = (PeerId::random(), scheduler(10));
        let now = Instant::now();
        scheduler.has(peer, &all(Geometry::new(10)));
        assert!(scheduler.can_go_on());
        for (_, chunk) in requests(&scheduler.poll(now)) {
            scheduler.failed(peer, chunk, Failure::Absent, now);
        }
        assert!(!scheduler.can_go_on());
        assert_eq!(scheduler.poll(now), [Action::Drop(peer)]);
    }

    #[test]
    fn a_source_that_never_has_what_it_claims_is_dropped() {
        let (peer, mut scheduler) = (PeerId::random(), scheduler(20 * MIB));
        let now = Instant::now();
        scheduler.has(peer, &all(Geometry::new(20 * MIB)));
        for (_, chunk) in requests(&scheduler.poll(now)) {
            scheduler.failed(peer, chunk, Failure::Absent, now);
        }
        assert_eq!(scheduler.poll(now), [Action::Drop(peer)]);
    }

    #[test]
    fn a_claimed_pebibyte_costs_nothing() {
        let geometry = Geometry::new(pelago_content::MAX_SIZE);
        let mut scheduler = Scheduler::new(geometry, &BlockRanges::default(), 16 * MIB);
        scheduler.has(PeerId::random(), &all(geometry));
        assert_eq!(scheduler.poll(Instant::now()).len(), 16);
        assert!(scheduler.missing.runs() <= 2);
    }

    #[test]
    fn an_empty_file_needs_no_request() {
        let mut scheduler = scheduler(0);
        scheduler.has(PeerId::random(), &BlockRanges::default());
        assert!(scheduler.poll(Instant::now()).is_empty());
        assert!(scheduler.is_done());
    }
}
