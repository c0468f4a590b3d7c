//! A request of the user of this node to join a group.

use pelago_groups::JoinRequest;

/// How a request to join stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinStatus {
    /// A member has it, or none was reached yet.
    Pending,
    /// The user is a member.
    Accepted,
    /// An owner has rejected it, or the link serves the user no longer.
    Rejected,
    /// The group has as many members as it may have.
    Full,
}

impl JoinStatus {
    /// Whether members are asked again.
    pub(super) const fn is_pending(self) -> bool {
        matches!(self, Self::Pending | Self::Full)
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
