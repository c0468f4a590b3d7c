//! What this node knows of one group, and what follows from that without a person. Pure.

use std::collections::BTreeMap;

use pelago_groups::{
    Body, Digest, GroupId, Held, InviteKey, Judgement, Merged, Ownership, Roster, Secret, Slot,
    Statement, UserKey, acts, judge,
};

use super::{
    mailbox::{HeldRequest, Mailbox},
    own_invite::OwnInvite,
    own_join::{JoinStatus, OwnJoin},
};

/// For how long this node tries to tell members that its user has withdrawn a request, in seconds.
const WITHDRAWING: u64 = 24 * 3600;

/// A group, as this node knows it.
#[derive(Clone, Debug)]
pub struct Group {
    held: Held,
    /// What follows from `held`.
    roster: Roster,
    digest: Digest,
    pub(super) mailbox: Mailbox,
    pub(super) invites: BTreeMap<InviteKey, OwnInvite>,
    pub(super) join: Option<OwnJoin>,
    /// When this node last heard from an owner, in seconds since 1970.
    pub(super) heard: Option<u64>,
}

impl Group {
    /// A group of which nothing is known yet.
    pub(super) fn new(id: GroupId) -> Self {
        let held = Held::new(id);
        Self {
            roster: Roster::of(&held),
            digest: held.digest(),
            held,
            mailbox: Mailbox::default(),
            invites: BTreeMap::new(),
            join: None,
            heard: None,
        }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> GroupId {
        self.held.group()
    }

    /// The statements of the group.
    #[must_use]
    pub const fn held(&self) -> &Held {
        &self.held
    }

    /// Who belongs to it.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Stands for all of its statements.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The requests to join it that wait for an owner.
    pub fn requests(&self) -> impl Iterator<Item = &HeldRequest> {
        let requests = self.mailbox.iter().map(|(_, request)| request);
        requests.filter(|request| !request.join.asked().is_withdrawn)
    }

    /// The request of `user`, also one that is withdrawn.
    #[must_use]
    pub fn request(&self, user: &UserKey) -> Option<&HeldRequest> {
        self.mailbox.get(user)
    }

    /// What the user of this node enforces of his invites.
    #[must_use]
    pub const fn own_invites(&self) -> &BTreeMap<InviteKey, OwnInvite> {
        &self.invites
    }

    /// The request of the user of this node.
    #[must_use]
    pub const fn own_join(&self) -> Option<&OwnJoin> {
        self.join.as_ref()
    }

    /// When this node last heard from an owner, in seconds since 1970.
    #[must_use]
    pub const fn heard(&self) -> Option<u64> {
        self.heard
    }

    /// Whether nothing is known of it.
    pub(super) fn is_blank(&self) -> bool {
        self.held.statements().next().is_none()
            && self.mailbox.iter().next().is_none()
            && self.invites.is_empty()
            && self.join.is_none()
    }

    /// Notes how long and for how many users an own invite serves.
    pub fn keep_invite(&mut self, invite: InviteKey, limits: OwnInvite) {
        self.invites.insert(invite, limits);
    }

    /// Counts a user whom the user of this node has admitted by one of his invites.
    pub fn use_invite(&mut self, invite: Option<&InviteKey>) {
        if let Some(invite) = invite.and_then(|invite| self.invites.get_mut(invite)) {
            invite.use_once();
        }
    }

    /// Asks to join the group, in place of an earlier request of the user of this node.
    pub fn ask(&mut self, join: OwnJoin) {
        self.join = Some(join);
    }

    /// Forgets the request of the user of this node.
    pub fn withdraw(&mut self) {
        self.join = None;
    }

    /// Takes statements.
    pub fn merge(&mut self, statements: impl IntoIterator<Item = Statement>) -> Merged {
        let merged = self.held.merge(statements);
        if !merged.new.is_empty() {
            self.roster = Roster::of(&self.held);
            self.digest = self.held.digest();
        }
        merged
    }

    /// How the root marks `user`.
    pub(super) fn ownership(&self, user: &UserKey) -> Option<Ownership> {
        self.held.entry(self.roster.root()?, *user)?.ownership
    }

    /// The statements by which any node that knows the group sees whether `user` is in: few, and
    /// without other members.
    #[must_use]
    pub fn proof_of(&self, user: &UserKey) -> Vec<Statement> {
        let root = self.roster.root();
        let counts = |author: &&UserKey| {
            Some(**author) == root || self.ownership(author) == Some(Ownership::Now)
        };
        let about = self
            .held
            .statements()
            .filter_map(|statement| match statement.slot() {
                Slot::Entry(author, of) if of == *user => Some(author),
                _ => None,
            });
        let authors: Vec<_> = about.collect();
        // Also those who show that an author was dropped: what they said counts no more.
        let marks = authors
            .iter()
            .filter_map(|author| Some(Slot::Entry(root?, *author)));
        let entries = authors.iter().filter(counts);
        let entries = entries.map(|author| Slot::Entry(*author, *user));
        let others = [Slot::Leave(*user), Slot::User(*user)];
        let mut slots: Vec<_> = std::iter::once(Slot::Founding)
            .chain(marks)
            .chain(entries)
            .chain(others)
            .collect();
        slots.dedup();
        slots
            .iter()
            .filter_map(|slot| self.held.get(slot))
            .cloned()
            .collect()
    }

    /// Does what follows without a person, at `now`: ends invites that are used up or expired, admits
    /// those whom invites of `user` admit, and drops requests that are in vain. `user` is that of
    /// this node.
    pub(super) fn settle(&mut self, user: &Secret<UserKey>, now: u64) {
        self.end_invites(user, now);
        let waiting: Vec<_> = self.mailbox.iter().map(|(user, _)| *user).collect();
        for asking in waiting {
            self.settle_request(user, &asking, now);
        }
        self.settle_join(user, now);
    }

    /// Notes what became of the request of the user of this node. If the user founded the group, he
    /// takes it back.
    fn settle_join(&mut self, user: &Secret<UserKey>, now: u64) {
        let Some(own) = &self.join else {
            return;
        };
        let (status, invite, key) = (own.status, own.join.asked().invite, user.key());
        if status == JoinStatus::Withdrawn && now > own.since.saturating_add(WITHDRAWING) {
            self.join = None;
            return;
        }
        let is_back = status.is_pending() && self.roster.root() == Some(key);
        if is_back && let Ok(back) = acts::admit(&self.held, user, key, None) {
            self.merge([back]);
        }
        let now_status = match status {
            _ if self.roster.is_in(&key) => JoinStatus::Accepted,
            JoinStatus::Accepted => JoinStatus::Removed,
            _ if status.is_pending() && self.is_rejected(&key, invite) => JoinStatus::Rejected,
            status => status,
        };
        if let Some(own) = &mut self.join {
            own.status = now_status;
        }
    }

    /// Whether an owner has decided that the user who came by `invite` is out.
    pub(super) fn is_rejected(&self, user: &UserKey, invite: InviteKey) -> bool {
        let rejects = |statement: &Statement| match statement.body() {
            Body::Entry(entry) => entry.user == *user && !entry.is_in && entry.via == Some(invite),
            _ => false,
        };
        self.roster.is_out(user) && self.held.statements().any(rejects)
    }

    fn settle_request(&mut self, user: &Secret<UserKey>, asking: &UserKey, now: u64) {
        let Some(request) = self.mailbox.get(asking) else {
            return;
        };
        let (join, invite) = (&request.join, request.join.asked().invite);
        match judge(&self.held, &self.roster, join) {
            Judgement::Refused(_) => {
                self.mailbox.remove(asking);
            }
            Judgement::Admit { by } if by == user.key() => {
                // Without what was noted of the invite, a person decides.
                if !self
                    .invites
                    .get(&invite)
                    .is_some_and(|invite| invite.serves(now))
                {
                    return;
                }
                let admission = acts::admit(&self.held, user, *asking, Some(invite));
                if let Ok(admission) = admission {
                    let profile = join.profile().clone();
                    self.merge([admission, profile]);
                    self.use_invite(Some(&invite));
                    self.mailbox.remove(asking);
                    self.end_invites(user, now);
                }
            }
            Judgement::Admit { .. } | Judgement::Ask => {}
        }
    }

    /// Revokes own invites that serve no further user, and forgets what was noted of closed ones.
    fn end_invites(&mut self, user: &Secret<UserKey>, now: u64) {
        let is_open = |roster: &Roster, invite: &InviteKey| {
            roster
                .invites()
                .get(invite)
                .is_some_and(|invite| invite.is_open)
        };
        let ended = self
            .invites
            .iter()
            .filter(|(_, limits)| !limits.serves(now));
        let ended: Vec<_> = ended.map(|(invite, _)| *invite).collect();
        for invite in ended {
            if is_open(&self.roster, &invite)
                && let Ok(revoked) = acts::revoke(&self.held, user, invite)
            {
                self.merge([revoked]);
            }
        }
        let roster = &self.roster;
        self.invites.retain(|invite, _| is_open(roster, invite));
    }
}

#[cfg(test)]
mod tests {
    use pelago_groups::{InviteMode, JoinRequest};

    use super::*;

    fn secret(seed: u8) -> Secret<UserKey> {
        Secret::from_seed([seed; 32])
    }

    /// A group that the user 0 founded, with an invite of the key 5 that admits by itself.
    fn group(limits: OwnInvite) -> (Group, Secret<InviteKey>) {
        let root = secret(0);
        let founding = acts::found(&root, &"family".parse().unwrap(), [7; 16]);
        let mut group = Group::new(founding.group().unwrap());
        group.merge([founding]);
        let invite = Secret::<InviteKey>::from_seed([5; 32]);
        let minted = acts::mint(group.held(), &root, invite.key(), InviteMode::Auto).unwrap();
        group.merge([minted]);
        group.keep_invite(invite.key(), limits);
        (group, invite)
    }

    fn ask(group: &mut Group, invite: &Secret<InviteKey>, user: u8) {
        let user = secret(user);
        let profile = acts::name_user(&user, "bert".parse().unwrap(), Vec::new(), None).unwrap();
        let join = JoinRequest::new(&user, profile, group.id(), invite, String::new(), 1);
        let request = HeldRequest {
            join,
            received: 0,
            origin: 0,
        };
        group.mailbox.add(request, |_| 0);
    }

    #[test]
    fn an_invite_admits_as_many_as_it_may_and_until_it_expires() {
        let limits = OwnInvite {
            expires: Some(100),
            uses_left: Some(2),
        };
        let (mut used, invite) = group(limits);
        for user in 1..=3 {
            ask(&mut used, &invite, user);
        }
        used.settle(&secret(0), 99);
        assert_eq!(used.roster().members().len(), 3);
        assert!(!used.roster().invites()[&invite.key()].is_open);
        assert_eq!((used.mailbox.len(), used.invites.len()), (0, 0));

        let (mut expired, invite) = group(limits);
        ask(&mut expired, &invite, 1);
        expired.settle(&secret(0), 100);
        assert_eq!(expired.roster().members().len(), 1);
        assert!(!expired.roster().invites()[&invite.key()].is_open);
    }

    #[test]
    fn another_owner_and_one_without_notes_leave_it_to_a_person() {
        let (mut group, invite) = group(OwnInvite {
            expires: None,
            uses_left: None,
        });
        ask(&mut group, &invite, 1);
        group.settle(&secret(9), 0);
        assert_eq!(group.mailbox.len(), 1);
        group.invites.clear();
        group.settle(&secret(0), 0);
        assert_eq!(group.mailbox.len(), 1);
    }

    #[test]
    fn a_proof_shows_one_user_and_no_others() {
        let (mut group, _) = group(OwnInvite {
            expires: None,
            uses_left: None,
        });
        for user in [1, 2, 3] {
            let admitted = acts::admit(group.held(), &secret(0), secret(user).key(), None);
            group.merge([admitted.unwrap()]);
        }
        let owner = acts::make_owner(group.held(), &secret(0), secret(1).key()).unwrap();
        group.merge([owner]);
        let removed = acts::remove(group.held(), &secret(1), secret(2).key(), None).unwrap();
        group.merge([removed]);

        let mut other = Group::new(group.id());
        other.merge(group.proof_of(&secret(2).key()));
        assert!(other.roster().is_out(&secret(2).key()));
        assert!(!other.roster().is_in(&secret(3).key()));
        let mut other = Group::new(group.id());
        other.merge(group.proof_of(&secret(3).key()));
        assert!(other.roster().is_in(&secret(3).key()));
    }
}
