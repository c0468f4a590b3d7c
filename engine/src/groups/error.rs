//! Why something cannot be done with a group.

use pelago_groups::{GroupId, UserKey, acts::ActError};

use crate::{network::Closed, store::DatabaseError};

/// Why something cannot be done with a group.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// This node has no user.
    #[error("this node has no user, and only users belong to groups")]
    NoUser,
    /// This node knows no such group.
    #[error("no group {0:?}")]
    UnknownGroup(String),
    /// Several groups, or groups with names that look alike, are meant.
    #[error("{name:?} may mean {} groups: {}", groups.len(), list(groups))]
    AmbiguousName {
        /// The name.
        name: String,
        /// The groups.
        groups: Vec<GroupId>,
    },
    /// Several members, or members with names that look alike, are meant.
    #[error("{name:?} may mean {} users: {}", users.len(), list(users))]
    AmbiguousUser {
        /// The name.
        name: String,
        /// The users.
        users: Vec<UserKey>,
    },
    /// The user of this node is not in the group.
    #[error("you are not a member of the group {0}")]
    NotAMember(String),
    /// No member, and no user who was a member, is meant.
    #[error("the group has no user {0:?}")]
    UnknownUser(String),
    /// No request is meant.
    #[error("there is no request of {0:?} to join the group")]
    UnknownRequest(String),
    /// No invite is meant.
    #[error("the group has no invite {0:?}")]
    UnknownInvite(String),
    /// The roster does not allow it.
    #[error(transparent)]
    Act(#[from] ActError),
    /// The message of a request is too long.
    #[error("a message has at most {limit} bytes, and this one has {found}")]
    LongMessage {
        /// Its bytes.
        found: usize,
        /// How many it may have.
        limit: usize,
    },
    /// There are too many groups.
    #[error("this node belongs to {0} groups, which is the limit")]
    TooManyGroups(usize),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The node has shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

fn list(ids: &[impl ToString]) -> String {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    ids.join(", ")
}
