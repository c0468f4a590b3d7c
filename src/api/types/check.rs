//! A check of all shared files, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ErrorInfo, Kind};

/// A line of the stream of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum CheckEvent {
    /// How much the check will read. The first line.
    Begun {
        /// The number of shares.
        shares: u64,
        /// Bytes of all their files.
        bytes: u64,
    },
    /// The progress of the check.
    Reading {
        /// The path of the share that is being read.
        path: String,
        /// Bytes read so far, of all shares.
        read_bytes: u64,
    },
    /// A share was read.
    Checked(CheckedShare),
    /// All shares were read. The last line.
    Done,
    /// The check failed. The last line.
    Error {
        /// The reason.
        error: ErrorInfo,
    },
}

/// A share that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckedShare {
    /// The hash under which it is shared: 64 hex digits.
    pub hash: String,
    /// Its name.
    pub name: String,
    /// File or folder.
    pub kind: Kind,
    /// Its path.
    pub path: String,
    /// Its size in bytes when it was hashed; for a folder, of all files below.
    pub size: u64,
    /// The first 20 files that differ from what was hashed: the share itself, or files in it.
    pub wrong: Vec<WrongFile>,
    /// The number of all such files.
    pub wrong_count: u64,
}

/// A file that differs from what was hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WrongFile {
    /// Its path.
    pub path: String,
    /// What is at its path instead.
    #[serde(flatten)]
    pub found: FoundFile,
}

/// What is at the path of a shared file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "found", rename_all = "lowercase")]
pub enum FoundFile {
    /// Other content.
    Other {
        /// Its hash: 64 hex digits.
        hash: String,
    },
    /// Nothing.
    Missing,
    /// Something unreadable.
    Unreadable {
        /// The reason.
        reason: String,
    },
}
