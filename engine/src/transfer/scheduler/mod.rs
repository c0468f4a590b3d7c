//! Decides which chunk to request from which source. Pure: events and the time go in, actions come
//! out.
//!
//! A block is missing, in flight at one source (at two in the end game), or verified. Missing
//! blocks are requested rarest piece first, and the [`pace`] of each source decides how many
//! at a time. A source that fails gives its chunks back immediately. When all unverified blocks are
//! in flight, idle sources are asked for those that others will take long to send, and the slower
//! of the two is cancelled. Blocks that readers want come before all others ([`readers`]). A source
//! whose data fails its proof loses the file of that data ([`lost_files`]).

#[cfg(feature = "benchmarks")]
mod bench;
mod lost_files;
#[cfg(test)]
mod lost_files_tests;
mod pace;
mod rarity;
mod readers;
#[cfg(test)]
mod readers_tests;
mod reading;
mod source;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_content::{BlockRanges, Part, Sequence};
use rand::{SeedableRng, rngs::StdRng};

#[cfg(feature = "benchmarks")]
pub use bench::schedule;

pub(super) use self::source::MAX_IN_FLIGHT;
use self::{pace::Allowance, rarity::Rarity, readers::Readers, source::Source};
use super::holding::{Holding, over_budget};
use crate::limits::{Rate, Rates};

/// A source is dropped after this many failures in a row.
const MAX_FAILURES: u32 = 5;

/// The minimum pause after a source says that it is busy. If a source asked for no pause at all, it
/// would be asked for the same chunks again and again, and other sources would never get them.
const MIN_BUSY: Duration = Duration::from_millis(100);

/// A chunk is requested twice only if the other source is faster by this much.
const MIN_GAIN: Duration = Duration::from_millis(100);

/// If the rate is limited, at most the bytes that may arrive in this time are in flight.
const LIMITED_WINDOW: Duration = Duration::from_secs(2);

/// How often the end game is checked while nothing happens.
const END_GAME_INTERVAL: Duration = Duration::from_millis(100);

/// What the caller must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Request the chunk from the source.
    Request(PeerId, Part),
    /// All that the source still owes has arrived from others: tell it to stop sending.
    Cancel(PeerId),
    /// Stop using the source.
    Drop(PeerId),
}

/// Why a chunk did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The source is busy and asks for this pause.
    Busy(Duration),
    /// The source does not have the chunk after all.
    Absent,
}

/// The scheduler of one download.
pub(super) struct Scheduler {
    sequence: Arc<Sequence>,
    max_window: u64,
    limits: Rates,
    random: StdRng,
    missing: BlockRanges,
    /// How often anything became missing again. A source that had nothing to give is checked again
    /// when this changes.
    given_back: u64,
    rarity: Rarity,
    /// The number of sources at which each chunk is in flight.
    in_flight: HashMap<Part, u8>,
    sources: HashMap<PeerId, Source>,
    /// Sources in the order in which they joined, which makes the order of requests deterministic.
    order: Vec<PeerId>,
    cancelled: Vec<PeerId>,
    readers: Readers,
    /// The blocks of the files that each source lost, including sources that are gone.
    lost_files: HashMap<PeerId, BlockRanges>,
}

impl Scheduler {
    /// Schedules the `missing` blocks of `sequence`, with at most `max_window` bytes in flight at
    /// one source. `seed` seeds the random choices.
    pub(super) fn new(
        sequence: Arc<Sequence>,
        missing: BlockRanges,
        max_window: u64,
        seed: u64,
    ) -> Self {
        let mut rarity = Rarity::new(sequence.blocks());
        missing.iter().for_each(|run| rarity.update(&run, &missing));
        Self {
            sequence,
            max_window,
            limits: Rates::default(),
            random: StdRng::seed_from_u64(seed),
            missing,
            given_back: 0,
            rarity,
            in_flight: HashMap::new(),
            sources: HashMap::new(),
            order: Vec::new(),
            cancelled: Vec::new(),
            readers: Readers::default(),
            lost_files: HashMap::new(),
        }
    }

    /// Sets our own rate limits. A source that is asked for more than may be read in time would
    /// have to wait while it sends, until it takes that for a stall.
    pub(super) fn limit(&mut self, limits: Rates) {
        self.limits = limits;
    }

    /// A source has `blocks`, in addition to those it had before, and would rather be asked for
    /// `suggested`.
    pub(super) fn has(&mut self, peer: PeerId, blocks: &BlockRanges, suggested: &BlockRanges) {
        let all = self.sequence.blocks();
        let blocks = &*self.without_lost_files(&peer, blocks);
        let source = self.sources.entry(peer).or_insert_with(|| {
            self.order.push(peer);
            Source::default()
        });
        let holding = &mut source.holding;
        let news = if holding.is_exact() {
            new_runs(&holding.blocks, blocks, all)
        } else {
            new_runs(&holding.blocks, &holding.counted(blocks, all), all)
        };
        holding.suggest(suggested, all);
        if news.is_empty() && suggested.is_empty() {
            return;
        }
        source.nothing_since = None;
        let added: u64 = news.iter().map(|run| run.end - run.start).sum();
        // A source that has everything makes no piece rarer than another.
        let has = &mut source.holding.blocks;
        if has.len() + added < all {
            self.rarity.gained(has, &news);
        } else if added > 0 {
            self.rarity.lost(has);
            *has = (0..all).into();
        }
        self.keep_to_budget();
    }

    /// A source has what it had of the same content before.
    pub(super) fn adopt(&mut self, peer: PeerId, mut holding: Holding) {
        let (blocks, suggested) = holding.take();
        let source = self.sources.entry(peer).or_insert_with(|| {
            self.order.push(peer);
            Source::default()
        });
        source.holding = holding;
        self.has(peer, &blocks, &suggested);
    }

    /// Takes out the holdings of all sources.
    pub(super) fn take_holdings(&mut self) -> HashMap<PeerId, Holding> {
        let sources = self.sources.drain();
        let holdings = sources.map(|(peer, source)| (peer, source.holding));
        self.order.clear();
        holdings.collect()
    }

    /// While all holdings together have too many runs, remembers those with the most runs more
    /// coarsely.
    fn keep_to_budget(&mut self) {
        let runs = |(peer, source): (&PeerId, &Source)| (*peer, source.holding.runs());
        while let Some(peer) = over_budget(self.sources.iter().map(runs)) {
            let Some(source) = self.sources.get_mut(&peer) else {
                return;
            };
            for lost in source.holding.coarsen(self.sequence.blocks()) {
                self.lacks(peer, &lost);
            }
        }
    }

    /// All sources are gone.
    pub(super) fn all_left(&mut self) {
        for peer in std::mem::take(&mut self.order) {
            self.left(peer);
        }
    }

    /// The source has only `blocks`, and no longer what it had before. It may still send what it
    /// owes.
    pub(super) fn holds_only(&mut self, peer: PeerId, blocks: &BlockRanges) {
        let Some(source) = self.sources.get(&peer) else {
            return;
        };
        let lost: Vec<_> = new_runs(blocks, &source.holding.blocks, u64::MAX);
        for run in lost {
            self.lacks(peer, &run);
        }
    }

    /// The source is gone, and what it owed is missing again.
    pub(super) fn left(&mut self, peer: PeerId) {
        self.order.retain(|other| *other != peer);
        if let Some(source) = self.sources.remove(&peer) {
            if source.holding.blocks.len() < self.sequence.blocks() {
                self.rarity.lost(&source.holding.blocks);
            }
            self.give_back(source.owed());
        }
    }

    /// The chunk has arrived from the source, and is verified and written.
    pub(super) fn arrived(&mut self, peer: PeerId, part: Part, now: Instant) {
        let blocks = self.sequence.blocks_of(part);
        // It may have been given back meanwhile.
        self.missing.remove(blocks.clone());
        self.readers.arrived(blocks.clone());
        self.rarity.update(&blocks, &self.missing);
        if let Some(source) = self.sources.get_mut(&peer) {
            source.failures = 0;
            source.arrived(part, self.sequence.bytes_of(part), now);
        }
        if self
            .in_flight
            .remove(&part)
            .is_some_and(|copies| copies > 1)
        {
            for (other, source) in self.sources.iter_mut().filter(|(other, _)| **other != peer) {
                if source.cancel(part) {
                    self.cancelled.push(*other);
                }
            }
        }
    }

    /// The chunk did not arrive.
    pub(super) fn failed(&mut self, peer: PeerId, part: Part, failure: Failure, now: Instant) {
        let blocks = self.sequence.blocks_of(part);
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        let Some(request) = source.take(part, self.sequence.bytes_of(part)) else {
            return;
        };
        match failure {
            Failure::Busy(wait) => {
                source.is_busy = true;
                source.paused_until = Some(now + wait.max(MIN_BUSY));
            }
            Failure::Absent => {
                source.failures += 1;
                self.lacks(peer, &blocks);
            }
        }
        if !request.is_cancelled {
            self.give_back(vec![part]);
        }
    }

    /// Returns what to do now.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<Action> {
        let mut actions: Vec<_> = self.cancelled.drain(..).map(Action::Cancel).collect();
        // Sources take turns, one chunk each, so that the first one does not get all.
        let mut asking = self.order.clone();
        while !asking.is_empty() {
            asking.retain(|peer| {
                if self.sources.get(peer).is_some_and(|s| self.has_failed(s)) {
                    self.left(*peer);
                    actions.push(Action::Drop(*peer));
                    return false;
                }
                let part = self.next_for(*peer, now);
                actions.extend(part.map(|part| Action::Request(*peer, part)));
                part.is_some()
            });
        }
        actions
    }

    /// When to poll again even if nothing happens.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let paused = self.sources.values().filter_map(|s| s.paused_until).min();
        let is_end_game = self.missing.is_empty() && !self.in_flight.is_empty();
        let look = is_end_game.then(|| now + END_GAME_INTERVAL);
        paused.into_iter().chain(look).min()
    }

    /// Whether a source has missing blocks, or is about to send some. If not, the download depends
    /// on another source, or on updates.
    pub(super) fn can_continue(&self) -> bool {
        !self.in_flight.is_empty() || self.sources.values().any(|source| self.is_of_use(source))
    }

    /// Whether all sources that have missing blocks say that they are busy, and have sent nothing
    /// since.
    pub(super) fn is_only_busy(&self) -> bool {
        let owes = |source: &Source| source.last_owed().next().is_some();
        let mut of_use = self
            .sources
            .values()
            .filter(|source| owes(source) || self.is_of_use(source))
            .peekable();
        of_use.peek().is_some() && of_use.all(|source| source.is_busy)
    }

    /// The sources that owe chunks, and when the first of these was requested.
    pub(super) fn owing(&self) -> Option<(Instant, Vec<PeerId>)> {
        let owes = |peer: &PeerId| Some((self.sources.get(peer)?.owes_since()?, *peer));
        let (since, peers): (Vec<_>, _) = self.order.iter().filter_map(owes).unzip();
        Some((since.into_iter().min()?, peers))
    }

    /// Sources that owe nothing and have no missing blocks, in the order in which they joined.
    pub(super) fn of_no_use(&self) -> Vec<PeerId> {
        let is_spare = |peer: &&PeerId| {
            let source = self.sources.get(peer);
            source.is_some_and(|source| source.is_idle() && !self.is_of_use(source))
        };
        self.order.iter().filter(is_spare).copied().collect()
    }

    /// Whether every block is verified.
    pub(super) fn is_done(&self) -> bool {
        self.missing.is_empty() && self.in_flight.is_empty()
    }

    /// Whether the source too often lacked what it claimed, or lacked all of it.
    fn has_failed(&self, source: &Source) -> bool {
        let is_spent = || source.is_idle() && !self.is_of_use(source);
        source.failures >= MAX_FAILURES || source.failures > 0 && is_spent()
    }

    /// The source does not have these blocks after all.
    fn lacks(&mut self, peer: PeerId, blocks: &Range<u64>) {
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        if source.holding.blocks.len() < self.sequence.blocks() {
            self.rarity.lost_some(&source.holding.blocks, blocks);
            source.holding.blocks.remove(blocks.clone());
        } else {
            source.holding.blocks.remove(blocks.clone());
            self.rarity.has_only(&source.holding.blocks);
        }
    }

    fn is_of_use(&self, source: &Source) -> bool {
        let mut runs = self.missing.iter();
        runs.any(|run| source.holding.blocks.overlaps(run))
    }

    fn give_back(&mut self, parts: Vec<Part>) {
        for part in parts {
            match self.in_flight.get_mut(&part) {
                Some(copies) if *copies > 1 => *copies -= 1,
                Some(_) => {
                    self.in_flight.remove(&part);
                    let blocks = self.sequence.blocks_of(part);
                    self.missing.insert(blocks.clone());
                    self.rarity.update(&blocks, &self.missing);
                    self.given_back += 1;
                }
                None => {}
            }
        }
        self.sift();
    }

    /// What our own limits leave to each source.
    fn allowance(&self) -> Allowance {
        let Rates {
            download,
            download_per_peer,
            ..
        } = self.limits;
        let bytes = |rate: Rate| rate.bytes() as f64;
        let share = download.map(|all| bytes(all) / self.sources.len().max(1) as f64);
        let is_full = download.is_some_and(|all| {
            let in_flight = self.sources.values().map(Source::bytes_in_flight);
            in_flight.sum::<u64>() >= all.bytes() * LIMITED_WINDOW.as_secs()
        });
        Allowance {
            max_window: self.max_window,
            rate: download
                .into_iter()
                .chain(download_per_peer)
                .min()
                .map(bytes),
            share,
            is_full,
        }
    }

    fn next_for(&mut self, peer: PeerId, now: Instant) -> Option<Part> {
        let allowance = self.allowance();
        let source = self.sources.get_mut(&peer)?;
        if !source.may_request(&allowance, now) {
            return None;
        }
        let mut part = None;
        if source.nothing_since != Some(self.given_back) {
            let level = source.level(&allowance).min(self.readers.max_level());
            part = pick(
                &self.sequence,
                &self.missing,
                &self.rarity,
                &self.readers,
                source,
                level,
                &mut self.random,
            );
            source.nothing_since = part.is_none().then_some(self.given_back);
        }
        let part = part.or_else(|| self.pick_again(peer, now))?;
        let blocks = self.sequence.blocks_of(part);
        self.missing.remove(blocks.clone());
        self.rarity.update(&blocks, &self.missing);
        *self.in_flight.entry(part).or_default() += 1;
        let bytes = self.sequence.bytes_of(part);
        let source = self.sources.get_mut(&peer)?;
        source.ask(part, bytes, now);
        source.next = (!self.rarity.begins_at(blocks.end)).then_some(blocks.end);
        Some(part)
    }

    /// In the end game: a chunk that this source will send sooner than the source that was asked
    /// for it.
    fn pick_again(&self, peer: PeerId, now: Instant) -> Option<Part> {
        if !self.missing.is_empty() {
            return None;
        }
        let source = self.sources.get(&peer)?;
        let is_choice = |part: &Part| {
            let is_once = self.in_flight.get(part) == Some(&1);
            is_once
                && source
                    .holding
                    .blocks
                    .contains_range(self.sequence.blocks_of(*part))
        };
        let others = self.sources.iter().filter(|(other, _)| **other != peer);
        let choices = others.filter_map(|(_, holder)| {
            let part = holder.last_owed().find(is_choice)?;
            Some((holder.time_left(now), part))
        });
        let (left, part) = choices.max()?;
        let ours = source.time_for(self.sequence.bytes_of(part));
        (left > ours + MIN_GAIN).then_some(part)
    }
}

/// The runs of `blocks` below `end` that are not in `has`. Costs the runs of `blocks`, and those of
/// `has` within them, which become one run with them.
fn new_runs(has: &BlockRanges, blocks: &BlockRanges, end: u64) -> Vec<Range<u64>> {
    let runs = blocks.within(0..end);
    runs.flat_map(|run| has.gaps(run)).collect()
}

/// The chunk to request from the source: blocks that a reader wants, else the next ones in the same
/// piece, else those that the source suggests, else those of the rarest piece that it has. The
/// chunk is of `level`, or of the highest level below it that fits in the missing blocks.
fn pick(
    sequence: &Sequence,
    missing: &BlockRanges,
    rarity: &Rarity,
    readers: &Readers,
    source: &mut Source,
    level: u8,
    random: &mut StdRng,
) -> Option<Part> {
    let next = source.next;
    let Holding {
        blocks: has,
        suggested,
        ..
    } = &mut source.holding;
    let first = |within: Range<u64>| {
        missing
            .within(within)
            .find_map(|run| has.within(run).next())
    };
    let following = || {
        let next = next?;
        let is_there = missing.contains(next) && has.contains(next);
        is_there.then_some(next)
    };
    // Suggested blocks that are verified or in flight by now are not looked at again.
    let mut suggested = || {
        while let Some(run) = suggested.first().and_then(|block| suggested.run_of(block)) {
            if let Some(found) = first(run.clone()) {
                return Some(found);
            }
            suggested.remove(run);
        }
        None
    };
    let mut rarest = || {
        let suits = |blocks| first(blocks).is_some();
        let piece = rarity.pick(random, suits)?;
        first(rarity.blocks(piece))
    };
    let block = readers
        .next(missing, has)
        .or_else(following)
        .or_else(|| suggested().map(|run| run.start))
        .or_else(|| rarest().map(|run| run.start))?;
    let (missing, has) = (missing.run_of(block)?, has.run_of(block)?);
    let run = missing.start.max(has.start)..missing.end.min(has.end);
    let parts = (0..=level).rev();
    parts
        .filter_map(|level| sequence.part(level, block))
        .find(|part| {
            let blocks = sequence.blocks_of(*part);
            blocks.start >= run.start && blocks.end <= run.end
        })
}
