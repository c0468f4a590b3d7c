//! Which statements of a group a node keeps.
//!
//! What is held is a function of the statements that were seen: those of the root, those of everyone
//! whom the root's entries mark as an owner, now or once, and what the users say of themselves whom
//! these name. Nothing else is held, so that strangers fill nobody's disk. A statement that comes
//! before the one that makes it count is not held; it comes again with the next sync.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use pelago_content::Hash;
use sha2::{Digest as _, Sha256};

use crate::{
    group_id::GroupId,
    keys::{InviteKey, UserKey},
    statement::{Body, Entry, Founding, Ownership, Slot, Statement, StatementId, UserProfile},
};

/// How many entries of one author are held, and how many invites: those with the least keys. Four
/// times the members that a group admits.
pub const MAX_ENTRIES: usize = 4096;

/// How many authors beside the root are held: the owners of now before those of once, and of each
/// those with the least keys. Eight are owners at a time.
pub const MAX_AUTHORS: usize = 16;

/// Of how many users it is held what they say of themselves: of those with an entry by which they
/// are in before the others, and of each those with the least keys. The largest part of what a
/// hostile root can make a member hold: 8 of 70 MiB.
pub const MAX_PROFILES: usize = 4096;

/// The statements of a group that a node keeps.
#[derive(Clone, Debug)]
pub struct Held {
    group: GroupId,
    slots: BTreeMap<Slot, Statement>,
}

/// What a merge changed.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// The statements that are held now and were not before.
    pub new: Vec<Statement>,
    /// Slots for which one author signed two statements in place of each other.
    pub contradictions: BTreeSet<Slot>,
}

/// Stands for all that is held: equal digests, equal statements.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a peer.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:.8})", Hash::from_bytes(self.0))
    }
}

impl Held {
    /// Nothing of `group` yet.
    #[must_use]
    pub const fn new(group: GroupId) -> Self {
        Self {
            group,
            slots: BTreeMap::new(),
        }
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// Takes what is to be held of `statements`. Their order has no effect.
    pub fn merge(&mut self, statements: impl IntoIterator<Item = Statement>) -> Merged {
        let mut merged = Merged::default();
        let mut taken = BTreeSet::new();
        for statement in statements {
            let slot = statement.slot();
            if !self.may_hold(&statement) {
                continue;
            }
            match self.slots.get(&slot) {
                Some(held) if !statement.supersedes(held) => {
                    merged
                        .contradictions
                        .extend(contradiction(held, &statement));
                }
                held => {
                    let held = held.and_then(|held| contradiction(held, &statement));
                    merged.contradictions.extend(held);
                    self.slots.insert(slot, statement);
                    taken.insert(slot);
                }
            }
        }
        if !taken.is_empty() {
            self.drop_what_is_not_held();
        }
        let held = taken.iter().filter_map(|slot| self.slots.get(slot));
        merged.new = held.cloned().collect();
        let is_held = |slot: &Slot| self.slots.contains_key(slot);
        merged.contradictions.retain(is_held);
        merged
    }

    /// What fills `slot`.
    #[must_use]
    pub fn get(&self, slot: &Slot) -> Option<&Statement> {
        self.slots.get(slot)
    }

    /// All statements, in the order of their slots.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.slots.values()
    }

    /// Stands for all that is held.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Sha256::new();
        for statement in self.statements() {
            hasher.update(statement.id().as_bytes());
        }
        Digest(hasher.finalize().into())
    }

    /// What the root says of the group, once that is known.
    #[must_use]
    pub fn founding(&self) -> Option<&Founding> {
        match self.slots.get(&Slot::Founding)?.body() {
            Body::Founding(founding) => Some(founding),
            _ => None,
        }
    }

    /// What `user` says of himself.
    #[must_use]
    pub fn profile(&self, user: UserKey) -> Option<&UserProfile> {
        self.get(&Slot::User(user))?.profile()
    }

    /// What `author` says of `user`.
    #[must_use]
    pub fn entry(&self, author: UserKey, user: UserKey) -> Option<&Entry> {
        match self.get(&Slot::Entry(author, user))?.body() {
            Body::Entry(entry) => Some(entry),
            _ => None,
        }
    }

    /// What `author` says of others.
    pub fn entries_of(&self, author: UserKey) -> impl Iterator<Item = &Entry> {
        self.statements_on_users(author).map(|(entry, _)| entry)
    }

    /// What `author` says of others, with the ids of the statements.
    pub(crate) fn statements_on_users(
        &self,
        author: UserKey,
    ) -> impl Iterator<Item = (&Entry, StatementId)> {
        let first = Slot::Entry(author, UserKey::from_bytes([0; 32]));
        let from_first = self.slots.range(first..);
        from_first.map_while(move |(_, statement)| match statement.body() {
            Body::Entry(entry) if entry.author == author => Some((entry, statement.id())),
            _ => None,
        })
    }

    /// The invites that `author` has minted or revoked.
    pub(crate) fn invites_of(&self, author: UserKey) -> impl Iterator<Item = &Statement> {
        let first = Slot::Invite(author, InviteKey::from_bytes([0; 32]));
        let from_first = self.slots.range(first..);
        let own = from_first
            .take_while(move |(slot, _)| matches!(slot, Slot::Invite(of, _) if *of == author));
        own.map(|(_, statement)| statement)
    }

    /// Whether the root or an owner, now or once, ever said something of `user`.
    #[must_use]
    pub fn has_entry(&self, user: &UserKey) -> bool {
        let mut statements = self.statements();
        statements.any(|statement| matches!(statement.slot(), Slot::Entry(_, of) if of == *user))
    }

    /// The owners of now, the root aside.
    pub(crate) fn owners(&self) -> BTreeSet<UserKey> {
        self.marked(Ownership::Now).take(MAX_AUTHORS).collect()
    }

    /// Whom the root's entries mark as `ownership`, in the order of their keys.
    fn marked(&self, ownership: Ownership) -> impl Iterator<Item = UserKey> {
        let root = self.founding().map(|founding| founding.root);
        let entries = root.into_iter().flat_map(|root| self.entries_of(root));
        let marked = entries.filter(move |entry| entry.ownership == Some(ownership));
        let users = marked.map(|entry| entry.user);
        users.filter(move |user| Some(*user) != root)
    }

    fn may_hold(&self, statement: &Statement) -> bool {
        let group = statement.group();
        let is_of_roster = !matches!(statement.body(), Body::Request(_));
        is_of_roster && group.is_none_or(|group| group == self.group)
    }

    fn drop_what_is_not_held(&mut self) {
        let Some(root) = self.founding().map(|founding| founding.root) else {
            self.slots.clear();
            return;
        };
        self.keep_least(|author| *author == root);
        let owners = self.owners();
        let once = self.marked(Ownership::Once);
        let once = once.filter(|user| !owners.contains(user));
        let once: Vec<_> = once.take(MAX_AUTHORS - owners.len()).collect();
        let mut authors = owners;
        authors.extend(once.into_iter().chain([root]));
        self.slots.retain(|slot, _| match slot {
            Slot::Entry(author, _) | Slot::Invite(author, _) => authors.contains(author),
            _ => true,
        });
        self.keep_least(|_| true);
        self.keep_what_users_say(authors);
    }

    /// Keeps what the authors and those whom entries name say of themselves.
    fn keep_what_users_say(&mut self, authors: BTreeSet<UserKey>) {
        let mut users: BTreeMap<_, _> = authors.into_iter().map(|user| (user, true)).collect();
        for statement in self.slots.values() {
            if let Body::Entry(entry) = statement.body() {
                *users.entry(entry.user).or_default() |= entry.is_in;
            }
        }
        let said = |user: &UserKey| self.slots.contains_key(&Slot::User(*user));
        let named = |of: bool| {
            let users = users.iter().filter(move |(_, is_in)| **is_in == of);
            users.map(|(user, _)| *user).filter(said)
        };
        let profiles: BTreeSet<_> = named(true).chain(named(false)).take(MAX_PROFILES).collect();
        self.slots.retain(|slot, _| match slot {
            Slot::Leave(user) => users.contains_key(user),
            Slot::User(user) => profiles.contains(user),
            _ => true,
        });
    }

    /// Of each of these authors, keeps the entries and invites with the least keys.
    fn keep_least(&mut self, is_of: impl Fn(&UserKey) -> bool) {
        let mut counted: Option<(bool, UserKey)> = None;
        let mut count = 0;
        self.slots.retain(|slot, _| {
            let of = match slot {
                Slot::Entry(author, _) => (true, *author),
                Slot::Invite(author, _) => (false, *author),
                _ => return true,
            };
            if counted.replace(of) != Some(of) {
                count = 0;
            }
            count += 1;
            count <= MAX_ENTRIES || !is_of(&of.1)
        });
    }
}

fn contradiction(held: &Statement, other: &Statement) -> Option<Slot> {
    other.contradicts(held).then(|| held.slot())
}
