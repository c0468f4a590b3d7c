//! The codes of errors about groups, and what to do about them.

use pelago_groups::acts::ActError;

use crate::{groups::GroupError, node::CodedError};

impl CodedError for GroupError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoUser => "no-user",
            Self::Locked => "locked",
            Self::UnknownGroup(_) => "unknown-group",
            Self::AmbiguousName { .. } | Self::AmbiguousUser { .. } => "ambiguous-name",
            Self::NotAMember(_) => "not-a-member",
            Self::AlreadyJoined(_) => "already-a-member",
            Self::UnknownJoin(_) => "unknown-join",
            Self::UnknownUser(_) => "unknown-user",
            Self::UnknownRequest(_) => "unknown-request",
            Self::UnknownInvite(_) => "unknown-invite",
            Self::Act(error) => act_code(*error),
            Self::LongMessage { .. } => "long-message",
            Self::TooManyGroups(_) => "too-many-groups",
            Self::Database(_) => "database",
            Self::Closed(_) => "closed",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoUser => "create one with `pelago user create NAME`",
            Self::Locked => "run `pelago start`, and log in with `pelago login`",
            Self::UnknownGroup(_) => "`pelago group list` shows your groups",
            Self::AmbiguousName { .. } => "use the id, or its first eight digits or more",
            Self::AmbiguousUser { .. } => "use the user's key, or its first eight digits or more",
            Self::NotAMember(_) => "ask an owner for a link, and use `pelago group join`",
            Self::AlreadyJoined(_) => "`pelago group leave` ends that",
            Self::UnknownJoin(_) => "`pelago group joins` shows your requests",
            Self::UnknownUser(_) => "`pelago group members` shows all users of the group",
            Self::UnknownRequest(_) => "`pelago group requests` shows all requests",
            Self::UnknownInvite(_) => "`pelago group invites` shows all invites",
            Self::TooManyGroups(_) => "leave one with `pelago group leave`",
            Self::Act(ActError::NotAnOwner | ActError::NotTheRoot) => {
                "`pelago group members` shows who may"
            }
            Self::Act(ActError::IsOwner) => "`pelago group owner drop` takes that from the user",
            Self::Act(_) | Self::LongMessage { .. } | Self::Database(_) | Self::Closed(_) => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}

const fn act_code(error: ActError) -> &'static str {
    match error {
        ActError::NotAnOwner => "not-an-owner",
        ActError::NotTheRoot => "not-the-founder",
        ActError::NotIn => "unknown-user",
        ActError::AlreadyIn => "already-a-member",
        ActError::AlreadyOwner => "already-an-owner",
        ActError::NotOwner => "user-is-not-an-owner",
        ActError::IsOwner => "user-is-an-owner",
        ActError::IsRoot => "user-is-the-founder",
        ActError::Full => "group-full",
        ActError::TooManyOwners => "too-many-owners",
        ActError::TooManyInvites => "too-many-invites",
        ActError::UnknownInvite => "unknown-invite",
        ActError::TooManyEntries => "too-many-entries",
        ActError::NumbersUsedUp => "numbers-used-up",
    }
}
