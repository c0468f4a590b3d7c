//! What statements say, by kind, with the limits of each.
//!
//! The names of fields on the wire are in alphabetical order, as the shortest form of CBOR demands.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use super::to_cbor;
use crate::{
    group_id::GroupId,
    keys::{InviteKey, NodeKey, SIGNATURE_LEN, UserKey, consent_message, verifies},
    name::Name,
};

/// The greatest number of a statement: the greatest up to which every JSON number is exact.
pub const MAX_NUMBER: u64 = 1 << 53;

/// The maximum number of nodes of a user.
pub const MAX_NODES: usize = 8;

/// Bytes of the longest message in a request.
pub const MAX_MESSAGE: usize = 256;

/// What a statement says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// A user names himself and his nodes.
    #[serde(rename = "user")]
    User(UserProfile),
    /// The root founds a group, renames it, or names the group that takes its place.
    #[serde(rename = "group")]
    Founding(Founding),
    /// The root or an owner says whether a user is in.
    #[serde(rename = "entry")]
    Entry(Entry),
    /// The root or an owner invites by a key, or revokes that.
    #[serde(rename = "invite")]
    Invite(MintedInvite),
    /// A user leaves.
    #[serde(rename = "leave")]
    Leave(Leave),
    /// A user asks to join. It is a message, and no part of the roster.
    #[serde(rename = "request")]
    Request(Request),
}

/// A user names himself and his nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserProfile {
    /// His name.
    #[serde(rename = "d")]
    pub name: Name,
    /// The greatest wins.
    #[serde(rename = "n")]
    pub number: u64,
    /// His nodes, at most [`MAX_NODES`].
    #[serde(rename = "p")]
    pub nodes: Vec<NodeConsent>,
    /// The user, who signs this.
    #[serde(rename = "u")]
    pub user: UserKey,
}

/// A node of a user, with its consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConsent {
    /// The node's signature over [`consent_message`].
    #[serde(rename = "c")]
    pub consent: ByteArray<SIGNATURE_LEN>,
    /// The node.
    #[serde(rename = "p")]
    pub node: NodeKey,
}

/// The root founds a group, renames it, or names the group that takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Founding {
    /// The root, who signs this.
    #[serde(rename = "a")]
    pub root: UserKey,
    /// The name of the group.
    #[serde(rename = "d")]
    pub name: Name,
    /// The greatest wins.
    #[serde(rename = "n")]
    pub number: u64,
    /// The random bytes of the group's id.
    #[serde(rename = "s")]
    pub salt: ByteArray<16>,
    /// The group that takes its place.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<GroupId>,
}

/// The root or an owner says whether a user is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The root or an owner, who signs this.
    #[serde(rename = "a")]
    pub author: UserKey,
    /// The group.
    #[serde(rename = "g")]
    pub group: GroupId,
    /// Whether the user is in.
    #[serde(rename = "i")]
    pub is_in: bool,
    /// The greatest of all entries about the user wins.
    #[serde(rename = "n")]
    pub number: u64,
    /// Whether the user is an owner. It counts in entries of the root only.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<Ownership>,
    /// Of two entries of the root with one number, the one with the greater role number wins: a
    /// change of role alone does not contend with what owners say.
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    pub role_number: u64,
    /// Whom it is about.
    #[serde(rename = "u")]
    pub user: UserKey,
    /// The invite by which the user came, which is used up with it.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    pub via: Option<InviteKey>,
}

/// Whether a user is an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ownership {
    /// Now: what the user says about others counts.
    #[serde(rename = "now")]
    Now,
    /// Not any more: what the user said is still held, and does not count.
    #[serde(rename = "once")]
    Once,
}

/// The root or an owner invites by a key, or revokes that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MintedInvite {
    /// The root or an owner, who signs this.
    #[serde(rename = "a")]
    pub author: UserKey,
    /// The group.
    #[serde(rename = "g")]
    pub group: GroupId,
    /// What becomes of requests.
    #[serde(rename = "m")]
    pub mode: InviteMode,
    /// Whether it is open. Once any owner has revoked it, it is not.
    #[serde(rename = "o")]
    pub is_open: bool,
    /// Its key.
    #[serde(rename = "v")]
    pub invite: InviteKey,
}

/// What becomes of requests by an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InviteMode {
    /// An owner decides.
    #[serde(rename = "ask")]
    Ask,
    /// The node of the owner who minted it accepts.
    #[serde(rename = "auto")]
    Auto,
}

/// A user leaves a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leave {
    /// The group.
    #[serde(rename = "g")]
    pub group: GroupId,
    /// It contends with the numbers of the entries about the user.
    #[serde(rename = "n")]
    pub number: u64,
    /// The user, who signs this.
    #[serde(rename = "u")]
    pub user: UserKey,
}

/// A user asks to join a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The signature of the invite over group and user.
    #[serde(rename = "c")]
    pub proof: ByteArray<SIGNATURE_LEN>,
    /// The group.
    #[serde(rename = "g")]
    pub group: GroupId,
    /// A message to the owners, at most [`MAX_MESSAGE`] bytes.
    #[serde(rename = "m", default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Of the requests of the user, the greatest counts.
    #[serde(rename = "n", default, skip_serializing_if = "is_zero")]
    pub number: u64,
    /// The user, who signs this.
    #[serde(rename = "u")]
    pub user: UserKey,
    /// The invite.
    #[serde(rename = "v")]
    pub invite: InviteKey,
    /// Whether the user no longer asks.
    #[serde(rename = "w", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_withdrawn: bool,
}

/// Of the statements that fill one slot, the greatest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// What the root says of the group.
    Founding,
    /// What this author says of this user.
    Entry(UserKey, UserKey),
    /// What this author says of this invite.
    Invite(UserKey, InviteKey),
    /// That this user leaves.
    Leave(UserKey),
    /// What this user says of himself.
    User(UserKey),
    /// That this user asks to join.
    Request(UserKey),
}

impl Body {
    pub(super) const fn author(&self) -> UserKey {
        match self {
            Self::User(UserProfile { user, .. })
            | Self::Leave(Leave { user, .. })
            | Self::Request(Request { user, .. }) => *user,
            Self::Founding(Founding { root, .. }) => *root,
            Self::Entry(Entry { author, .. }) | Self::Invite(MintedInvite { author, .. }) => {
                *author
            }
        }
    }

    pub(super) fn group(&self) -> Option<GroupId> {
        match self {
            Self::User(_) => None,
            Self::Founding(Founding { root, salt, .. }) => Some(GroupId::new(root, salt)),
            Self::Entry(Entry { group, .. })
            | Self::Invite(MintedInvite { group, .. })
            | Self::Leave(Leave { group, .. })
            | Self::Request(Request { group, .. }) => Some(*group),
        }
    }

    pub(super) const fn slot(&self) -> Slot {
        match self {
            Self::User(profile) => Slot::User(profile.user),
            Self::Founding(_) => Slot::Founding,
            Self::Entry(entry) => Slot::Entry(entry.author, entry.user),
            Self::Invite(minted) => Slot::Invite(minted.author, minted.invite),
            Self::Leave(leave) => Slot::Leave(leave.user),
            Self::Request(request) => Slot::Request(request.user),
        }
    }

    /// The order of statements that fill one slot: number, role number, and whether it takes away.
    pub(super) const fn rank(&self) -> (u64, u64, bool) {
        match self {
            Self::User(profile) => (profile.number, 0, false),
            Self::Founding(founding) => (founding.number, 0, false),
            Self::Entry(entry) => (entry.number, entry.role_number, !entry.is_in),
            Self::Invite(minted) => (0, 0, !minted.is_open),
            Self::Leave(leave) => (leave.number, 0, true),
            Self::Request(request) => (request.number, 0, request.is_withdrawn),
        }
    }

    /// Bytes that a body of this kind may have.
    pub(super) const fn max_len(&self) -> usize {
        match self {
            Self::User(_) => 2 << 10,
            Self::Founding(_) | Self::Request(_) => 1 << 10,
            Self::Entry(_) | Self::Invite(_) | Self::Leave(_) => 256,
        }
    }

    /// Checks the form, signatures apart.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let number = match self {
            Self::User(profile) => profile.number,
            Self::Founding(founding) => founding.number,
            Self::Entry(entry) => entry.number,
            Self::Leave(leave) => leave.number,
            Self::Invite(_) | Self::Request(_) => 1,
        };
        if !(1..=MAX_NUMBER).contains(&number) {
            return Err("its number is out of bounds");
        }
        match self {
            Self::User(profile) => profile.check(),
            Self::Entry(entry) => entry.check(),
            Self::Request(request) => request.check(),
            _ => Ok(()),
        }
    }

    /// Whether every node that it names has agreed.
    pub(super) fn is_consented(&self) -> bool {
        let Self::User(profile) = self else {
            return true;
        };
        let message = consent_message(&profile.user);
        profile.nodes.iter().all(|NodeConsent { consent, node }| {
            verifies(node.as_bytes(), &message, &consent.into_array())
        })
    }

    pub(super) fn to_cbor(&self) -> Vec<u8> {
        to_cbor(self)
    }
}

impl UserProfile {
    fn check(&self) -> Result<(), &'static str> {
        let is_repeated = |(at, named): (usize, &NodeConsent)| {
            self.nodes[..at]
                .iter()
                .any(|other| other.node == named.node)
        };
        if self.nodes.len() > MAX_NODES {
            Err("it names too many nodes")
        } else if self.nodes.iter().enumerate().any(is_repeated) {
            Err("it names a node twice")
        } else {
            Ok(())
        }
    }
}

impl Entry {
    const fn check(&self) -> Result<(), &'static str> {
        if self.role_number > MAX_NUMBER {
            Err("its role number is out of bounds")
        } else if matches!(self.ownership, Some(Ownership::Now)) && !self.is_in {
            Err("it makes an owner of a user who is out")
        } else {
            Ok(())
        }
    }
}

impl Request {
    const fn check(&self) -> Result<(), &'static str> {
        if self.message.len() > MAX_MESSAGE {
            Err("its message is too long")
        } else if self.number > MAX_NUMBER {
            Err("its number is out of bounds")
        } else {
            Ok(())
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde gives it
const fn is_zero(number: &u64) -> bool {
    *number == 0
}
