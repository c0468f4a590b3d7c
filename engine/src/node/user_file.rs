//! The errors of the user's file, for programs and people.

use super::CodedError;
use crate::store::{InvalidPassphrase, UserFileError};

impl CodedError for UserFileError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoUser => "no-user",
            Self::Exists { .. } => "user-exists",
            Self::WrongPassphrase => "wrong-passphrase",
            Self::NotSealed => "not-sealed",
            // The messages give the reason.
            _ => "user-file",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoUser => "make one with `pelago user create NAME`",
            Self::Exists { .. } => "one data folder has one user: use another one with --data-dir",
            Self::WrongPassphrase => "try again; a forgotten passphrase cannot be restored",
            Self::NotSealed => "give a file that `pelago user export` wrote",
            Self::Newer { .. } => "use that version",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl CodedError for InvalidPassphrase {
    fn code(&self) -> &'static str {
        "bad-passphrase"
    }

    fn hint(&self) -> Option<String> {
        matches!(self, Self::Empty)
            .then(|| "a user without a passphrase takes --no-passphrase".to_owned())
    }
}
