//! Content that is shared, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ShareState;

/// What the bytes of some content mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// A file or folder that was hashed and not shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hashed {
    /// Where it is, as it was given.
    pub path: String,
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// File or folder.
    pub kind: Kind,
    /// Bytes; of a folder, in all files below.
    pub size: u64,
    /// The root of its tree, which for a folder is its manifest's: 64 hex digits.
    pub root: String,
    /// What to know of how it was hashed, each in a sentence: what is left out, and which link was followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Content that this node shares, or just stopped sharing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Shared {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// What it is called.
    pub name: String,
    /// Bytes; of a folder, in all files below.
    pub size: u64,
    /// File or folder.
    pub kind: Kind,
    /// Where it lies. Commands do not print it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// All that a receiver needs.
    pub link: String,
    /// The hash that was listed at its path until now, if that was other content: 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// Whether a program still had it, or a file in it, open for writing when it was shared; only the
    /// answer to sharing tells.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
    /// What to know of how it was shared, each in a sentence: what is left out, and which link was followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether it can be had; only events tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ShareState>,
    /// Of a folder: how many of its files are not available. Only events tell.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unavailable_files: u64,
}

impl Shared {
    /// The same for scripts, which may pass on what they are given: where it lies is nobody else's business.
    #[must_use]
    pub fn without_path(self) -> Self {
        Self { path: None, ..self }
    }
}

/// A line of a list of content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listed {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// What it is called there. Any text.
    pub name: String,
    /// Bytes; of a folder, in all files below.
    pub size: u64,
    /// File or folder.
    pub kind: Kind,
    /// How many peers in reach share it.
    pub peers: u64,
    /// What they call themselves, if they are one or two and said so. Any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<String>,
    /// Whether it can be had from this node; none if others share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ShareState>,
    /// Of a folder that this node shares: how many of its files are not available.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unavailable_files: u64,
}

/// One of several contents that are shared under one name, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Choice {
    /// What it is.
    #[serde(flatten)]
    pub listed: Listed,
    /// Some of those who share it, those with names first.
    #[serde(default)]
    pub from: Vec<Sharer>,
}

/// A peer that shares something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sharer {
    /// Its peer id.
    pub peer_id: String,
    /// What it calls itself. Any text.
    pub name: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
