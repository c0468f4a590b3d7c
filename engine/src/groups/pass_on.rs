//! When requests to join are passed on to owners. Pure: the time is an argument.
//!
//! By a link that became public many users ask. Of the requests by one invite one is passed on every
//! few seconds, so that they cost owners little, however many members pass them on.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use pelago_groups::{GroupId, InviteKey, UserKey};

use super::mailbox::MAX_REQUESTS_OF_INVITE;

/// The pause between two requests by one invite.
const PAUSE: Duration = Duration::from_secs(5);

/// The requests of users that wait, by group and invite.
#[derive(Debug, Default)]
pub(super) struct PassOns(BTreeMap<(GroupId, InviteKey), Waiting>);

#[derive(Debug)]
struct Waiting {
    users: BTreeSet<UserKey>,
    due: Instant,
}

impl PassOns {
    /// Adds the request of a user. If too many wait already, it comes with the next round.
    pub(super) fn add(&mut self, group: GroupId, invite: InviteKey, user: UserKey, now: Instant) {
        let waiting = self.0.entry((group, invite)).or_insert(Waiting {
            users: BTreeSet::new(),
            due: now,
        });
        if waiting.users.len() < MAX_REQUESTS_OF_INVITE {
            waiting.users.insert(user);
        }
    }

    /// When something is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|waiting| waiting.due).min()
    }

    /// The requests that are to be passed on now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(GroupId, UserKey)> {
        let mut due = Vec::new();
        self.0.retain(|(group, _), waiting| {
            if waiting.due > now {
                return true;
            }
            waiting.due = now + PAUSE;
            let user = waiting.users.pop_first();
            due.extend(user.map(|user| (*group, user)));
            // The pause after the last one has ended.
            user.is_some()
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_by_one_invite_pass_one_by_one_and_others_do_not_wait_for_them() {
        let (mut requests, start) = (PassOns::default(), Instant::now());
        let group = GroupId::from_bytes([1; 32]);
        let [public, other] = [2, 3].map(|byte| InviteKey::from_bytes([byte; 32]));
        for user in 0..200 {
            requests.add(group, public, UserKey::from_bytes([user; 32]), start);
        }
        assert_eq!(requests.due(start).len(), 1);
        requests.add(group, other, UserKey::from_bytes([7; 32]), start);
        let of_other = vec![(group, UserKey::from_bytes([7; 32]))];
        assert_eq!(requests.due(start), of_other);
        let (mut passed, mut rounds) = (1, 0);
        while let Some(next) = requests.next() {
            passed += requests.due(next).len();
            rounds += 1;
        }
        assert_eq!(passed, MAX_REQUESTS_OF_INVITE);
        assert!(rounds >= MAX_REQUESTS_OF_INVITE);
        assert!(requests.0.is_empty());
    }
}
