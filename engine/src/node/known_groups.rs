//! What the catalogues of groups have listed in this run.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use pelago_content::Hash;
use pelago_groups::GroupId;

/// The most entries of catalogues that are remembered; the oldest are forgotten first: about 4 MB.
const MAX_HASHES: usize = 1 << 15;

/// What the catalogues of groups have listed.
#[derive(Default)]
pub(super) struct KnownGroups(Mutex<Listed>);

#[derive(Default)]
struct Listed {
    groups: HashMap<Hash, GroupId>,
    oldest: VecDeque<Hash>,
}

impl KnownGroups {
    /// A catalogue of `group` listed these.
    pub(super) fn remember(&self, group: GroupId, hashes: impl IntoIterator<Item = Hash>) {
        let mut listed = self.0.lock();
        for hash in hashes {
            if listed.groups.insert(hash, group).is_none() {
                listed.oldest.push_back(hash);
            }
            if listed.oldest.len() > MAX_HASHES
                && let Some(oldest) = listed.oldest.pop_front()
            {
                listed.groups.remove(&oldest);
            }
        }
    }

    /// The group whose catalogue listed it last.
    pub(super) fn of(&self, hash: &Hash) -> Option<GroupId> {
        self.0.lock().groups.get(hash).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entries_are_forgotten() {
        let known = KnownGroups::default();
        let group = GroupId::from_bytes([1; 32]);
        let hash = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            Hash::from_bytes(bytes)
        };
        known.remember(group, (0..=MAX_HASHES).map(hash));
        assert_eq!(known.of(&hash(0)), None);
        assert_eq!(known.of(&hash(1)), Some(group));
        assert_eq!(known.0.lock().groups.len(), MAX_HASHES);
    }
}
