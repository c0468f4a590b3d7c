//! The groups that this node is in, for operations that name one.

use pelago_groups::GroupId;
use thiserror::Error;

use super::{CodedError, core::NodeCore};

/// This node is not in a group.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("this node is not in the group {group:.8}")]
pub struct NotAMember {
    /// The group.
    pub group: GroupId,
}

impl CodedError for NotAMember {
    fn code(&self) -> &'static str {
        "not-a-member"
    }

    fn hint(&self) -> Option<String> {
        Some("see your groups with `pelago group list`; join one with `pelago group join`".to_owned())
    }
}

impl NodeCore {
    /// The group, if this node is in it.
    pub(super) fn own_group(&self, group: GroupId) -> Result<GroupId, NotAMember> {
        match self.memberships.own_groups().contains(&group) {
            true => Ok(group),
            false => Err(NotAMember { group }),
        }
    }
}
