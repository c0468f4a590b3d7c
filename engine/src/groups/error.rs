//! Why something cannot be done with a group.

use std::fmt;

use pelago_groups::{GroupId, Name, Role, UserKey, acts::ActError};

use crate::{network::Closed, store::DatabaseError};

/// One of several that a text may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<Id> {
    /// What stands for it alone.
    pub id: Id,
    /// What it is called, if that is known.
    pub name: Option<Name>,
    /// Of a group: what the user of this node may do there. Of a user: what that user may do.
    pub role: Option<Role>,
}

impl<Id: fmt::Display> fmt::Display for Candidate<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = self.role.map(|role| match role {
            Role::Member => "member",
            Role::Owner => "owner",
            Role::Root => "root",
        });
        write!(f, "{}", self.id)?;
        match (&self.name, role) {
            (Some(name), Some(role)) => write!(f, " ({name}, {role})"),
            (Some(name), None) => write!(f, " ({name})"),
            (None, Some(role)) => write!(f, " ({role})"),
            (None, None) => Ok(()),
        }
    }
}

/// Why something cannot be done with a group.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// This node has no user.
    #[error("this node has no user, and only users belong to groups")]
    NoUser,
    /// The user of this node is logged out.
    #[error("the user of this node is not logged in, and only users belong to groups")]
    Locked,
    /// This node knows no such group.
    #[error("no group {0:?}")]
    UnknownGroup(String),
    /// Several groups, or groups with names that look alike, are meant.
    #[error("{name:?} may mean {} groups: {}", groups.len(), list(groups))]
    AmbiguousName {
        /// The name.
        name: String,
        /// The groups.
        groups: Vec<Candidate<GroupId>>,
    },
    /// Several members, or members with names that look alike, are meant.
    #[error("{name:?} may mean {} users: {}", users.len(), list(users))]
    AmbiguousUser {
        /// The name.
        name: String,
        /// The users.
        users: Vec<Candidate<UserKey>>,
    },
    /// The user of this node is not in the group.
    #[error("you are not a member of the group {0}")]
    NotAMember(String),
    /// The user of this node is in the group, and waits for no answer.
    #[error("you are a member of the group {0:?}")]
    AlreadyJoined(String),
    /// No request of the user of this node is meant.
    #[error("you have not asked to join {0:?}")]
    UnknownJoin(String),
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
