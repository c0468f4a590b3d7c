//! The requests to join a group that a member keeps until an owner decides. Pure.
//!
//! When there are too many, a random request from the place with the most of them goes: a flood from
//! one place displaces itself.

use std::collections::{BTreeMap, HashMap};

use pelago_groups::{JoinRequest, UserKey};

/// Requests that are kept for a group, at most: 200 KiB with their profiles.
pub(super) const MAX_REQUESTS: usize = 64;

/// Requests that are kept for one invite, at most: a link that became public leaves space for others.
pub(super) const MAX_REQUESTS_OF_INVITE: usize = 32;

/// A request to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRequest {
    /// What the user asks, and states of himself.
    pub join: JoinRequest,
    /// When it arrived, in seconds since 1970.
    pub received: u64,
    /// Equal for requests from one place.
    pub origin: u64,
}

/// The requests to join one group: one for each user.
#[derive(Clone, Debug, Default)]
pub(super) struct Mailbox(BTreeMap<UserKey, HeldRequest>);

impl Mailbox {
    /// Keeps a request in place of an earlier one of the user, also one that is withdrawn: who still
    /// has the earlier one cannot bring it back. `random` returns a number below its
    /// argument. Returns whether the request is new and is kept.
    pub(super) fn add(
        &mut self,
        request: HeldRequest,
        mut random: impl FnMut(usize) -> usize,
    ) -> bool {
        let (user, invite) = (request.join.asked().user, request.join.asked().invite);
        if self
            .get(&user)
            .is_some_and(|known| !request.join.request().supersedes(known.join.request()))
        {
            return false;
        }
        self.0.insert(user, request);
        let is_of_invite = |request: &HeldRequest| request.join.asked().invite == invite;
        self.make_space(MAX_REQUESTS_OF_INVITE, is_of_invite, &mut random);
        self.make_space(MAX_REQUESTS, |_| true, &mut random);
        self.0.contains_key(&user)
    }

    pub(super) fn get(&self, user: &UserKey) -> Option<&HeldRequest> {
        self.0.get(user)
    }

    pub(super) fn remove(&mut self, user: &UserKey) -> Option<HeldRequest> {
        self.0.remove(user)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&UserKey, &HeldRequest)> {
        self.0.iter()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Removes a request if more than `limit` are like it.
    fn make_space(
        &mut self,
        limit: usize,
        is_alike: impl Fn(&HeldRequest) -> bool,
        random: &mut impl FnMut(usize) -> usize,
    ) {
        let alike: Vec<_> = self
            .0
            .iter()
            .filter(|(_, request)| is_alike(request))
            .collect();
        if alike.len() <= limit {
            return;
        }
        let mut alike = alike;
        if alike.iter().any(|(_, request)| is_withdrawn(request)) {
            alike.retain(|(_, request)| is_withdrawn(request));
        }
        let mut counts = HashMap::<_, usize>::new();
        for (_, request) in &alike {
            *counts.entry(request.origin).or_default() += 1;
        }
        let most = counts.values().max().copied().unwrap_or(0);
        let crowded = alike
            .iter()
            .filter(|(_, request)| counts[&request.origin] == most);
        let crowded: Vec<_> = crowded.map(|(user, _)| **user).collect();
        self.0.remove(&crowded[random(crowded.len())]);
    }
}

fn is_withdrawn(request: &HeldRequest) -> bool {
    request.join.asked().is_withdrawn
}

#[cfg(test)]
mod tests {
    use pelago_groups::{GroupId, InviteKey, Secret, acts};

    use super::*;

    fn request(user: u8, invite: u8, origin: u64) -> HeldRequest {
        numbered(user, invite, origin, 1)
    }

    fn numbered(user: u8, invite: u8, origin: u64, number: u64) -> HeldRequest {
        let user = Secret::<UserKey>::from_seed([user; 32]);
        let invite = Secret::<InviteKey>::from_seed([invite; 32]);
        let profile = acts::name_user(&user, "bert".parse().unwrap(), Vec::new(), None).unwrap();
        let group = GroupId::from_bytes([9; 32]);
        HeldRequest {
            join: JoinRequest::new(&user, profile, group, &invite, String::new(), number),
            received: 0,
            origin,
        }
    }

    #[test]
    fn a_flood_displaces_itself_and_no_request_from_elsewhere() {
        let mut mailbox = Mailbox::default();
        let honest = request(0, 1, 7);
        assert!(mailbox.add(honest.clone(), |_| 0));
        assert!(!mailbox.add(honest.clone(), |_| 0), "it is known");
        let other = request(1, 2, 8);
        assert!(mailbox.add(other.clone(), |_| 0));
        for user in 2..200 {
            mailbox.add(request(user, 1, 666), |below| usize::from(user) % below);
        }
        let of_invite = mailbox
            .iter()
            .filter(|(_, held)| held.join.asked().invite == honest.join.asked().invite);
        assert_eq!(of_invite.count(), MAX_REQUESTS_OF_INVITE);
        for kept in [honest, other] {
            assert_eq!(mailbox.get(&kept.join.asked().user), Some(&kept));
        }
    }

    #[test]
    fn a_user_has_one_request_and_a_group_a_bounded_number() {
        let mut mailbox = Mailbox::default();
        assert!(mailbox.add(request(0, 1, 7), |_| 0));
        assert!(mailbox.add(numbered(0, 2, 7, 2), |_| 0));
        assert!(
            !mailbox.add(request(0, 1, 7), |_| 0),
            "it is the earlier one"
        );
        assert_eq!(mailbox.len(), 1);
        for user in 1..=200 {
            mailbox.add(request(user, user % 10, u64::from(user)), |below| below - 1);
        }
        assert_eq!(mailbox.len(), MAX_REQUESTS);
    }

    #[test]
    fn a_withdrawn_request_does_not_come_back_and_makes_space_for_others() {
        let mut mailbox = Mailbox::default();
        let asked = request(0, 1, 7);
        mailbox.add(asked.clone(), |_| 0);
        let withdrawn = HeldRequest {
            join: asked.join.withdrawn(&Secret::from_seed([0; 32])),
            ..asked.clone()
        };
        assert!(mailbox.add(withdrawn.clone(), |_| 0));
        assert!(!mailbox.add(asked, |_| 0));
        assert_eq!(mailbox.get(&withdrawn.join.asked().user), Some(&withdrawn));
        for user in 1..=32 {
            mailbox.add(request(user, 1, u64::from(user)), |_| 0);
        }
        assert_eq!(mailbox.get(&withdrawn.join.asked().user), None);
        assert_eq!(mailbox.len(), MAX_REQUESTS_OF_INVITE);
    }
}
