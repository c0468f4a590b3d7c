//! In which group this node came to know content, so that it is fetched there and nowhere else.
//!
//! A hash that only members of a group know is a secret of the group: a search for it outside tells
//! others that it exists. What a link names, what a catalogue of a group listed in this run, and what
//! this node shares with groups alone is known so.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use pelago_content::Hash;
use pelago_groups::GroupId;

use super::{blocking::blocking, core::NodeCore};
use crate::{network::Closed, store::Scope};

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

    fn of(&self, hash: &Hash) -> Option<GroupId> {
        self.0.lock().groups.get(hash).copied()
    }
}

impl NodeCore {
    /// The group in which content is known, if this node is in it.
    pub(super) async fn group_of(&self, hash: Hash) -> Result<Option<GroupId>, Closed> {
        let own = self.memberships.own_groups();
        let known = self.links.group_of(&hash).or_else(|| self.known_groups.of(&hash));
        if own.is_empty() || known.is_some() {
            return Ok(known.filter(|group| own.contains(group)));
        }
        let store = self.store.clone();
        let scopes = blocking(move || store.scopes(&hash)).await?;
        let scopes = scopes.ok().flatten().unwrap_or_default();
        let is_groups = !scopes.contains(Scope::Everyone) && !scopes.contains(Scope::Unlisted);
        let mut groups = scopes.groups().filter(|group| is_groups && own.contains(group));
        Ok(groups.next())
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
