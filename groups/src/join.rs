//! Requests to join a group, and what becomes of them.

use serde_bytes::ByteArray;

use crate::{
    group_id::GroupId,
    held::Held,
    keys::{InviteKey, Secret, UserKey, verifies},
    roster::{MAX_MEMBERS, Roster},
    statement::{Body, InviteMode, MAX_NUMBER, Request, Statement},
};

/// Separates signatures of invites from everything else. Fixed by the protocol.
const DOMAIN: &[u8] = b"pelago/invite/1";

/// The request of a user, and what the user says of himself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    request: Statement,
    profile: Statement,
}

/// Two statements that are not a request to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJoin {
    /// They are not a request and the profile of the same user.
    #[error("a request to join does not come with the profile of the user who asks")]
    Kind,
    /// Who asks does not have the link.
    #[error("a request to join is not signed by the invite that it names")]
    Invite,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The node of this owner, who minted the invite, admits the user. The owner alone knows whether
    /// the invite has expired, or has been used too often.
    Admit {
        /// The owner.
        by: UserKey,
    },
    /// An owner decides.
    Ask,
    /// It is in vain.
    Refused(Refusal),
}

/// Why a request is in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No owner has minted the invite, or one has revoked it.
    Invite,
    /// The user is in already.
    AlreadyIn,
    /// The user came by this invite before, or was rejected: it serves a user once.
    Used,
    /// The group is full.
    Full,
}

impl JoinRequest {
    /// The request of the user who says `profile` of himself, to join `group` by `invite`. It takes
    /// the place of the user's requests of lesser numbers.
    #[must_use]
    pub fn new(
        secret: &Secret<UserKey>,
        profile: Statement,
        group: GroupId,
        invite: &Secret<InviteKey>,
        message: String,
        number: u64,
    ) -> Self {
        let user = secret.key();
        let request = Request {
            proof: ByteArray::new(invite.sign(&invite_message(group, user))),
            group,
            message,
            number: number.min(MAX_NUMBER),
            user,
            invite: invite.key(),
            is_withdrawn: false,
        };
        Self {
            request: Statement::sign(Body::Request(request), secret),
            profile,
        }
    }

    /// What takes this request back, and takes its place.
    #[must_use]
    pub fn withdrawn(&self, secret: &Secret<UserKey>) -> Self {
        let request = Request {
            message: String::new(),
            is_withdrawn: true,
            ..self.asked().clone()
        };
        Self {
            request: Statement::sign(Body::Request(request), secret),
            profile: self.profile.clone(),
        }
    }

    /// A request of two statements from a peer.
    ///
    /// # Errors
    /// They do not belong together, or the user does not have the secret of the invite.
    pub fn from_statements(request: Statement, profile: Statement) -> Result<Self, InvalidJoin> {
        let Body::Request(asked) = request.body() else {
            return Err(InvalidJoin::Kind);
        };
        let is_profile = matches!(profile.body(), Body::User(named) if named.user == asked.user);
        if !is_profile {
            return Err(InvalidJoin::Kind);
        }
        let message = invite_message(asked.group, asked.user);
        if !verifies(asked.invite.as_bytes(), &message, &asked.proof.into_array()) {
            return Err(InvalidJoin::Invite);
        }
        Ok(Self { request, profile })
    }

    /// What the user asks.
    ///
    /// # Panics
    /// Never: both constructors put a request here.
    #[must_use]
    pub fn asked(&self) -> &Request {
        match self.request.body() {
            Body::Request(request) => request,
            _ => unreachable!("both constructors put a request here"),
        }
    }

    /// The statement of the request.
    #[must_use]
    pub const fn request(&self) -> &Statement {
        &self.request
    }

    /// What the user says of himself.
    #[must_use]
    pub const fn profile(&self) -> &Statement {
        &self.profile
    }
}

/// What becomes of `join`, by what is held and the roster that follows from it.
#[must_use]
pub fn judge(held: &Held, roster: &Roster, join: &JoinRequest) -> Judgement {
    let asked = join.asked();
    let invite = roster.invites().get(&asked.invite);
    let Some(invite) = invite.filter(|invite| invite.is_open) else {
        return Judgement::Refused(Refusal::Invite);
    };
    if roster.is_in(&asked.user) {
        Judgement::Refused(Refusal::AlreadyIn)
    } else if is_used(held, asked) {
        Judgement::Refused(Refusal::Used)
    } else if roster.members().len() >= MAX_MEMBERS {
        Judgement::Refused(Refusal::Full)
    } else if invite.mode == InviteMode::Auto && !asked.is_withdrawn && !held.has_entry(&asked.user)
    {
        Judgement::Admit { by: invite.by }
    } else {
        Judgement::Ask
    }
}

fn is_used(held: &Held, asked: &Request) -> bool {
    held.statements().any(|statement| match statement.body() {
        Body::Entry(entry) => entry.user == asked.user && entry.via == Some(asked.invite),
        _ => false,
    })
}

fn invite_message(group: GroupId, user: UserKey) -> Vec<u8> {
    [DOMAIN, group.as_bytes(), user.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acts;

    fn secret(seed: u8) -> Secret<UserKey> {
        Secret::from_seed([seed; 32])
    }

    fn profile(user: &Secret<UserKey>) -> Statement {
        acts::name_user(user, "bert".parse().unwrap(), Vec::new(), None).unwrap()
    }

    #[test]
    fn an_invite_serves_a_user_once_and_auto_admits_strangers_only() {
        let (root, bert) = (secret(0), secret(1));
        let founding = acts::found(&root, &"family".parse().unwrap(), [7; 16]);
        let mut held = Held::new(founding.group().unwrap());
        held.merge([founding]);
        let invites = [5, 6].map(|seed| Secret::<InviteKey>::from_seed([seed; 32]));
        let join = |invite: &Secret<InviteKey>, user: &Secret<UserKey>, held: &Held| {
            JoinRequest::new(
                user,
                profile(user),
                held.group(),
                invite,
                "it is me".into(),
                1,
            )
        };
        let judged = |held: &Held, join: &JoinRequest| judge(held, &Roster::of(held), join);

        let by_first = join(&invites[0], &bert, &held);
        assert_eq!(
            judged(&held, &by_first),
            Judgement::Refused(Refusal::Invite)
        );
        for invite in &invites {
            held.merge([acts::mint(&held, &root, invite.key(), InviteMode::Auto).unwrap()]);
        }
        assert_eq!(
            judged(&held, &by_first),
            Judgement::Admit { by: root.key() }
        );
        let via = Some(invites[0].key());
        held.merge([acts::admit(&held, &root, bert.key(), via).unwrap()]);
        assert_eq!(
            judged(&held, &by_first),
            Judgement::Refused(Refusal::AlreadyIn)
        );
        held.merge([acts::remove(&held, &root, bert.key(), None).unwrap()]);
        assert_eq!(judged(&held, &by_first), Judgement::Refused(Refusal::Used));
        assert_eq!(
            judged(&held, &join(&invites[1], &bert, &held)),
            Judgement::Ask
        );
        let other = join(&invites[1], &secret(2), &held);
        assert_eq!(judged(&held, &other), Judgement::Admit { by: root.key() });
        held.merge([acts::revoke(&held, &root, invites[1].key()).unwrap()]);
        assert_eq!(judged(&held, &other), Judgement::Refused(Refusal::Invite));
    }

    #[test]
    fn a_request_without_the_seed_of_its_link_is_refused() {
        let bert = secret(1);
        let group = GroupId::from_bytes([9; 32]);
        let invite = Secret::<InviteKey>::from_seed([5; 32]);
        let join = JoinRequest::new(&bert, profile(&bert), group, &invite, String::new(), 1);
        let again = JoinRequest::from_statements(join.request().clone(), join.profile().clone());
        assert_eq!(again.as_ref(), Ok(&join));
        let withdrawn = join.withdrawn(&bert);
        let again = withdrawn.request().clone();
        let again = JoinRequest::from_statements(again, join.profile().clone()).unwrap();
        assert!(again.asked().is_withdrawn && again.request().supersedes(join.request()));

        let mut forged = join.asked().clone();
        forged.invite = Secret::<InviteKey>::from_seed([6; 32]).key();
        let forged = Statement::sign(Body::Request(forged), &bert);
        let forged = JoinRequest::from_statements(forged, join.profile().clone());
        assert_eq!(forged, Err(InvalidJoin::Invite));
        let other = profile(&secret(2));
        let mixed = JoinRequest::from_statements(join.request().clone(), other);
        assert_eq!(mixed, Err(InvalidJoin::Kind));
    }
}
