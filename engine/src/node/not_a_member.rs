//! Why a group cannot be named: this node is not in it.

use pelago_groups::GroupId;
use thiserror::Error;

use super::CodedError;

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
        Some(
            "see your groups with `pelago group list`; join one with `pelago group join`"
                .to_owned(),
        )
    }
}
