//! What the catalogues of groups have listed in this run, by hash and by name.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
};

use parking_lot::Mutex;
use pelago_content::Hash;
use pelago_groups::GroupId;

use super::Listed;

/// The most hashes and names that are remembered; the oldest are forgotten first: about 8 MB.
const MAX_KEYS: usize = 1 << 16;

/// The group whose catalogue listed content last.
#[derive(Default)]
pub(super) struct KnownGroups {
    /// A name may be long, so its digest stands for it.
    names: RandomState,
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Content(Hash),
    Name(u64),
}

#[derive(Default)]
struct Seen {
    groups: HashMap<Key, GroupId>,
    oldest: VecDeque<Key>,
}

impl KnownGroups {
    /// A catalogue of `group` listed these.
    pub(super) fn remember(&self, group: GroupId, listed: &[Listed]) {
        let mut seen = self.seen.lock();
        for listed in listed {
            seen.insert(Key::Content(listed.hash), group);
            seen.insert(self.key_of(&listed.name), group);
        }
    }

    pub(super) fn of_hash(&self, hash: &Hash) -> Option<GroupId> {
        self.seen.lock().groups.get(&Key::Content(*hash)).copied()
    }

    pub(super) fn of_name(&self, name: &str) -> Option<GroupId> {
        self.seen.lock().groups.get(&self.key_of(name)).copied()
    }

    fn key_of(&self, name: &str) -> Key {
        Key::Name(self.names.hash_one(name))
    }
}

impl Seen {
    fn insert(&mut self, key: Key, group: GroupId) {
        if self.groups.insert(key, group).is_none() {
            self.oldest.push_back(key);
        }
        if self.oldest.len() > MAX_KEYS
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.groups.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut seen = Seen::default();
        let group = GroupId::from_bytes([1; 32]);
        let keys = (0..=MAX_KEYS as u64).map(Key::Name);
        keys.for_each(|key| seen.insert(key, group));
        assert_eq!(seen.groups.len(), MAX_KEYS);
        assert!(
            !seen.groups.contains_key(&Key::Name(0)) && seen.groups.contains_key(&Key::Name(1))
        );
    }
}
