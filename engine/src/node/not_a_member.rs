//! Why a group cannot be named, or content not be looked for: this node is not in the group.

use pelago_content::Hash;
use pelago_groups::{GroupId, Name};
use thiserror::Error;

use super::CodedError;

/// This node is not in a group.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}this node is not in the group {}", of(content), called(group, name))]
pub struct NotAMember {
    /// The group.
    pub group: GroupId,
    /// Its name, if this node knows it.
    pub name: Option<Name>,
    /// The content that is known from the group, if that is why it counts.
    pub content: Option<Hash>,
}

fn of(content: &Option<Hash>) -> String {
    let is_theirs = |hash| format!("{hash} is known from a group, and asked for in it alone: ");
    content.map(is_theirs).unwrap_or_default()
}

fn called(group: &GroupId, name: &Option<Name>) -> String {
    match name {
        Some(name) => format!("{name} ({group:.8})"),
        None => format!("{group:.8}"),
    }
}

impl CodedError for NotAMember {
    fn code(&self) -> &'static str {
        "not-a-member"
    }

    fn hint(&self) -> Option<String> {
        let hint = match self.content {
            Some(_) => {
                "log in as a member, or join the group with `pelago group join`. To ask all peers for \
                 it, which shows them its hash, add --public"
            }
            None => "see your groups with `pelago group list`; join one with `pelago group join`",
        };
        Some(hint.to_owned())
    }
}
