//! Finds groups and users by what people type: a name, an id, or the beginning of an id. Pure.
//!
//! A name that several have, or that another name looks like, selects nothing: an error lists them.

use std::sync::Arc;

use pelago_groups::{GroupId, Name, UserKey};

use crate::groups::{Candidate, Group, GroupError, JoinStatus};

/// Digits of the shortest beginning of an id.
const MIN_DIGITS: usize = 8;

/// The group of `own` that `text` selects.
pub(super) fn group<'g>(
    groups: &'g [Arc<Group>],
    own: &UserKey,
    text: &str,
) -> Result<&'g Arc<Group>, GroupError> {
    let known = known(groups, own, text)?;
    match known.roster().is_in(own) {
        true => Ok(known),
        false => Err(GroupError::NotAMember(text.to_owned())),
    }
}

/// The group that `text` selects, also one to which `own` belongs no longer. Such a group does not
/// make the name of another one ambiguous.
pub(super) fn known<'g>(
    groups: &'g [Arc<Group>],
    own: &UserKey,
    text: &str,
) -> Result<&'g Arc<Group>, GroupError> {
    let named = groups.iter().filter_map(|group| {
        let roster = group.roster();
        Some(Candidate {
            id: group.id(),
            name: Some(roster.name()?.clone()),
            role: roster.role(own),
        })
    });
    let named: Vec<_> = named.collect();
    let joined = named.iter().filter(|candidate| candidate.role.is_some());
    let joined: Vec<_> = joined.cloned().collect();
    let selected = match select(&joined, text) {
        Selected::Missing => select(&named, text),
        selected => selected,
    };
    let find = |id: GroupId| groups.iter().find(|group| group.id() == id);
    match selected {
        Selected::One(id) => find(id).ok_or_else(|| GroupError::UnknownGroup(text.to_owned())),
        Selected::Several(groups) => Err(GroupError::AmbiguousName {
            name: text.to_owned(),
            groups,
        }),
        Selected::Missing => Err(GroupError::UnknownGroup(text.to_owned())),
    }
}

/// The group that the user `own` asked to join and that `text` selects, by its id or by the name in
/// the link.
pub(super) fn join(
    groups: &[Arc<Group>],
    own: &UserKey,
    text: &str,
) -> Result<GroupId, GroupError> {
    let asked = groups.iter().filter(|group| {
        let own = group.own_join();
        own.is_some_and(|own| own.status != JoinStatus::Withdrawn)
    });
    let candidates = asked.map(|group| Candidate {
        id: group.id(),
        name: join_name(group).and_then(|name| name.parse().ok()),
        role: group.roster().role(own),
    });
    let candidates: Vec<_> = candidates.collect();
    match select(&candidates, text) {
        Selected::One(id) => Ok(id),
        Selected::Several(groups) => Err(GroupError::AmbiguousName {
            name: text.to_owned(),
            groups,
        }),
        Selected::Missing => {
            let by_id = candidates.iter().map(|candidate| candidate.id);
            by_digits(by_id, text).ok_or_else(|| GroupError::UnknownJoin(text.to_owned()))
        }
    }
}

/// What the group of a request is called: by its founder, or in the link.
pub(super) fn join_name(group: &Group) -> Option<String> {
    let named = group.roster().name().map(ToString::to_string);
    named.or_else(|| group.own_join()?.name.clone())
}

/// The user among `users` that `text` selects.
pub(super) fn user(users: &[Candidate<UserKey>], text: &str) -> Result<UserKey, GroupError> {
    // A user without a name yet is found by key only.
    let by_key = users.iter().filter(|user| abbreviates(text, &user.id));
    let by_key: Vec<_> = by_key.cloned().collect();
    let ambiguous = |users| GroupError::AmbiguousUser {
        name: text.to_owned(),
        users,
    };
    match (select(users, text), &by_key[..]) {
        (Selected::Missing, [one]) => Ok(one.id),
        (Selected::Missing, []) => Err(GroupError::UnknownUser(text.to_owned())),
        (Selected::Missing, _) => Err(ambiguous(by_key)),
        (Selected::One(user), _) => Ok(user),
        (Selected::Several(users), _) => Err(ambiguous(users)),
    }
}

/// The id that `text` is, or that alone begins with it.
pub(super) fn by_digits<Id: Copy + ToString>(
    ids: impl IntoIterator<Item = Id>,
    text: &str,
) -> Option<Id> {
    let mut found = ids.into_iter().filter(|id| abbreviates(text, id));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

#[derive(Debug, PartialEq, Eq)]
enum Selected<Id> {
    One(Id),
    Several(Vec<Candidate<Id>>),
    Missing,
}

/// What `text` selects: by the whole id, by name, or by the beginning of the id.
fn select<Id: Copy + ToString>(candidates: &[Candidate<Id>], text: &str) -> Selected<Id> {
    let of_id = |candidate: &&Candidate<Id>| candidate.id.to_string().eq_ignore_ascii_case(text);
    if let Some(candidate) = candidates.iter().find(of_id) {
        return Selected::One(candidate.id);
    }
    let name = text.parse::<Name>().ok();
    let has_name = |of: &Candidate<Id>| name.is_some() && of.name == name;
    if candidates.iter().any(has_name) {
        let looks = |of: &Name| name.as_ref().is_some_and(|name| of.looks_like(name));
        let alike = candidates.iter();
        let alike = alike.filter(|of| has_name(of) || of.name.as_ref().is_some_and(looks));
        return selected(alike.cloned().collect());
    }
    let named = candidates
        .iter()
        .filter(|candidate| candidate.name.is_some());
    let begun = named.filter(|candidate| abbreviates(text, &candidate.id));
    selected(begun.cloned().collect())
}

fn selected<Id: Copy>(found: Vec<Candidate<Id>>) -> Selected<Id> {
    match &found[..] {
        [] => Selected::Missing,
        [one] => Selected::One(one.id),
        _ => Selected::Several(found),
    }
}

/// Whether `text` is the beginning of `id`, and long enough to stand for it.
fn abbreviates(text: &str, id: &impl ToString) -> bool {
    let id = id.to_string();
    let start = id.get(..text.len());
    text.len() >= MIN_DIGITS && start.is_some_and(|start| start.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use pelago_groups::Role;

    use super::*;

    fn candidate(byte: u8, name: &str) -> Candidate<UserKey> {
        Candidate {
            id: UserKey::from_bytes([byte; 32]),
            name: name.parse().ok(),
            role: Some(Role::Member),
        }
    }

    #[test]
    fn a_name_that_another_looks_like_selects_nothing() {
        // The second has a Cyrillic letter.
        let names = ["anna", "\u{430}nna", "bert", "Bert"].into_iter();
        let users: Vec<_> = (1..)
            .zip(names)
            .map(|(key, name)| candidate(key, name))
            .collect();
        let key = |byte| UserKey::from_bytes([byte; 32]);
        assert_eq!(
            select(&users, "anna"),
            Selected::Several(users[..2].to_vec())
        );
        assert_eq!(
            select(&users, "bert"),
            Selected::Several(users[2..].to_vec())
        );
        assert_eq!(select(&users, &key(1).to_string()), Selected::One(key(1)));
        assert_eq!(select(&users, "02020202"), Selected::One(key(2)));
        assert_eq!(select(&users, "0202020"), Selected::Missing, "too short");
        assert_eq!(select(&users, "carl"), Selected::Missing);
        assert_eq!(select(&users[..1], "anna"), Selected::One(key(1)));
        let ambiguous = user(&users, "bert").unwrap_err().to_string();
        assert!(ambiguous.contains("04 (Bert, member)"), "{ambiguous}");
    }

    #[test]
    fn a_user_without_a_name_is_found_by_key() {
        let users = [candidate(7, "")];
        assert_eq!(user(&users, "07070707").unwrap(), users[0].id);
        assert!(matches!(
            user(&users, "anna"),
            Err(GroupError::UnknownUser(_))
        ));
    }
}
