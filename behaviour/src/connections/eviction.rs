//! Which connection ends so that another one can start. Pure.

use std::{
    cmp::Reverse,
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use super::history::Usefulness;
use crate::{Origin, Prefix};

/// The time-out of handshakes while half of their permits are in use.
pub(super) const SHORT_HANDSHAKE: Duration = Duration::from_secs(3);

/// Addresses that count together.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Site {
    Network(Prefix),
    Alone(Origin),
}

impl From<Origin> for Site {
    fn from(origin: Origin) -> Self {
        origin.site().map_or(Self::Alone(origin), Self::Network)
    }
}

/// How many connections each site and each origin has.
struct Counts {
    sites: HashMap<Site, usize>,
    origins: HashMap<Origin, usize>,
}

impl Counts {
    fn of(origins: impl Iterator<Item = Origin> + Clone) -> Self {
        Self {
            sites: count(origins.clone().map(Site::from)),
            origins: count(origins),
        }
    }

    fn site(&self, origin: Origin) -> usize {
        self.sites.get(&origin.into()).copied().unwrap_or(0)
    }

    /// The larger, the sooner a connection of this origin is evicted.
    fn excess(&self, origin: Origin) -> (usize, usize) {
        let same = self.origins.get(&origin).copied().unwrap_or(0);
        (self.site(origin), same)
    }
}

fn count<T: Eq + Hash>(items: impl Iterator<Item = T>) -> HashMap<T, usize> {
    let mut counts = HashMap::new();
    items.for_each(|item| *counts.entry(item).or_default() += 1);
    counts
}

/// A connection of a peer whose handshake is running.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    pub(super) id: u64,
    pub(super) origin: Origin,
    pub(super) since: Instant,
}

/// The handshakes that end so that a newcomer from `origin` can start its own, with a limit of
/// `most`.
pub(super) fn pending_victims(
    pending: &[Pending],
    origin: Origin,
    most: usize,
    now: Instant,
) -> Vec<u64> {
    let is_late = |one: &&Pending| now.saturating_duration_since(one.since) >= SHORT_HANDSHAKE;
    let is_half_full = pending.len() >= most / 2;
    let late = pending.iter().filter(|one| is_half_full && is_late(one));
    let mut victims: Vec<_> = late.map(|one| one.id).collect();
    if pending.len() - victims.len() >= most {
        let origins = pending.iter().map(|one| one.origin);
        let counts = Counts::of(origins.chain([origin]));
        // The oldest has had its time.
        let order = |one: &&Pending| (counts.excess(one.origin), Reverse(one.since));
        victims.extend(pending.iter().max_by_key(order).map(|one| one.id));
    }
    victims
}

/// An established connection.
#[derive(Clone, Copy)]
pub(super) struct EvictionCandidate {
    pub(super) id: u64,
    pub(super) origin: Origin,
    /// Whether this node takes content from it.
    pub(super) is_used: bool,
    /// Whether enough bytes moved on it recently.
    pub(super) is_busy: bool,
    /// For how long too few bytes have moved on it.
    pub(super) idle: Duration,
    pub(super) usefulness: Usefulness,
}

/// Which connections a newcomer may replace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// Those of sites with more connections than its own.
    Fair,
    /// Those, and idle ones.
    Idle,
    /// All from which this node takes no content: the newcomer is a dial of ours.
    Ours,
}

/// The connection of `all` that is evicted for a newcomer from `origin`; `None` if the newcomer is
/// refused.
pub(super) fn victim(all: &[EvictionCandidate], origin: Origin, claim: Claim) -> Option<u64> {
    let counts = Counts::of(all.iter().map(|one| one.origin).chain([origin]));
    let own = counts.site(origin);
    let yields = |one: &&EvictionCandidate| {
        let has_more = counts.site(one.origin) > own;
        let is_neighbour = Site::from(one.origin) == Site::from(origin);
        // Addresses that identify no owner may be any number.
        let is_lesser = origin.is_global() && !one.origin.is_global();
        let may_be_idle = claim == Claim::Idle || is_neighbour || is_lesser;
        let has_claim = has_more || (may_be_idle && !one.is_busy) || claim == Claim::Ours;
        !one.is_used && has_claim
    };
    let order = |one: &&EvictionCandidate| {
        (
            counts.excess(one.origin),
            !one.is_busy,
            !one.origin.is_global(),
            Reverse(one.usefulness),
            one.idle,
        )
    };
    all.iter()
        .filter(yields)
        .max_by_key(order)
        .map(|one| one.id)
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;

    fn at(ip: &str) -> Origin {
        let address = format!("/ip4/{ip}/tcp/1").parse().unwrap();
        Origin::new(PeerId::random(), &address)
    }

    fn standing(id: u64, ip: &str, idle: u64) -> EvictionCandidate {
        EvictionCandidate {
            id,
            origin: at(ip),
            is_used: false,
            is_busy: false,
            idle: Duration::from_secs(idle),
            usefulness: Usefulness::Unknown,
        }
    }

    #[test]
    fn sites_with_the_most_connections_yield_to_others() {
        let mut all: Vec<_> = (0..9).map(|id| standing(id, "8.8.8.8", id)).collect();
        all.push(standing(9, "9.9.9.9", 100));
        assert_eq!(victim(&all, at("7.7.7.7"), Claim::Fair), Some(8));
        all.iter_mut().for_each(|one| one.is_busy = true);
        assert_eq!(
            victim(&all, at("7.7.7.7"), Claim::Fair),
            Some(8),
            "the longest"
        );
        all[8].is_used = true;
        assert_eq!(victim(&all, at("7.7.7.7"), Claim::Fair), Some(7));
    }

    #[test]
    fn a_crowd_displaces_only_its_own() {
        let mut all: Vec<_> = (0..9).map(|id| standing(id, "8.8.8.8", 1)).collect();
        all.push(standing(9, "9.9.9.9", 100));
        let chosen = victim(&all, at("8.8.8.8"), Claim::Idle).unwrap();
        assert!(chosen < 9);
        all.iter_mut().take(9).for_each(|one| one.is_busy = true);
        // The idle stranger stays: it has a single connection.
        assert_eq!(victim(&all, at("8.8.8.8"), Claim::Fair), None);
    }

    #[test]
    fn neighbours_count_together_and_the_busiest_address_of_them_yields() {
        let all = [
            standing(1, "8.8.8.1", 5),
            standing(2, "8.8.8.2", 1),
            standing(3, "8.8.8.2", 1),
            standing(4, "9.9.9.9", 9),
        ];
        let chosen = victim(&all, at("7.7.7.7"), Claim::Fair).unwrap();
        assert!([2, 3].contains(&chosen));
    }

    #[test]
    fn equals_yield_only_when_idle_and_not_over_quic() {
        let mut all = [standing(1, "127.0.0.1", 5), standing(2, "127.0.0.1", 9)];
        assert_eq!(victim(&all, at("127.0.0.1"), Claim::Idle), Some(2));
        assert_eq!(victim(&all, at("127.0.0.1"), Claim::Fair), None);
        all[1].is_busy = true;
        assert_eq!(victim(&all, at("127.0.0.1"), Claim::Idle), Some(1));
        all[0].is_busy = true;
        assert_eq!(victim(&all, at("127.0.0.1"), Claim::Idle), None);
        assert!(victim(&all, at("127.0.0.1"), Claim::Ours).is_some());
        all.iter_mut().for_each(|one| one.is_used = true);
        assert_eq!(victim(&all, at("127.0.0.1"), Claim::Ours), None);
    }

    #[test]
    fn idle_peers_of_this_machine_yield_to_those_from_elsewhere() {
        let all = [standing(1, "127.0.0.1", 1), standing(2, "9.9.9.9", 9)];
        assert_eq!(victim(&all, at("7.7.7.7"), Claim::Fair), Some(1));
    }

    #[test]
    fn origins_that_were_of_use_yield_last() {
        let mut all = [standing(1, "8.8.8.8", 50), standing(2, "9.9.9.9", 1)];
        all[0].usefulness = Usefulness::GaveContent;
        assert_eq!(victim(&all, at("7.7.7.7"), Claim::Idle), Some(2));
    }

    #[test]
    fn handshakes_yield_by_origin_and_the_oldest_first() {
        let start = Instant::now();
        let pending = |id, ip| Pending {
            id,
            origin: at(ip),
            since: start + Duration::from_millis(id),
        };
        let mut all: Vec<_> = (1..8).map(|id| pending(id, "8.8.8.8")).collect();
        all.push(pending(0, "9.9.9.9"));
        let now = start + Duration::from_secs(1);
        assert_eq!(pending_victims(&all, at("7.7.7.7"), 9, now), []);
        assert_eq!(pending_victims(&all, at("7.7.7.7"), 8, now), [1]);
        assert_eq!(pending_victims(&all, at("8.8.8.8"), 8, now), [1]);
    }

    #[test]
    fn handshakes_have_less_time_when_there_are_many() {
        let start = Instant::now();
        let pending = |id: u64, second: u64| Pending {
            id,
            origin: at("9.9.9.9"),
            since: start + Duration::from_secs(second),
        };
        let all = [pending(1, 0), pending(2, 0), pending(3, 4)];
        let now = start + Duration::from_secs(5);
        assert_eq!(pending_victims(&all, at("7.7.7.7"), 6, now), [1, 2]);
        assert_eq!(pending_victims(&all, at("7.7.7.7"), 8, now), []);
    }
}
