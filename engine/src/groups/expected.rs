//! Which statements of a peer have a place in a group: the others cost no verification. Pure.

use std::collections::BTreeSet;

use pelago_groups::{Body, Slot, Statement, UserKey};

use super::group::Group;

/// Whose statements have a place in a group, and about whom.
#[derive(Debug)]
pub(super) struct Expected {
    root: Option<UserKey>,
    /// The root, and the users whom she marks as owners, now or once.
    authors: BTreeSet<UserKey>,
    /// The authors, and the users whom entries name.
    users: BTreeSet<UserKey>,
    /// The user of this node, if he is not in: only what shows whether he is has a place.
    outside: Option<UserKey>,
}

impl Expected {
    /// What has a place beside what `group` holds, on a node of the user `own`.
    pub(super) fn of(group: &Group, own: UserKey) -> Self {
        let mut expected = Self {
            root: None,
            authors: BTreeSet::new(),
            users: BTreeSet::new(),
            outside: (!group.roster().is_in(&own)).then_some(own),
        };
        expected.found(group.roster().root());
        for statement in group.held().statements() {
            expected.learn(statement);
        }
        expected
    }

    /// The group's id shows that this user founded it.
    pub(super) fn found(&mut self, root: Option<UserKey>) {
        self.root = self.root.or(root);
        self.authors.extend(root);
        self.users.extend(root);
    }

    /// A place follows from a valid statement for others.
    pub(super) fn learn(&mut self, statement: &Statement) {
        if let Body::Entry(entry) = statement.body()
            && self.authors.contains(&entry.author)
        {
            self.users.insert(entry.user);
            if Some(entry.author) == self.root && entry.ownership.is_some() {
                self.authors.insert(entry.user);
            }
        }
    }

    /// The order in which statements give each other their places.
    pub(super) fn step(&self, statement: &Statement) -> u8 {
        match statement.slot() {
            Slot::Founding => 0,
            Slot::Entry(author, _) if Some(author) == self.root => 1,
            Slot::Entry(..) => 2,
            _ => 3,
        }
    }

    /// Whether a statement of the group, or of a user, has a place.
    pub(super) fn has_place(&self, statement: &Statement) -> bool {
        let is_about = |user: &UserKey| self.outside.is_none_or(|own| own == *user);
        match statement.body() {
            Body::Founding(_) => true,
            Body::Entry(entry) => {
                let is_mark = Some(entry.author) == self.root && entry.ownership.is_some();
                self.authors.contains(&entry.author) && (is_mark || is_about(&entry.user))
            }
            Body::Invite(minted) => self.authors.contains(&minted.author) && self.outside.is_none(),
            Body::Leave(pelago_groups::Leave { user, .. })
            | Body::User(pelago_groups::UserProfile { user, .. }) => {
                self.users.contains(user) && is_about(user)
            }
            Body::Request(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use pelago_groups::{Secret, acts};

    use super::*;

    fn secret(seed: u8) -> Secret<UserKey> {
        Secret::from_seed([seed; 32])
    }

    fn profile(seed: u8) -> Statement {
        acts::name_user(&secret(seed), "bert".parse().unwrap(), Vec::new(), None).unwrap()
    }

    #[test]
    fn only_what_a_group_may_hold_has_a_place() {
        let founding = acts::found(&secret(0), &"family".parse().unwrap(), [7; 16]);
        let mut group = Group::new(founding.group().unwrap());
        group.merge([founding]);
        let mut larger = group.clone();
        for user in [1, 2] {
            let admitted = acts::admit(larger.held(), &secret(0), secret(user).key(), None);
            larger.merge([admitted.unwrap()]);
        }
        let marked = acts::make_owner(larger.held(), &secret(0), secret(1).key()).unwrap();
        larger.merge([marked.clone()]);
        let by_owner = acts::remove(larger.held(), &secret(1), secret(2).key(), None).unwrap();

        let mut expected = Expected::of(&group, secret(0).key());
        assert!(expected.has_place(&marked) && !expected.has_place(&by_owner));
        assert!(!expected.has_place(&profile(1)));
        assert!(expected.step(&marked) < expected.step(&by_owner));
        expected.learn(&by_owner);
        assert!(!expected.has_place(&profile(2)), "he has no say yet");
        expected.learn(&marked);
        assert!(expected.has_place(&by_owner) && expected.has_place(&profile(1)));
    }

    #[test]
    fn a_user_who_is_not_in_holds_what_shows_it_and_no_members() {
        let founding = acts::found(&secret(0), &"family".parse().unwrap(), [7; 16]);
        let mut group = Group::new(founding.group().unwrap());
        group.merge([founding]);
        let admitted = acts::admit(group.held(), &secret(0), secret(1).key(), None).unwrap();
        group.merge([admitted.clone()]);
        let marked = acts::make_owner(group.held(), &secret(0), secret(1).key()).unwrap();
        let outside = Expected::of(&group, secret(2).key());
        assert!(outside.has_place(&marked));
        assert!(!outside.has_place(&admitted) && !outside.has_place(&profile(1)));
        let own = acts::admit(group.held(), &secret(0), secret(2).key(), None).unwrap();
        assert!(outside.has_place(&own));
    }
}
