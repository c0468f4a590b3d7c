//! Why the user of a data folder cannot be used.

use std::{io, path::PathBuf};

use pelago_groups::Name;

/// Why the user of a data folder cannot be read, unlocked or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UserFileError {
    /// There is no user.
    #[error("this data folder has no user")]
    NoUser,
    /// There is a user already.
    #[error("this data folder has a user already: {:?}", name.as_str())]
    Exists {
        /// The name of the user.
        name: Name,
    },
    /// The passphrase is wrong, or missing.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// Bytes to import are not an exported user.
    #[error("this is not the whole file of an exported user")]
    NotSealed,
    /// Other users of this machine can read the file.
    #[error(
        "other users may read the key {0}: run `chmod 600 {0}`",
        crate::shown(path)
    )]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error("{} is damaged: put back a copy", crate::shown(path))]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote the file.
    #[error("{} was written by a newer version", crate::shown(path))]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("the key {} cannot be read or written: {source}", crate::shown(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Why bytes are not a sealed user that opens, wherever they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SealedError {
    WrongPassphrase,
    Damaged,
    Newer,
}

impl SealedError {
    /// The error about the file at `path`.
    pub(super) fn of(self, path: PathBuf) -> UserFileError {
        match self {
            Self::WrongPassphrase => UserFileError::WrongPassphrase,
            Self::Damaged => UserFileError::Damaged { path },
            Self::Newer => UserFileError::Newer { path },
        }
    }
}
