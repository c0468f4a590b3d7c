//! Which blocks a seed suggests to which subscriber, so that it rarely sends a block twice.
//!
//! Pure: the caller passes a seed. Each piece of the content is suggested to
//! one subscriber, in random order; faster subscribers have more suggestions at a time. Pieces
//! that a subscriber leaves unsent are suggested to others. Once every piece has been sent or
//! suggested, the suggestions end, and subscribers choose by rarity.

use std::collections::{HashMap, VecDeque};

use libp2p::PeerId;
use pelago_content::BlockRanges;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

/// Pieces suggested beyond those that were sent, at least: one is on the way and one is requested
/// while others wait.
const PIECES_AHEAD: f64 = 4.0;

/// The weight of earlier rounds in a subscriber's speed: with four rounds a second, the speed
/// covers about the last second.
const SPEED_DECAY: f64 = 0.75;

/// The level of a piece: 256 KiB.
const LEVEL: u32 = 4;

/// Pieces of one content, at most; larger content has pieces of a higher level.
const MAX_PIECES: u64 = 1 << 16;

/// The suggestions for one content.
pub(super) struct Suggestions {
    level: u32,
    blocks: u64,
    is_sent: Vec<bool>,
    /// Pieces that were not suggested yet, or were left unsent.
    unsuggested: VecDeque<u32>,
    subscribers: HashMap<PeerId, Subscriber>,
}

#[derive(Default)]
struct Subscriber {
    suggested: Vec<u32>,
    /// Pieces sent in this round.
    sent: u32,
    /// Pieces a second.
    speed: f64,
}

impl Suggestions {
    /// How many pieces content of this many blocks has.
    pub(super) const fn pieces_of(blocks: u64) -> usize {
        // At most MAX_PIECES.
        blocks.div_ceil(1 << level_of(blocks)) as usize
    }

    /// How many pieces there are.
    pub(super) const fn pieces(&self) -> usize {
        self.is_sent.len()
    }

    /// No suggestions yet for content of this many blocks. `seed` determines the order of pieces.
    pub(super) fn new(blocks: u64, seed: u64) -> Self {
        let level = level_of(blocks);
        let pieces = Self::pieces_of(blocks) as u32;
        let mut unsuggested: Vec<_> = (0..pieces).collect();
        unsuggested.shuffle(&mut StdRng::seed_from_u64(seed));
        Self {
            level,
            blocks,
            is_sent: vec![false; pieces as usize],
            unsuggested: unsuggested.into(),
            subscribers: HashMap::new(),
        }
    }

    /// Records that blocks were sent to `peer`.
    pub(super) fn record_sent(&mut self, peer: PeerId, blocks: std::ops::Range<u64>) {
        let end = blocks.end.min(self.blocks).div_ceil(1 << self.level);
        for piece in (blocks.start >> self.level)..end {
            let is_sent = self.is_sent.get_mut(piece as usize);
            if is_sent.is_some_and(|sent| std::mem::replace(sent, true)) {
                continue;
            }
            for subscriber in self.subscribers.values_mut() {
                subscriber
                    .suggested
                    .retain(|other| u64::from(*other) != piece);
            }
            if let Some(subscriber) = self.subscribers.get_mut(&peer) {
                subscriber.sent += 1;
            }
        }
    }

    /// Further suggestions for `peer`. To be called once a round.
    pub(super) fn suggest(&mut self, peer: PeerId) -> BlockRanges {
        let subscriber = self.subscribers.entry(peer).or_default();
        let sent = f64::from(std::mem::take(&mut subscriber.sent));
        subscriber.speed = subscriber.speed * SPEED_DECAY + sent;
        let ahead = (PIECES_AHEAD + subscriber.speed) as usize;
        let mut suggested = BlockRanges::new();
        while subscriber.suggested.len() < ahead
            && let Some(piece) = self.unsuggested.pop_front()
        {
            if !self.is_sent[piece as usize] {
                subscriber.suggested.push(piece);
                let start = u64::from(piece) << self.level;
                suggested.insert(start..(start + (1 << self.level)).min(self.blocks));
            }
        }
        suggested
    }

    /// Forgets `peer`, whose unsent pieces may be suggested to others.
    pub(super) fn remove(&mut self, peer: &PeerId) {
        if let Some(subscriber) = self.subscribers.remove(peer) {
            self.unsuggested.extend(subscriber.suggested);
        }
    }
}

/// The level of the pieces of content of this many blocks.
const fn level_of(blocks: u64) -> u32 {
    let needed = blocks.div_ceil(MAX_PIECES).next_power_of_two().ilog2();
    if needed > LEVEL { needed } else { LEVEL }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(blocks: &BlockRanges) -> u64 {
        blocks.len() / 16
    }

    #[test]
    fn each_piece_is_suggested_to_one_subscriber() {
        let [a, b] = [PeerId::random(), PeerId::random()];
        let mut suggestions = Suggestions::new(1600, 7);
        let mut seen = BlockRanges::new();
        for _ in 0..100 {
            for peer in [a, b] {
                let suggested = suggestions.suggest(peer);
                for run in suggested.iter() {
                    assert!(!seen.overlaps(run.clone()));
                    seen.insert(run.clone());
                    suggestions.record_sent(peer, run);
                }
            }
        }
        assert_eq!(seen.len(), 1600);
    }

    #[test]
    fn an_idle_subscriber_gets_no_more_suggestions_and_leaves_its_own_to_others() {
        let [idle, keen] = [PeerId::random(), PeerId::random()];
        let mut suggestions = Suggestions::new(1600, 7);
        assert_eq!(pieces(&suggestions.suggest(idle)), 4);
        assert!(suggestions.suggest(idle).is_empty());
        let mut sent = 0;
        for _ in 0..200 {
            for run in suggestions.suggest(keen).iter() {
                sent += run.end - run.start;
                suggestions.record_sent(keen, run);
            }
        }
        assert_eq!(sent, 1600 - 64);
        suggestions.remove(&idle);
        assert_eq!(pieces(&suggestions.suggest(keen)), 4);
    }

    #[test]
    fn pieces_sent_without_a_suggestion_are_not_suggested() {
        let [a, b] = [PeerId::random(), PeerId::random()];
        let mut suggestions = Suggestions::new(64, 7);
        suggestions.record_sent(a, 0..64);
        assert!(suggestions.suggest(b).is_empty());
    }
}
