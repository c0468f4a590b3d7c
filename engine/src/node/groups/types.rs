//! What people and programs learn of groups.

use std::time::Duration;

use libp2p::PeerId;
use pelago_groups::{GroupId, InviteKey, InviteMode, Name, Role, UserKey};

use super::select::join_name;
pub use crate::groups::JoinStatus;
use crate::groups::{Group, OwnJoin};

/// A group to which the user of this node belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its id.
    pub id: GroupId,
    /// Its name.
    pub name: Name,
    /// What the user of this node may do.
    pub role: Role,
    /// How many members it has.
    pub members: usize,
    /// How many of them are owners; the user who founded it is one.
    pub owners: usize,
    /// How many requests to join wait for an owner.
    pub pending_requests: usize,
    /// When this node last heard from another owner, in seconds since 1970, within five minutes.
    pub last_heard_from_owner: Option<u64>,
    /// The group that takes its place.
    pub moved: Option<GroupId>,
}

/// A group with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDetail {
    /// The group.
    pub info: GroupInfo,
    /// The user who founded it.
    pub founded_by: UserKey,
    /// Its members, by name.
    pub members: Vec<MemberInfo>,
    /// How many nodes the members have.
    pub nodes: usize,
    /// How many of these nodes have the same statements as this one, by their last report
    /// since this node has started. This node counts.
    pub confirmed: usize,
    /// Whether another group of the user has a name that looks like the one of this group.
    pub is_alike: bool,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// The key of the user.
    pub user: UserKey,
    /// What the user calls himself; `None` until that has arrived. Neither unique nor verified.
    pub name: Option<Name>,
    /// What the user may do.
    pub role: Role,
    /// The nodes of the user.
    pub peers: Vec<PeerId>,
    /// Whether one of the nodes is connected, or is this one.
    pub is_online: bool,
    /// Whether it is the user of this node.
    pub is_you: bool,
    /// Who admitted the user; the user himself if he founded the group.
    pub joined_by: UserKey,
    /// The invite by which the user came.
    pub via: Option<InviteKey>,
    /// Whether another member has a name that looks like this one.
    pub is_alike: bool,
}

/// What an invite is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InviteOptions {
    /// Whether this node accepts requests by itself; otherwise an owner decides.
    pub auto: bool,
    /// How many users it admits. Without a number: one if `auto`, otherwise any number.
    pub uses: Option<u32>,
    /// For how long it is valid. Without a time: seven days if `auto`, otherwise until it is revoked.
    pub expires_in: Option<Duration>,
}

/// An invite of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InviteInfo {
    /// Its key.
    pub key: InviteKey,
    /// What becomes of requests.
    pub mode: InviteMode,
    /// Whether users can join by it.
    pub is_open: bool,
    /// Until when, in seconds since 1970; known of the invites of this node's user only.
    pub expires: Option<u64>,
    /// How many users it still admits; known of the invites of this node's user only.
    pub uses_left: Option<u32>,
    /// Who minted it.
    pub by: UserKey,
    /// Whether the user of this node minted it.
    pub is_yours: bool,
}

/// A request to join a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// The key of the user who asks.
    pub user: UserKey,
    /// What the user calls himself. Neither unique nor verified.
    pub name: Name,
    /// What the user tells the owners. Untrusted.
    pub message: String,
    /// The invite by which the user asks.
    pub invite: InviteKey,
    /// When this node received it, in seconds since 1970.
    pub received: u64,
    /// Whether a member has a name that looks like this one.
    pub is_alike: bool,
}

/// A request of the user of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinInfo {
    /// The group.
    pub group: GroupId,
    /// What it is called by its founder, or by the link. Untrusted.
    pub name: Option<String>,
    /// How it stands; never [`JoinStatus::Withdrawn`].
    pub status: JoinStatus,
    /// Since when, in seconds since 1970.
    pub since: u64,
}

impl JoinInfo {
    pub(super) fn of(group: &Group, own: &OwnJoin) -> Self {
        Self {
            group: group.id(),
            name: join_name(group),
            status: own.status,
            since: own.since,
        }
    }
}

/// What the removal of a user did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The users who were removed.
    pub users: Vec<UserKey>,
    /// The invites by which they came, which were revoked.
    pub revoked: Vec<InviteKey>,
    /// Open invites, by which they may ask to join again.
    pub open: Vec<InviteKey>,
}

/// A user who would be in or out in place of the other without an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropOutcome {
    /// The user.
    pub user: UserKey,
    /// What the user calls himself.
    pub name: Option<Name>,
    /// Whether the user is in now. Unless this is confirmed, it turns into the opposite.
    pub is_in: bool,
}
