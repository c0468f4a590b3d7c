//! Groups, as JSON types, and the parts of requests about them.

use std::time::Duration;

use pelago_groups::{
    GroupLink, GroupLinkError, InvalidKey, InvalidName, InviteMode, Name, Role, UserKey,
};

use crate::{
    api::{error::ApiError, types},
    node,
};

/// A new name.
pub(in crate::api) fn name(text: &str) -> Result<Name, ApiError> {
    let wrong = |error: InvalidName| ApiError::bad("bad-name", error.to_string());
    text.parse().map_err(wrong)
}

/// The key of a user.
pub(in crate::api) fn user_key(text: &str) -> Result<UserKey, ApiError> {
    let wrong = |error: InvalidKey| {
        ApiError::bad("bad-user", error.to_string())
            .with_hint("the user reads it in `pelago user show`")
    };
    text.parse().map_err(wrong)
}

/// A link that invites to a group.
pub(in crate::api) fn group_link(text: &str) -> Result<GroupLink, ApiError> {
    let wrong = |error: GroupLinkError| ApiError::bad("bad-link", error.to_string());
    text.trim().parse().map_err(wrong)
}

/// What a new invite is for.
pub(in crate::api) fn invite_options(from: &types::InviteRequest) -> node::InviteOptions {
    node::InviteOptions {
        auto: from.auto,
        uses: from.uses,
        expires_in: from.expires_seconds.map(Duration::from_secs),
    }
}

/// A new invite: its link, and what is known of it among `invites`.
pub(in crate::api) fn new_invite(
    link: &GroupLink,
    invites: &[node::InviteInfo],
) -> types::NewInvite {
    let key = link.invite.key();
    let known = invites.iter().find(|invite| invite.key == key);
    types::NewInvite {
        link: link.to_string(),
        invite: key.to_string(),
        mode: link.mode.into(),
        expires_unix_ms: known.and_then(|invite| invite.expires).map(milliseconds),
        uses_left: known.and_then(|invite| invite.uses_left),
    }
}

/// What the removal of some of `members` did.
pub(in crate::api) fn members_removed(
    from: &node::Removed,
    members: Vec<node::MemberInfo>,
) -> types::MembersRemoved {
    let members = members.into_iter();
    let removed = members.filter(|member| from.users.contains(&member.user));
    types::MembersRemoved {
        removed: removed.map(Into::into).collect(),
        revoked: from.revoked.iter().map(ToString::to_string).collect(),
        open: from.open.iter().map(ToString::to_string).collect(),
    }
}

impl From<node::GroupInfo> for types::Group {
    fn from(from: node::GroupInfo) -> Self {
        Self {
            id: from.id.to_string(),
            name: from.name.to_string(),
            role: from.role.into(),
            members: from.members as u64,
            owners: from.owners as u64,
            pending_requests: from.pending_requests as u64,
            heard_from_owner_unix_ms: from.last_heard_from_owner.map(milliseconds),
            moved: from.moved.map(|group| group.to_string()),
        }
    }
}

impl From<node::GroupDetail> for types::GroupDetail {
    fn from(from: node::GroupDetail) -> Self {
        Self {
            group: from.info.into(),
            founded_by: from.founded_by.to_string(),
            nodes: from.nodes as u64,
            confirmed: from.confirmed as u64,
            alike: from.is_alike,
        }
    }
}

impl From<Role> for types::GroupRole {
    fn from(from: Role) -> Self {
        match from {
            Role::Member => Self::Member,
            Role::Owner => Self::Owner,
            Role::Root => Self::Root,
        }
    }
}

impl From<InviteMode> for types::InviteMode {
    fn from(from: InviteMode) -> Self {
        match from {
            InviteMode::Ask => Self::Ask,
            InviteMode::Auto => Self::Auto,
        }
    }
}

impl From<node::MemberInfo> for types::GroupMember {
    fn from(from: node::MemberInfo) -> Self {
        Self {
            user: from.user.to_string(),
            name: from.name.map(|name| name.to_string()),
            role: from.role.into(),
            peers: from.peers.iter().map(ToString::to_string).collect(),
            online: from.is_online,
            you: from.is_you,
            joined_by: from.joined_by.to_string(),
            via: from.via.map(|invite| invite.to_string()),
            alike: from.is_alike,
        }
    }
}

impl From<node::InviteInfo> for types::GroupInvite {
    fn from(from: node::InviteInfo) -> Self {
        Self {
            invite: from.key.to_string(),
            mode: from.mode.into(),
            open: from.is_open,
            by: from.by.to_string(),
            expires_unix_ms: from.expires.map(milliseconds),
            uses_left: from.uses_left,
            yours: from.is_yours,
        }
    }
}

impl From<node::RequestInfo> for types::GroupRequest {
    fn from(from: node::RequestInfo) -> Self {
        Self {
            user: from.user.to_string(),
            name: from.name.to_string(),
            message: from.message,
            invite: from.invite.to_string(),
            received_unix_ms: milliseconds(from.received),
            alike: from.is_alike,
        }
    }
}

impl From<node::JoinInfo> for types::Join {
    fn from(from: node::JoinInfo) -> Self {
        Self {
            group: from.group.to_string(),
            name: from.name,
            status: from.status.into(),
            since_unix_ms: Some(milliseconds(from.since)),
        }
    }
}

impl From<node::JoinStatus> for types::JoinStatus {
    fn from(from: node::JoinStatus) -> Self {
        match from {
            // The node shows no withdrawn ones.
            node::JoinStatus::Pending | node::JoinStatus::Withdrawn => Self::Pending,
            node::JoinStatus::Accepted => Self::Accepted,
            node::JoinStatus::Rejected => Self::Rejected,
            node::JoinStatus::Full => Self::Full,
            node::JoinStatus::Revoked => Self::Revoked,
            node::JoinStatus::Used => Self::Used,
            node::JoinStatus::Removed => Self::Removed,
        }
    }
}

impl From<node::DropOutcome> for types::DropOutcome {
    fn from(from: node::DropOutcome) -> Self {
        Self {
            user: from.user.to_string(),
            name: from.name.map(|name| name.to_string()),
            is_member: from.is_in,
        }
    }
}

/// Milliseconds since 1970, from seconds.
const fn milliseconds(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}
