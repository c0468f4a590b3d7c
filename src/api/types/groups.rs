//! Groups, in JSON.
//!
//! A request selects a group by its id, by at least 8 of its first digits, or by its name. It selects
//! a member in the same way. A name that several have, or that looks like another one, is ambiguous.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A group of the user of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Its id: 64 hex digits.
    pub id: String,
    /// Its name. Any text.
    pub name: String,
    /// The role of the user of this node.
    pub role: GroupRole,
    /// The number of its members, including owners.
    pub members: u64,
    /// The number of its owners, including the user who founded it.
    pub owners: u64,
    /// The number of requests to join that wait for an owner.
    pub pending_requests: u64,
    /// When this node last heard from another owner, in milliseconds since 1970, within five minutes;
    /// null: never.
    pub heard_from_owner_unix_ms: Option<u64>,
    /// The id of the group that takes its place, if its owners moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<String>,
}

/// A group, and how far its nodes agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupDetail {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// The key of the user who founded it: 64 hex digits.
    pub founded_by: String,
    /// The number of nodes of its members.
    pub nodes: u64,
    /// How many of these nodes have the same roster as this one, by their last report
    /// since this node has started. This node counts.
    pub confirmed: u64,
    /// Whether another group of the user has a name that looks like the name of this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alike: bool,
}

/// What a member of a group may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupRole {
    /// Share, list and download.
    Member,
    /// Also admit and remove members.
    Owner,
    /// Also make and drop owners: the user who founded the group.
    Root,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupMember {
    /// The key of the user: 64 hex digits.
    pub user: String,
    /// The name of the user. Any text; null until it has arrived.
    pub name: Option<String>,
    /// The role of the user.
    pub role: GroupRole,
    /// The ids of the user's nodes.
    pub peers: Vec<String>,
    /// Whether one of these nodes is connected to this one.
    pub online: bool,
    /// Whether it is the user of this node.
    pub you: bool,
    /// The key of the user who admitted this one: 64 hex digits; its own for the user who founded the
    /// group.
    pub joined_by: String,
    /// The invite by which the user came: 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Whether the name looks like that of another member.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alike: bool,
}

/// What the removal of members did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MembersRemoved {
    /// The members who were removed.
    pub removed: Vec<GroupMember>,
    /// The invites by which they came, which were revoked: 64 hex digits each.
    pub revoked: Vec<String>,
    /// The invites that are still open, by which they can ask to join again: 64 hex digits each.
    pub open: Vec<String>,
}

/// A request to found a group, or to rename one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupNameRequest {
    /// The name: at most 128 bytes on one line.
    pub name: String,
}

/// What becomes of requests that an invite brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InviteMode {
    /// An owner decides.
    Ask,
    /// The node of the owner who made the invite accepts them.
    Auto,
}

/// A request for a link that invites to a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// Whether this node accepts requests without asking.
    #[serde(default)]
    pub auto: bool,
    /// How many users may come by it. Default: 1 with `auto`, otherwise any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Seconds until it expires, by the clock of this node. Default: 7 days with `auto`, otherwise it
    /// does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_seconds: Option<u64>,
}

/// A new invite. The node does not keep its link.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewInvite {
    /// The link, a secret: it lets people who have it ask to join or, with `auto`, join.
    pub link: String,
    /// What identifies the invite: 64 hex digits.
    pub invite: String,
    /// What becomes of requests.
    pub mode: InviteMode,
    /// When it expires, in milliseconds since 1970; null: never.
    pub expires_unix_ms: Option<u64>,
    /// How many users may come by it; null: any number.
    pub uses_left: Option<u32>,
}

/// An invite to a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupInvite {
    /// What identifies it: 64 hex digits.
    pub invite: String,
    /// What becomes of requests.
    pub mode: InviteMode,
    /// Whether no owner has revoked it.
    pub open: bool,
    /// The key of the owner who made it: 64 hex digits.
    pub by: String,
    /// When it expires, in milliseconds since 1970; null: never, or only the node that made it knows.
    pub expires_unix_ms: Option<u64>,
    /// How many more users may come by it; null: any number, or only the node that made it knows.
    pub uses_left: Option<u32>,
    /// Whether the user of this node made it.
    pub yours: bool,
}

/// A request of a user to join a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupRequest {
    /// The key of the user: 64 hex digits.
    pub user: String,
    /// The name of the user. Any text.
    pub name: String,
    /// The message of the user. Any text.
    pub message: String,
    /// The invite by which the user came: 64 hex digits.
    pub invite: String,
    /// When it arrived at this node, in milliseconds since 1970.
    pub received_unix_ms: u64,
    /// Whether the name looks like that of a member.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alike: bool,
}

/// A request to join a group by a link.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The link, `pelago:group/...`.
    pub link: String,
    /// A message to the owners: at most 256 bytes.
    #[serde(default)]
    pub message: String,
}

/// A request of the user of this node to join a group, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Join {
    /// The group: 64 hex digits.
    pub group: String,
    /// The name of the group, as the link gives it, or the real one once it is known. Any text.
    pub name: Option<String>,
    /// What became of it.
    pub status: JoinStatus,
    /// When it was made, in milliseconds since 1970; null for one who was a member already.
    pub since_unix_ms: Option<u64>,
}

/// What became of a request to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JoinStatus {
    /// No owner has decided yet. The node repeats the request.
    Pending,
    /// The user is a member.
    Accepted,
    /// An owner rejected it.
    Rejected,
    /// The group is full. The node repeats the request.
    Full,
    /// The link is not valid any more: it was revoked, has expired, or has admitted as many as it may.
    Revoked,
    /// The link has admitted the user before, and serves each user once.
    Used,
    /// The user was a member, and an owner removed the user.
    Removed,
}

/// A user to admit, or a member to make an owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupUser {
    /// The key of the user (64 hex digits); for a member also at least 8 of its first digits, or the
    /// name.
    pub user: String,
}

/// A member whose membership would change if an owner were dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DropOutcome {
    /// The key of the user: 64 hex digits.
    pub user: String,
    /// The name of the user, if it is known. Any text.
    pub name: Option<String>,
    /// Whether the user is a member now.
    pub is_member: bool,
}

/// How to drop an owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DropQuery {
    /// A comma-separated list of keys of users (64 hex digits each) for whom the decisions of the
    /// dropped owner are undone. Default: all decisions stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

/// Which members to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RemoveMembersQuery {
    /// An invite, or at least 8 of its first digits: all members who came by it.
    pub invite: String,
}

/// A group that the user of this node left, or was removed from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupRemoved {
    /// Its id: 64 hex digits.
    pub id: String,
}

/// A request to join that this node has forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinRemoved {
    /// The group: 64 hex digits.
    pub group: String,
}

/// A text that becomes a QR code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QrRequest {
    /// The text, such as a link: at most 2953 bytes.
    pub text: String,
}

hidden!(JoinRequest, NewInvite, QrRequest);
