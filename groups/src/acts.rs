//! What users do: each act is one statement, or a few, over what is held now.
//!
//! A change of a user's state takes the number after the greatest that counts about the user, so it
//! wins over everything its author has seen. None of these functions changes what is held: the caller
//! stores the statements, merges them and sends them.

use std::collections::{BTreeMap, BTreeSet};

use serde_bytes::ByteArray;

use crate::{
    group_id::GroupId,
    held::{Held, MAX_ENTRIES},
    keys::{InviteKey, Secret, UserKey},
    name::Name,
    roster::{Invite, MAX_MEMBERS, MAX_OWNERS, Role, Roster},
    statement::{
        Body, Entry, Founding, InviteMode, Leave, MAX_NUMBER, MintedInvite, NodeConsent, Ownership,
        Statement, UserProfile,
    },
};

/// How many open invites an owner has at a time.
pub const MAX_OPEN_INVITES: usize = 32;

/// Why a user cannot do something in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// Only owners may.
    #[error("only an owner of the group can do this")]
    NotAnOwner,
    /// Only the root may.
    #[error("only the user who founded the group can do this")]
    NotTheRoot,
    /// The user is not in the group.
    #[error("this user is not in the group")]
    NotIn,
    /// The user is in the group already.
    #[error("this user is in the group already")]
    AlreadyIn,
    /// The user is an owner already.
    #[error("this user is an owner already")]
    AlreadyOwner,
    /// The user is not an owner.
    #[error("this user is not an owner")]
    NotOwner,
    /// An owner is removed by the root only, who drops him first.
    #[error("this user is an owner: the user who founded the group has to drop the owner first")]
    IsOwner,
    /// Nobody decides about the root.
    #[error("this user founded the group and cannot be removed")]
    IsRoot,
    /// The group is full.
    #[error("the group is full: it has {MAX_MEMBERS} members")]
    Full,
    /// There are too many owners.
    #[error("the group has {MAX_OWNERS} owners, which is the limit: drop one first")]
    TooManyOwners,
    /// There are too many open invites.
    #[error("{MAX_OPEN_INVITES} of your invites are open, which is the limit: revoke one first")]
    TooManyInvites,
    /// No owner has minted the invite.
    #[error("no owner of the group has minted this invite")]
    UnknownInvite,
    /// The author has said something of too many users or invites.
    #[error(
        "you have decided about {MAX_ENTRIES} users of this group, or minted as many invites, which is \
         the limit: another owner has to do this"
    )]
    TooManyEntries,
    /// An owner has used up the numbers of this user.
    #[error(
        "an owner has used up the numbers of this user: the user who founded the group has to drop \
         that owner"
    )]
    NumbersUsedUp,
}

/// Names a user and his nodes. `before` is his statement so far.
///
/// # Errors
/// The numbers of the user are used up.
pub fn name_user(
    secret: &Secret<UserKey>,
    name: Name,
    nodes: Vec<NodeConsent>,
    before: Option<&Statement>,
) -> Result<Statement, ActError> {
    let before = before.and_then(Statement::profile);
    let number = before.map_or(0, |before| before.number);
    let profile = UserProfile {
        name,
        number: after(number)?,
        nodes,
        user: secret.key(),
    };
    Ok(Statement::sign(Body::User(profile), secret))
}

/// Founds a group. `salt` is random.
#[must_use]
pub fn found(secret: &Secret<UserKey>, name: &Name, salt: [u8; 16]) -> Statement {
    let founding = Founding {
        root: secret.key(),
        name: name.clone(),
        number: 1,
        salt: ByteArray::new(salt),
        moved: None,
    };
    Statement::sign(Body::Founding(founding), secret)
}

/// Renames a group.
///
/// # Errors
/// The user did not found it.
pub fn rename(held: &Held, secret: &Secret<UserKey>, name: Name) -> Result<Statement, ActError> {
    change_founding(held, secret, |founding| founding.name = name)
}

/// Names the group that takes the place of this one.
///
/// # Errors
/// The user did not found it.
pub fn move_to(
    held: &Held,
    secret: &Secret<UserKey>,
    other: GroupId,
) -> Result<Statement, ActError> {
    change_founding(held, secret, |founding| founding.moved = Some(other))
}

fn change_founding(
    held: &Held,
    secret: &Secret<UserKey>,
    change: impl FnOnce(&mut Founding),
) -> Result<Statement, ActError> {
    let founding = held
        .founding()
        .filter(|founding| founding.root == secret.key());
    let mut founding = founding.ok_or(ActError::NotTheRoot)?.clone();
    founding.number = after(founding.number)?;
    change(&mut founding);
    Ok(Statement::sign(Body::Founding(founding), secret))
}

/// Admits `user`, who came by the invite `via`. The root admits also herself, after she left: with
/// her key the group can be taken back.
///
/// # Errors
/// The author is not an owner, the user is in, or the group is full.
pub fn admit(
    held: &Held,
    secret: &Secret<UserKey>,
    user: UserKey,
    via: Option<InviteKey>,
) -> Result<Statement, ActError> {
    let roster = owned(held, secret)?;
    if roster.is_in(&user) {
        return Err(ActError::AlreadyIn);
    }
    if roster.members().len() >= MAX_MEMBERS && roster.root() != Some(user) {
        return Err(ActError::Full);
    }
    let number = after(roster.number(&user))?;
    let state = State {
        number,
        is_in: true,
        via,
    };
    entry(held, secret, user, state)
}

/// Removes `user`, or rejects the request of one who is not in: the invite `via` is used up.
///
/// # Errors
/// The author is not an owner, or the user is one.
pub fn remove(
    held: &Held,
    secret: &Secret<UserKey>,
    user: UserKey,
    via: Option<InviteKey>,
) -> Result<Statement, ActError> {
    let roster = owned(held, secret)?;
    match roster.role(&user) {
        Some(Role::Root) => return Err(ActError::IsRoot),
        Some(Role::Owner) => return Err(ActError::IsOwner),
        _ => {}
    }
    let via = via.or_else(|| roster.member(&user).and_then(|member| member.via));
    let number = after(roster.number(&user))?;
    let state = State {
        number,
        is_in: false,
        via,
    };
    entry(held, secret, user, state)
}

/// Makes `user` an owner. This changes nothing about who is in, so it contends with nobody.
///
/// # Errors
/// The author did not found the group, the user is not in or is an owner, or there are too many.
pub fn make_owner(
    held: &Held,
    secret: &Secret<UserKey>,
    user: UserKey,
) -> Result<Statement, ActError> {
    let roster = rooted(held, secret)?;
    match roster.role(&user) {
        None => return Err(ActError::NotIn),
        Some(Role::Owner | Role::Root) => return Err(ActError::AlreadyOwner),
        Some(Role::Member) => {}
    }
    if roster.owners().count() >= MAX_OWNERS {
        return Err(ActError::TooManyOwners);
    }
    let state = State {
        number: roster.number(&user).max(1),
        is_in: true,
        via: roster.member(&user).and_then(|member| member.via),
    };
    Ok(mark(held, secret, user, state, Ownership::Now))
}

/// Who would be in or out in place of the other if `owner` were dropped, and whether each is in now.
///
/// # Errors
/// The author did not found the group, or the user is not an owner.
pub fn outcomes_of_drop(
    held: &Held,
    secret: &Secret<UserKey>,
    owner: UserKey,
) -> Result<BTreeMap<UserKey, bool>, ActError> {
    let dropped = unmark(held, secret, owner)?;
    let after_drop = Roster::of(&with(held, &dropped));
    Ok(changed(&Roster::of(held), &after_drop).collect())
}

/// Drops `owner`, whose entries count no more. Of those who would change by that, keeps as they are
/// those that `keeps` confirms.
///
/// # Errors
/// The author did not found the group, or the user is not an owner.
pub fn drop_owner(
    held: &Held,
    secret: &Secret<UserKey>,
    owner: UserKey,
    keeps: impl Fn(&UserKey) -> bool,
) -> Result<Vec<Statement>, ActError> {
    let dropped = unmark(held, secret, owner)?;
    let remaining = with(held, &dropped);
    let (before, after_drop) = (Roster::of(held), Roster::of(&remaining));
    let mut statements = vec![dropped];
    for (user, is_in) in changed(&before, &after_drop).filter(|(user, _)| keeps(user)) {
        let state = State {
            // The outcome, never the number: one who wrote the greatest number has harmed nothing.
            number: after(after_drop.number(&user))?,
            is_in,
            via: before.member(&user).and_then(|member| member.via),
        };
        statements.push(entry(&remaining, secret, user, state)?);
    }
    // What the owner revoked stays revoked.
    for (invite, state) in before.invites() {
        let reopens = |after: &Invite| after.is_open && !state.is_open;
        if after_drop.invites().get(invite).is_some_and(reopens) {
            statements.push(invite_statement(held, secret, *invite, state.mode, false));
        }
    }
    Ok(statements)
}

/// Leaves a group. Everyone may, always: of equal numbers, the one by which a user is out wins.
#[must_use]
pub fn leave(held: &Held, secret: &Secret<UserKey>) -> Statement {
    let user = secret.key();
    let number = Roster::of(held).number(&user);
    let leave = Leave {
        group: held.group(),
        number: after(number).unwrap_or(MAX_NUMBER),
        user,
    };
    Statement::sign(Body::Leave(leave), secret)
}

/// Invites by the key `invite`.
///
/// # Errors
/// The author is not an owner, or has too many open invites.
pub fn mint(
    held: &Held,
    secret: &Secret<UserKey>,
    invite: InviteKey,
    mode: InviteMode,
) -> Result<Statement, ActError> {
    let roster = owned(held, secret)?;
    let open = roster.invites().values();
    let own = open.filter(|invite| invite.is_open && invite.by == secret.key());
    if own.count() >= MAX_OPEN_INVITES {
        return Err(ActError::TooManyInvites);
    }
    if held.invites_of(secret.key()).count() >= MAX_ENTRIES {
        return Err(ActError::TooManyEntries);
    }
    Ok(invite_statement(held, secret, invite, mode, true))
}

/// Revokes an invite, whoever of the owners minted it.
///
/// # Errors
/// The author is not an owner, or the invite is unknown.
pub fn revoke(
    held: &Held,
    secret: &Secret<UserKey>,
    invite: InviteKey,
) -> Result<Statement, ActError> {
    let roster = owned(held, secret)?;
    let minted = roster.invites().get(&invite);
    let mode = minted.ok_or(ActError::UnknownInvite)?.mode;
    Ok(invite_statement(held, secret, invite, mode, false))
}

fn owned(held: &Held, secret: &Secret<UserKey>) -> Result<Roster, ActError> {
    let roster = Roster::of(held);
    // What the root says counts also after she left.
    let is_root = roster.root() == Some(secret.key());
    match is_root || roster.is_owner(&secret.key()) {
        true => Ok(roster),
        false => Err(ActError::NotAnOwner),
    }
}

fn rooted(held: &Held, secret: &Secret<UserKey>) -> Result<Roster, ActError> {
    let roster = Roster::of(held);
    match roster.root() == Some(secret.key()) {
        true => Ok(roster),
        false => Err(ActError::NotTheRoot),
    }
}

fn after(number: u64) -> Result<u64, ActError> {
    let next = number + 1;
    if next > MAX_NUMBER {
        return Err(ActError::NumbersUsedUp);
    }
    Ok(next)
}

/// Whether a user is in, by what number, and by which invite.
struct State {
    number: u64,
    is_in: bool,
    via: Option<InviteKey>,
}

/// An entry that leaves the role of the user as it is.
fn entry(
    held: &Held,
    secret: &Secret<UserKey>,
    user: UserKey,
    state: State,
) -> Result<Statement, ActError> {
    let before = held.entry(secret.key(), user);
    // What exceeds the limit would not be held, and change nothing.
    if before.is_none() && held.entries_of(secret.key()).count() >= MAX_ENTRIES {
        return Err(ActError::TooManyEntries);
    }
    let role = before.map_or((None, 0), |before| (before.ownership, before.role_number));
    // An owner who left is still one: what he decided holds until he is dropped.
    if !state.is_in && role.0 == Some(Ownership::Now) {
        return Err(ActError::IsOwner);
    }
    Ok(signed(held, secret, user, state, role))
}

/// An entry that changes the role of the user.
fn mark(
    held: &Held,
    secret: &Secret<UserKey>,
    user: UserKey,
    state: State,
    ownership: Ownership,
) -> Statement {
    let before = held.entry(secret.key(), user);
    let role_number = before.map_or(1, |before| {
        before.role_number.saturating_add(1).min(MAX_NUMBER)
    });
    signed(held, secret, user, state, (Some(ownership), role_number))
}

fn signed(
    held: &Held,
    secret: &Secret<UserKey>,
    user: UserKey,
    State { number, is_in, via }: State,
    (ownership, role_number): (Option<Ownership>, u64),
) -> Statement {
    let entry = Entry {
        author: secret.key(),
        group: held.group(),
        is_in,
        number,
        ownership,
        role_number,
        user,
        via,
    };
    Statement::sign(Body::Entry(entry), secret)
}

fn unmark(held: &Held, secret: &Secret<UserKey>, owner: UserKey) -> Result<Statement, ActError> {
    rooted(held, secret)?;
    let before = held.entry(secret.key(), owner);
    let before = before.filter(|before| before.ownership == Some(Ownership::Now));
    let before = before.ok_or(ActError::NotOwner)?;
    let state = State {
        number: before.number,
        is_in: before.is_in,
        via: before.via,
    };
    Ok(mark(held, secret, owner, state, Ownership::Once))
}

/// What would be held with `statement`.
fn with(held: &Held, statement: &Statement) -> Held {
    let mut held = held.clone();
    held.merge([statement.clone()]);
    held
}

/// Who is in by one of the rosters alone, and whether by `before`. In the order of their keys.
fn changed<'r>(
    before: &'r Roster,
    after: &'r Roster,
) -> impl Iterator<Item = (UserKey, bool)> + 'r {
    let users: BTreeSet<_> = before
        .members()
        .keys()
        .chain(after.members().keys())
        .collect();
    let changed = users
        .into_iter()
        .filter(|user| before.is_in(user) != after.is_in(user));
    changed.map(|user| (*user, before.is_in(user)))
}

fn invite_statement(
    held: &Held,
    secret: &Secret<UserKey>,
    invite: InviteKey,
    mode: InviteMode,
    is_open: bool,
) -> Statement {
    let minted = MintedInvite {
        author: secret.key(),
        group: held.group(),
        mode,
        is_open,
        invite,
    };
    Statement::sign(Body::Invite(minted), secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Slot;

    /// A group of a root and users with the secrets 1 to 9.
    struct Group {
        held: Held,
        root: Secret<UserKey>,
    }

    fn secret(seed: u8) -> Secret<UserKey> {
        Secret::from_seed([seed; 32])
    }

    fn key(seed: u8) -> UserKey {
        secret(seed).key()
    }

    impl Group {
        fn new() -> Self {
            let root = secret(0);
            let founding = found(&root, &"family".parse().unwrap(), [7; 16]);
            let mut held = Held::new(founding.group().unwrap());
            held.merge([founding]);
            Self { held, root }
        }

        fn take(&mut self, statement: Result<Statement, ActError>) {
            self.held.merge([statement.unwrap()]);
        }

        fn admit(&mut self, by: u8, user: u8) {
            self.take(admit(&self.held, &secret(by), key(user), None));
        }

        fn remove(&mut self, by: u8, user: u8) {
            self.take(remove(&self.held, &secret(by), key(user), None));
        }

        fn make_owner(&mut self, user: u8) {
            self.take(make_owner(&self.held, &self.root, key(user)));
        }

        fn is_in(&self, user: u8) -> bool {
            Roster::of(&self.held).is_in(&key(user))
        }
    }

    #[test]
    fn owners_admit_and_remove_members_and_not_each_other() {
        let mut group = Group::new();
        assert_eq!(
            admit(&group.held, &secret(1), key(2), None),
            Err(ActError::NotAnOwner)
        );
        group.admit(0, 1);
        group.make_owner(1);
        group.admit(1, 2);
        assert!(group.is_in(0) && group.is_in(1) && group.is_in(2));
        group.admit(0, 3);
        group.make_owner(3);
        assert_eq!(
            remove(&group.held, &secret(1), key(3), None),
            Err(ActError::IsOwner)
        );
        assert_eq!(
            remove(&group.held, &secret(1), key(0), None),
            Err(ActError::IsRoot)
        );
        group.remove(3, 2);
        assert!(!group.is_in(2));
        group.admit(1, 2);
        assert!(group.is_in(2));
    }

    #[test]
    fn an_owner_who_wrote_the_greatest_number_everywhere_is_dropped_without_harm() {
        let mut group = Group::new();
        for user in [1, 2, 3] {
            group.admit(0, user);
        }
        group.make_owner(1);
        for user in [0, 2, 3, 4] {
            let entry = Entry {
                author: key(1),
                group: group.held.group(),
                is_in: user == 4,
                number: MAX_NUMBER,
                ownership: Some(Ownership::Now).filter(|_| user == 4),
                role_number: 0,
                user: key(user),
                via: None,
            };
            group.take(Ok(Statement::sign(Body::Entry(entry), &secret(1))));
        }
        assert!(group.is_in(0) && !group.is_in(2) && group.is_in(4));
        let again = admit(&group.held, &group.root, key(2), None);
        assert_eq!(again, Err(ActError::NumbersUsedUp));

        let outcomes = outcomes_of_drop(&group.held, &group.root, key(1)).unwrap();
        let expected = [(key(2), false), (key(3), false), (key(4), true)];
        assert_eq!(outcomes, BTreeMap::from(expected));
        // The root confirms that 3 is out; 2 is in again, and 4, whom only the owner admitted, out.
        let keeps = |user: &UserKey| *user == key(3);
        let statements = drop_owner(&group.held, &group.root, key(1), keeps).unwrap();
        group.held.merge(statements);
        assert_eq!(
            [1, 2, 3, 4].map(|user| group.is_in(user)),
            [true, true, false, false]
        );
        group.admit(0, 3);
        assert!(group.is_in(3), "everyone can return");

        // What the dropped owner signs now is held, and has no force.
        let past = Entry {
            author: key(1),
            group: group.held.group(),
            is_in: false,
            number: 77,
            ownership: None,
            role_number: 0,
            user: key(9),
            via: None,
        };
        group.take(Ok(Statement::sign(Body::Entry(past), &secret(1))));
        assert!(group.held.get(&Slot::Entry(key(1), key(9))).is_some());
        assert!(!Roster::of(&group.held).is_out(&key(9)));
    }

    #[test]
    fn who_leaves_is_out_and_may_be_admitted_again() {
        let mut group = Group::new();
        group.admit(0, 1);
        group.make_owner(1);
        group.admit(1, 2);
        group.take(Ok(leave(&group.held, &secret(1))));
        assert!(
            !group.is_in(1) && group.is_in(2),
            "what he decided holds until he is dropped"
        );
        group.admit(0, 1);
        assert_eq!(Roster::of(&group.held).role(&key(1)), Some(Role::Owner));
        group.take(Ok(leave(&group.held, &group.root)));
        assert!(!group.is_in(0) && group.is_in(1));
    }

    #[test]
    fn the_root_and_owners_who_left_come_back_and_no_owner_keeps_them_in() {
        let mut group = Group::new();
        for owner in [1, 2] {
            group.admit(0, owner);
            group.make_owner(owner);
        }
        group.take(Ok(leave(&group.held, &group.root)));
        group.take(Ok(leave(&group.held, &secret(2))));
        assert!(!group.is_in(0) && !group.is_in(2));
        group.admit(1, 0);
        group.admit(1, 2);
        let roster = Roster::of(&group.held);
        assert_eq!(roster.role(&key(0)), Some(Role::Root));
        assert_eq!(roster.role(&key(2)), Some(Role::Owner));

        // Alone, with her key, she takes the group back.
        for user in [0, 1, 2] {
            group.take(Ok(leave(&group.held, &secret(user))));
        }
        group.admit(0, 0);
        assert!(group.is_in(0) && !group.is_in(1));
        let forever = Entry {
            author: key(1),
            group: group.held.group(),
            is_in: true,
            number: MAX_NUMBER,
            ownership: None,
            role_number: 0,
            user: key(0),
            via: None,
        };
        group.take(Ok(Statement::sign(Body::Entry(forever), &secret(1))));
        group.take(Ok(leave(&group.held, &group.root)));
        assert!(!group.is_in(0));
    }

    #[test]
    fn an_owner_who_left_is_dropped_before_the_root_rejects_him() {
        let mut group = Group::new();
        group.admit(0, 1);
        group.make_owner(1);
        group.take(Ok(leave(&group.held, &secret(1))));
        let rejected = |group: &Group| remove(&group.held, &group.root, key(1), None).map(drop);
        assert_eq!(rejected(&group), Err(ActError::IsOwner));
        for dropped in drop_owner(&group.held, &group.root, key(1), |_| true).unwrap() {
            group.take(Ok(dropped));
        }
        assert_eq!(rejected(&group), Ok(()));
    }

    #[test]
    fn a_role_changes_without_a_new_number() {
        let mut group = Group::new();
        group.admit(0, 1);
        let number = Roster::of(&group.held).number(&key(1));
        group.make_owner(1);
        assert_eq!(Roster::of(&group.held).number(&key(1)), number);
        let statements = drop_owner(&group.held, &group.root, key(1), |_| true).unwrap();
        assert_eq!(statements.len(), 1);
        group.held.merge(statements);
        assert_eq!(Roster::of(&group.held).role(&key(1)), Some(Role::Member));
        group.make_owner(1);
        assert_eq!(Roster::of(&group.held).role(&key(1)), Some(Role::Owner));
        assert_eq!(Roster::of(&group.held).number(&key(1)), number);
    }

    #[test]
    fn whoever_of_the_owners_revokes_an_invite_it_stays_revoked() {
        let mut group = Group::new();
        group.admit(0, 1);
        group.make_owner(1);
        let invite = InviteKey::from_bytes([5; 32]);
        let minted = mint(&group.held, &secret(1), invite, InviteMode::Ask).unwrap();
        group.held.merge([minted.clone()]);
        assert!(Roster::of(&group.held).invites()[&invite].is_open);
        group.take(revoke(&group.held, &group.root, invite));
        group.held.merge([minted]);
        let state = Roster::of(&group.held).invites()[&invite];
        assert_eq!((state.is_open, state.by), (false, key(1)));

        // Also when the owner who revoked it is dropped.
        let invite = InviteKey::from_bytes([6; 32]);
        group.take(mint(&group.held, &group.root, invite, InviteMode::Ask));
        group.take(revoke(&group.held, &secret(1), invite));
        let statements = drop_owner(&group.held, &group.root, key(1), |_| true).unwrap();
        group.held.merge(statements);
        assert!(!Roster::of(&group.held).invites()[&invite].is_open);
    }

    #[test]
    fn limits_hold_where_they_are_acted_on() {
        let mut group = Group::new();
        for user in 1..=8 {
            group.admit(0, user);
        }
        for user in 1..=7 {
            group.make_owner(user);
        }
        let ninth = make_owner(&group.held, &group.root, key(8));
        assert_eq!(ninth, Err(ActError::TooManyOwners));
        for number in 0..MAX_OPEN_INVITES {
            let invite = InviteKey::from_bytes([u8::try_from(number).unwrap(); 32]);
            group.take(mint(&group.held, &secret(1), invite, InviteMode::Auto));
        }
        let invite = InviteKey::from_bytes([99; 32]);
        let refused = mint(&group.held, &secret(1), invite, InviteMode::Auto);
        assert_eq!(refused, Err(ActError::TooManyInvites));
        assert!(mint(&group.held, &secret(2), invite, InviteMode::Auto).is_ok());
    }
}
