//! Merges several catalogues into one list, entry by entry as they arrive, within a budget.
//!
//! Pure. A request has one budget of entries and of bytes of names. Each peer has an equal part of
//! it, and may also use what other peers left of theirs. Content that several peers share under one
//! name is listed once.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher, RandomState},
};

use libp2p::PeerId;
use pelago_behaviour::catalogue::CatalogueEntry;
use pelago_content::Hash;

use super::Listed;
use crate::store::{Scopes, ShareState};

/// The most entries of one request: as many as a node is built to share.
const MAX_ENTRIES: usize = 100_000;

/// The most bytes of names of one request: enough for as many entries with names of ordinary
/// length.
const MAX_NAME_BYTES: usize = 8 << 20;

/// How many of the peers that have some content are named: people read no more in a list.
const NAMED_HOLDERS: usize = 2;

/// Some entries, and the bytes of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    entries: usize,
    name_bytes: usize,
}

impl Amount {
    const fn fits(self, limit: Self) -> bool {
        self.entries <= limit.entries && self.name_bytes <= limit.name_bytes
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            entries: self.entries + other.entries,
            name_bytes: self.name_bytes + other.name_bytes,
        }
    }

    const fn minus(self, other: Self) -> Self {
        Self {
            entries: self.entries.saturating_sub(other.entries),
            name_bytes: self.name_bytes.saturating_sub(other.name_bytes),
        }
    }
}

/// The catalogues of some peers, merged.
pub(super) struct Merge {
    listed: BTreeMap<(String, Hash), Listed>,
    /// The part of the budget of each peer.
    part: Amount,
    /// What is left of the parts of peers whose catalogues have ended.
    spare: Amount,
    hasher: RandomState,
}

/// One peer's part of a merge.
pub(super) struct Part {
    /// `None` if the peer is not in reach.
    peer: Option<PeerId>,
    left: Amount,
    /// Its entries so far, by a hash of name and content.
    seen: HashSet<u64>,
}

impl Merge {
    /// A merge of the catalogues of `peers` peers.
    pub(super) fn new(peers: usize) -> Self {
        let peers = peers.max(1);
        Self {
            listed: BTreeMap::new(),
            part: Amount {
                entries: MAX_ENTRIES / peers,
                name_bytes: MAX_NAME_BYTES / peers,
            },
            spare: Amount {
                entries: MAX_ENTRIES % peers,
                name_bytes: MAX_NAME_BYTES % peers,
            },
            hasher: RandomState::new(),
        }
    }

    /// Begins the catalogue of one of them.
    pub(super) fn begin(&self, peer: PeerId) -> Part {
        Part {
            peer: Some(peer),
            left: self.part,
            seen: HashSet::new(),
        }
    }

    /// Begins what a peer shared that is not in reach: it counts for no content.
    pub(super) fn begin_absent(&self) -> Part {
        Part {
            peer: None,
            left: self.part,
            seen: HashSet::new(),
        }
    }

    /// Takes a page, and leaves out what exceeds the budget. Returns whether the budget allows
    /// another entry.
    pub(super) fn take(&mut self, part: &mut Part, entries: Vec<CatalogueEntry>) -> bool {
        for entry in entries {
            let cost = Amount {
                entries: 1,
                name_bytes: entry.name.len(),
            };
            if cost.fits(part.left) {
                part.left = part.left.minus(cost);
            } else if cost.fits(self.spare) {
                self.spare = self.spare.minus(cost);
            } else {
                return false;
            }
            self.add(part, entry);
        }
        let one = Amount {
            entries: 1,
            name_bytes: 1,
        };
        one.fits(part.left) || one.fits(self.spare)
    }

    /// Ends a catalogue: others may use what is left of its part.
    pub(super) fn end(&mut self, part: &Part) {
        self.spare = self.spare.plus(part.left);
    }

    fn add(&mut self, part: &mut Part, entry: CatalogueEntry) {
        let key = (entry.name, entry.hash);
        if !part.seen.insert(self.hasher.hash_one(&key)) {
            return;
        }
        let new = |(name, hash): &(String, Hash)| Listed {
            hash: *hash,
            name: name.clone(),
            size: entry.size,
            kind: entry.kind,
            peers: 0,
            holders: Vec::new(),
            path: None,
            is_unlisted: false,
            scopes: Scopes::default(),
            state: ShareState::Available,
            unavailable_files: 0,
        };
        let listed = self.listed.entry(key).or_insert_with_key(new);
        let Some(peer) = part.peer else {
            return;
        };
        listed.peers += 1;
        if listed.holders.len() < NAMED_HOLDERS {
            listed.holders.push(peer);
        }
    }

    /// The list, by name.
    pub(super) fn finish(self) -> Vec<Listed> {
        self.listed.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use pelago_content::Kind;

    use super::*;

    fn entry(hash: u64, name: &str) -> CatalogueEntry {
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&hash.to_be_bytes());
        CatalogueEntry {
            hash: Hash::from_bytes(bytes),
            name: name.to_owned(),
            kind: Kind::File,
            size: 1,
        }
    }

    #[test]
    fn content_of_several_peers_is_listed_once() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let mut merge = Merge::new(2);
        let (mut of_a, mut of_b) = (merge.begin(a), merge.begin(b));
        // Their pages arrive in turn.
        assert!(merge.take(&mut of_a, vec![entry(1, "x"), entry(2, "a")]));
        assert!(merge.take(&mut of_b, vec![entry(1, "x"), entry(3, "x")]));
        assert!(merge.take(&mut of_a, vec![entry(1, "x")]));
        let listed = merge.finish();
        assert_eq!(listed[1].holders, [a, b]);
        let shown: Vec<_> = listed
            .iter()
            .map(|l| (l.name.as_str(), l.hash.as_bytes()[31], l.peers))
            .collect();
        assert_eq!(shown, [("a", 2, 1), ("x", 1, 2), ("x", 3, 1)]);
    }

    #[test]
    fn an_endless_catalogue_takes_its_part_and_what_others_left() {
        let mut merge = Merge::new(4);
        let [mut endless, mut modest] = [(); 2].map(|()| merge.begin(PeerId::random()));
        let silent = [(); 2].map(|()| merge.begin(PeerId::random()));
        let page = |from: u64| (from..from + 256).map(|n| entry(n, "name")).collect();
        let mut pages = 0..;
        let mut has_room = |merge: &mut Merge| {
            let from = pages.next().unwrap_or_default() * 256;
            merge.take(&mut endless, page(from))
        };
        while has_room(&mut merge) {}
        assert_eq!(merge.listed.len(), MAX_ENTRIES / 4);
        silent.iter().for_each(|part| merge.end(part));
        while has_room(&mut merge) {}
        assert_eq!(merge.listed.len(), MAX_ENTRIES / 4 * 3);
        let others = (0..1000).map(|n| entry(n, "of another")).collect();
        assert!(merge.take(&mut modest, others), "it has its part");
    }

    #[test]
    fn long_names_count_by_their_bytes() {
        let mut merge = Merge::new(1);
        let mut part = merge.begin(PeerId::random());
        let name = "n".repeat(1024);
        let mut taken = 0;
        while merge.take(&mut part, vec![entry(taken, &name)]) {
            taken += 1;
        }
        assert_eq!(merge.listed.len(), MAX_NAME_BYTES / 1024);
    }
}
