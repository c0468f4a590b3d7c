//! Who is in a group: a pure function of what is held.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    group_id::GroupId,
    held::Held,
    keys::{InviteKey, NodeKey, UserKey},
    name::Name,
    statement::{Body, Entry, InviteMode, Leave, StatementId},
};

/// How many members a group admits. A group that grew larger in two parts is taken as it is.
pub const MAX_MEMBERS: usize = 1024;

/// How many owners a group has at a time, the root among them.
pub const MAX_OWNERS: usize = 8;

/// Who is in a group, and by which invites others may ask to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    group: GroupId,
    root: Option<UserKey>,
    name: Option<Name>,
    moved: Option<GroupId>,
    members: BTreeMap<UserKey, Member>,
    /// The users who are out, and by what number.
    out: BTreeMap<UserKey, u64>,
    invites: BTreeMap<InviteKey, Invite>,
}

/// A user who is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What the user may do.
    pub role: Role,
    /// What the user says of himself: name and nodes. Absent until that has arrived.
    pub profile: Option<(Name, Vec<NodeKey>)>,
    /// The number of the statement by which the user is in; 0 for the root, who needs none.
    pub number: u64,
    /// Who admitted the user; the user himself for the root.
    pub by: UserKey,
    /// The invite by which the user came.
    pub via: Option<InviteKey>,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Share, list and fetch.
    Member,
    /// Also say who is in.
    Owner,
    /// Also say who is an owner: the user who founded the group.
    Root,
}

/// An invite of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Who minted it.
    pub by: UserKey,
    /// What becomes of requests.
    pub mode: InviteMode,
    /// Whether no owner has revoked it.
    pub is_open: bool,
}

/// What decides about a user: its number, whether it is out, and its id. The greatest wins.
type Verdict<'a> = (u64, bool, Option<StatementId>, Option<&'a Entry>);

impl Roster {
    /// The roster that follows from `held`.
    #[must_use]
    pub fn of(held: &Held) -> Self {
        let mut roster = Self::empty(held.group());
        let Some(founding) = held.founding() else {
            return roster;
        };
        roster.root = Some(founding.root);
        roster.name = Some(founding.name.clone());
        roster.moved = founding.moved;
        let owners = held.owners();
        let verdicts = verdicts(held, founding.root, &owners);
        for (user, (number, is_out, _, entry)) in verdicts {
            if is_out {
                roster.out.insert(user, number);
                continue;
            }
            let role = match () {
                () if user == founding.root => Role::Root,
                () if owners.contains(&user) => Role::Owner,
                () => Role::Member,
            };
            let member = Member {
                role,
                profile: profile(held, user),
                number,
                by: entry.map_or(user, |entry| entry.author),
                via: entry.and_then(|entry| entry.via),
            };
            roster.members.insert(user, member);
        }
        roster.invites = invites(held, founding.root, &owners);
        roster
    }

    const fn empty(group: GroupId) -> Self {
        Self {
            group,
            root: None,
            name: None,
            moved: None,
            members: BTreeMap::new(),
            out: BTreeMap::new(),
            invites: BTreeMap::new(),
        }
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// Who founded it, once that is known.
    #[must_use]
    pub const fn root(&self) -> Option<UserKey> {
        self.root
    }

    /// Its name, once that is known.
    #[must_use]
    pub const fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// The group that takes its place.
    #[must_use]
    pub const fn moved(&self) -> Option<GroupId> {
        self.moved
    }

    /// The users who are in, in the order of their keys.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<UserKey, Member> {
        &self.members
    }

    /// The member `user`.
    #[must_use]
    pub fn member(&self, user: &UserKey) -> Option<&Member> {
        self.members.get(user)
    }

    /// Whether `user` is in.
    #[must_use]
    pub fn is_in(&self, user: &UserKey) -> bool {
        self.members.contains_key(user)
    }

    /// Whether `user` was in, or was rejected, and is out now.
    #[must_use]
    pub fn is_out(&self, user: &UserKey) -> bool {
        self.out.contains_key(user)
    }

    /// Whether `user` decides who is in.
    #[must_use]
    pub fn is_owner(&self, user: &UserKey) -> bool {
        self.role(user) >= Some(Role::Owner)
    }

    /// What `user` may do.
    #[must_use]
    pub fn role(&self, user: &UserKey) -> Option<Role> {
        self.member(user).map(|member| member.role)
    }

    /// The root and the owners who are in.
    pub fn owners(&self) -> impl Iterator<Item = UserKey> {
        let members = self.members.iter();
        let owners = members.filter(|(_, member)| member.role >= Role::Owner);
        owners.map(|(user, _)| *user)
    }

    /// The nodes of all members, each with its user. A node that two members name occurs twice.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeKey, UserKey)> {
        self.members.iter().flat_map(|(user, member)| {
            let profile = member.profile.iter();
            profile.flat_map(|(_, nodes)| nodes.iter().map(|node| (*node, *user)))
        })
    }

    /// Whether this roster grants what `other` grants: to the same users, with the same roles and
    /// nodes.
    #[must_use]
    pub fn grants_as<'a>(&'a self, other: &'a Self) -> bool {
        let granted = |roster: &'a Self| {
            roster.members.iter().map(|(user, member)| {
                let nodes = member.profile.as_ref().map(|(_, nodes)| nodes);
                (user, member.role, nodes)
            })
        };
        granted(self).eq(granted(other))
    }

    /// The users who are in, out, or neither by this roster, and something else by `other`.
    #[must_use]
    pub fn changed_users(&self, other: &Self) -> BTreeSet<UserKey> {
        let rosters = [self, other].into_iter();
        let users = rosters.flat_map(|roster| roster.members.keys().chain(roster.out.keys()));
        let state = |roster: &Self, user: &UserKey| (roster.is_in(user), roster.is_out(user));
        let changed = users.filter(|user| state(self, user) != state(other, user));
        changed.copied().collect()
    }

    /// The invites of the root and the owners.
    #[must_use]
    pub const fn invites(&self) -> &BTreeMap<InviteKey, Invite> {
        &self.invites
    }

    /// The greatest number that counts about `user`; 0 if there is none.
    pub(crate) fn number(&self, user: &UserKey) -> u64 {
        let out = self.out.get(user).copied();
        self.member(user)
            .map(|member| member.number)
            .or(out)
            .unwrap_or(0)
    }
}

/// What decides about each user of whom something is held that counts.
fn verdicts<'a>(
    held: &'a Held,
    root: UserKey,
    owners: &BTreeSet<UserKey>,
) -> BTreeMap<UserKey, Verdict<'a>> {
    let mut verdicts = BTreeMap::<_, Verdict<'_>>::new();
    let mut contend = |user, verdict: Verdict<'a>| {
        let order = |verdict: &Verdict<'_>| (verdict.0, verdict.1, verdict.2);
        let best = verdicts.entry(user).or_insert(verdict);
        if order(&verdict) > order(best) {
            *best = verdict;
        }
    };
    contend(root, (0, false, None, None));
    for author in [root].iter().chain(owners) {
        for (entry, id) in held.statements_on_users(*author) {
            // Owners keep no other owner out, and not the root: she is the arbiter. They may bring
            // back one who left.
            let is_owner = entry.user == root || owners.contains(&entry.user);
            if *author == root || entry.is_in || !is_owner {
                contend(
                    entry.user,
                    (entry.number, !entry.is_in, Some(id), Some(entry)),
                );
            }
        }
    }
    for statement in held.statements() {
        if let Body::Leave(Leave { user, number, .. }) = statement.body() {
            contend(*user, (*number, true, Some(statement.id()), None));
        }
    }
    verdicts
}

fn profile(held: &Held, user: UserKey) -> Option<(Name, Vec<NodeKey>)> {
    let profile = held.profile(user)?;
    let nodes = profile.nodes.iter().map(|named| named.node).collect();
    Some((profile.name.clone(), nodes))
}

fn invites(held: &Held, root: UserKey, owners: &BTreeSet<UserKey>) -> BTreeMap<InviteKey, Invite> {
    let said = held.statements().filter_map(|statement| {
        let Body::Invite(minted) = statement.body() else {
            return None;
        };
        let counts = minted.author == root || owners.contains(&minted.author);
        counts.then_some(minted)
    });
    let mut invites = BTreeMap::new();
    let mut revoked = Vec::new();
    for minted in said {
        if minted.is_open {
            // Of two owners who mint one key, the one with the least key minted it.
            invites.entry(minted.invite).or_insert(Invite {
                by: minted.author,
                mode: minted.mode,
                is_open: true,
            });
        } else {
            revoked.push(minted);
        }
    }
    for minted in revoked {
        let invite = invites.entry(minted.invite).or_insert(Invite {
            by: minted.author,
            mode: minted.mode,
            is_open: false,
        });
        invite.is_open = false;
    }
    invites
}
