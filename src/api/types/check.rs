//! A check of all that is shared.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ErrorInfo, Kind};

/// A line of the stream that a check of all shares is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum CheckEvent {
    /// How much will be read. The first line.
    Begun {
        /// How many shares.
        shares: u64,
        /// Bytes of all their files.
        bytes: u64,
    },
    /// How far it is.
    Reading {
        /// Where the share lies that is being read.
        path: String,
        /// Bytes read so far, of all shares.
        read_bytes: u64,
    },
    /// A share was read.
    Checked(CheckedShare),
    /// All shares were read. The last line.
    Done,
    /// The check could not go on. The last line.
    Error {
        /// Why.
        error: ErrorInfo,
    },
}

/// A share after it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckedShare {
    /// The hash that it is listed with: 64 hex digits.
    pub hash: String,
    /// What it is called.
    pub name: String,
    /// File or folder.
    pub kind: Kind,
    /// Where it lies.
    pub path: String,
    /// Bytes that are listed; of a folder, in all files below.
    pub size: u64,
    /// Files that are not what is listed, at most 20: the share itself, or some of those in a shared
    /// folder.
    pub wrong: Vec<WrongFile>,
    /// How many such files there are.
    pub wrong_count: u64,
}

/// A file that is not what is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WrongFile {
    /// Where it lies, or should.
    pub path: String,
    /// What is there instead.
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
    /// Something that cannot be read.
    Unreadable {
        /// Why.
        reason: String,
    },
}
