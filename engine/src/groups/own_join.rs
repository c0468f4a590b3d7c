//! A request of the user of this node to join a group.

use pelago_groups::JoinRequest;

/// How a request to join stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinStatus {
    /// A member has it, or none was reached yet.
    Pending,
    /// The user is a member.
    Accepted,
    /// An owner has rejected it.
    Rejected,
    /// The group has as many members as it may have.
    Full,
    /// The invite serves no user any more: it was revoked, has expired, or is used up.
    Revoked,
    /// The invite has served the user before.
    Used,
    /// The user was a member, and an owner has removed him.
    Removed,
    /// The user has taken it back, and no member was reached yet to say so.
    Withdrawn,
}

impl JoinStatus {
    /// All of them; the store keeps their numbers.
    pub(super) const ALL: [Self; 8] = [
        Self::Pending,
        Self::Accepted,
        Self::Rejected,
        Self::Full,
        Self::Revoked,
        Self::Used,
        Self::Removed,
        Self::Withdrawn,
    ];

    /// Whether the user waits for an answer.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Pending | Self::Full)
    }

    /// Whether members are asked again.
    pub(super) const fn is_sent(self) -> bool {
        self.is_pending() || matches!(self, Self::Withdrawn)
    }
}

/// A request of the user of this node, with those who receive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnJoin {
    /// What is asked.
    pub join: JoinRequest,
    /// What the link called the group. A hint.
    pub name: Option<String>,
    /// The addresses in the link.
    pub peers: Vec<String>,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// How it stands.
    pub status: JoinStatus,
}
