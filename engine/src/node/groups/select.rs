//! Finds groups and users by what people type: a name, an id, or the beginning of an id. Pure.
//!
//! A name that several have, or that another name looks like, selects nothing: an error lists the ids.

use pelago_groups::{GroupId, Name, UserKey};

use crate::groups::{Group, GroupError};

/// Digits of the shortest beginning of an id.
const MIN_DIGITS: usize = 8;

/// The group that `text` selects, to which the user `own` belongs.
pub(super) fn group<'g>(
    groups: &'g [std::sync::Arc<Group>],
    own: &UserKey,
    text: &str,
) -> Result<&'g std::sync::Arc<Group>, GroupError> {
    let group = known(groups, own, text)?;
    match group.roster().is_in(own) {
        true => Ok(group),
        false => Err(GroupError::NotAMember(text.to_owned())),
    }
}

/// The group that `text` selects, to which the user `own` need not belong.
pub(super) fn known<'g>(
    groups: &'g [std::sync::Arc<Group>],
    own: &UserKey,
    text: &str,
) -> Result<&'g std::sync::Arc<Group>, GroupError> {
    let named = groups.iter().filter_map(|group| {
        let name = group.roster().name()?;
        Some((group.id(), name.clone()))
    });
    let named: Vec<_> = named.collect();
    let find = |id: GroupId| groups.iter().find(|group| group.id() == id);
    let is_joined = |id: &GroupId| find(*id).is_some_and(|group| group.roster().is_in(own));
    // A group that the user has left does not make the name of another one ambiguous.
    let joined: Vec<_> = named
        .iter()
        .filter(|(id, _)| is_joined(id))
        .cloned()
        .collect();
    let selected = match select(&joined, text) {
        Selected::Missing => select(&named, text),
        selected => selected,
    };
    match selected {
        Selected::One(id) => find(id).ok_or_else(|| GroupError::UnknownGroup(text.to_owned())),
        Selected::Several(groups) => Err(GroupError::AmbiguousName {
            name: text.to_owned(),
            groups,
        }),
        Selected::Missing => Err(GroupError::UnknownGroup(text.to_owned())),
    }
}

/// The user among `users` that `text` selects.
pub(super) fn user(users: &[(UserKey, Option<Name>)], text: &str) -> Result<UserKey, GroupError> {
    // A user without a name yet is found by key only.
    let named = users
        .iter()
        .filter_map(|(user, name)| Some((*user, name.clone()?)));
    let named: Vec<_> = named.collect();
    let by_name = select(&named, text);
    let by_key: Vec<_> = users
        .iter()
        .map(|(user, _)| *user)
        .filter(|user| abbreviates(text, user))
        .collect();
    match (by_name, &by_key[..]) {
        (Selected::Missing, [one]) => Ok(*one),
        (Selected::Missing, []) => Err(GroupError::UnknownUser(text.to_owned())),
        (Selected::Missing, several) => Err(GroupError::AmbiguousUser {
            name: text.to_owned(),
            users: several.to_vec(),
        }),
        (Selected::One(user), _) => Ok(user),
        (Selected::Several(users), _) => Err(GroupError::AmbiguousUser {
            name: text.to_owned(),
            users,
        }),
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
    Several(Vec<Id>),
    Missing,
}

/// What `text` selects: by the whole id, by name, or by the beginning of the id.
fn select<Id: Copy + ToString>(named: &[(Id, Name)], text: &str) -> Selected<Id> {
    let ids = named.iter().map(|(id, _)| *id);
    if let Some(id) = ids
        .clone()
        .find(|id| id.to_string().eq_ignore_ascii_case(text))
    {
        return Selected::One(id);
    }
    let name = text.parse::<Name>().ok();
    let has_name = |of: &Name| name.as_ref().is_some_and(|name| of == name);
    if named.iter().any(|(_, of)| has_name(of)) {
        let looks = |of: &Name| name.as_ref().is_some_and(|name| of.looks_like(name));
        let alike = named.iter().filter(|(_, of)| has_name(of) || looks(of));
        return selected(alike.map(|(id, _)| *id).collect());
    }
    selected(ids.filter(|id| abbreviates(text, id)).collect())
}

fn selected<Id: Copy>(found: Vec<Id>) -> Selected<Id> {
    match found[..] {
        [] => Selected::Missing,
        [one] => Selected::One(one),
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
    use super::*;

    fn named(names: &[(u8, &str)]) -> Vec<(UserKey, Name)> {
        let named = names.iter();
        named
            .map(|(key, name)| (UserKey::from_bytes([*key; 32]), name.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_name_that_another_looks_like_selects_nothing() {
        // The second has a Cyrillic letter.
        let users = named(&[(1, "anna"), (2, "\u{430}nna"), (3, "bert"), (4, "Bert")]);
        let key = |byte| UserKey::from_bytes([byte; 32]);
        assert_eq!(
            select(&users, "anna"),
            Selected::Several(vec![key(1), key(2)])
        );
        assert_eq!(
            select(&users, "bert"),
            Selected::Several(vec![key(3), key(4)])
        );
        assert_eq!(select(&users, &key(1).to_string()), Selected::One(key(1)));
        assert_eq!(select(&users, "02020202"), Selected::One(key(2)));
        assert_eq!(select(&users, "0202020"), Selected::Missing, "too short");
        assert_eq!(select(&users, "carl"), Selected::Missing);
        assert_eq!(select(&users[..1], "anna"), Selected::One(key(1)));
    }

    #[test]
    fn a_user_without_a_name_is_found_by_key() {
        let users = [(UserKey::from_bytes([7; 32]), None)];
        assert_eq!(user(&users, "07070707").unwrap(), users[0].0);
        assert!(matches!(
            user(&users, "anna"),
            Err(GroupError::UnknownUser(_))
        ));
    }
}
