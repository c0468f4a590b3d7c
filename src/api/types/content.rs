//! Content that is shared, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ShareState;

/// The kind of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// A file or folder that was hashed without sharing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hashed {
    /// Its path, as it was given.
    pub path: String,
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// File or folder.
    pub kind: Kind,
    /// Its size in bytes; for a folder, of all files below.
    pub size: u64,
    /// The root of its hash tree, which for a folder is that of its manifest: 64 hex digits.
    pub root: String,
    /// Remarks on how it was hashed, each a sentence: what was left out, and which link was
    /// followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Content that this node shares, or just stopped sharing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Shared {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// Its name.
    pub name: String,
    /// Its size in bytes; for a folder, of all files below.
    pub size: u64,
    /// File or folder.
    pub kind: Kind,
    /// Its path. Commands do not print it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its link, which is all that a receiver needs.
    pub link: String,
    /// Whether it is unlisted: in no list, and only for peers that have its hash. Absent if it is
    /// listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlisted: bool,
    /// The ids of the groups whose members may have it: 64 hex digits each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Whether only the members of these groups may have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub group_only: bool,
    /// The hash that was shared from its path until now, if that was other content: 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// Whether a program still had it, or a file in it, open for writing when it was shared. Set
    /// only in the response to sharing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
    /// Remarks on how it was shared, each a sentence: what was left out, and which link was
    /// followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether it is still shared, with those whom the other fields name. Set only in the response to
    /// unsharing with a group, or with everyone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub still_shared: bool,
    /// Whether it is available. Set only in events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ShareState>,
    /// For a folder: the number of its files that are not available. Set only in events.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unavailable_files: u64,
}

impl Shared {
    /// Removes the local path, as scripts may publish their output.
    #[must_use]
    pub fn without_path(self) -> Self {
        Self { path: None, ..self }
    }
}

/// An entry of a list of content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listed {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// Its name there. Any text.
    pub name: String,
    /// Its size in bytes; for a folder, of all files below.
    pub size: u64,
    /// File or folder.
    pub kind: Kind,
    /// The path of a share of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The number of peers in reach that share it.
    pub peers: u64,
    /// The names of these peers, if there are one or two and both are known. In the list of a group
    /// they are those of its members. Any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<String>,
    /// Whether it is unlisted: in no list, and only for peers that have its hash. Absent if it is
    /// listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlisted: bool,
    /// The ids of the groups whose members may have it, of a share of this node: 64 hex digits each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Whether only the members of these groups may have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub group_only: bool,
    /// In the list of a group: whether no member who has it is in reach. Such an entry is what
    /// members listed when they were last in reach.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offline: bool,
    /// Whether it is available from this node; absent for what this node does not share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ShareState>,
    /// For a folder that this node shares: the number of its files that are not available.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unavailable_files: u64,
}

/// One of several contents that have the same name, or one of several places in which content is
/// shared; and peers that share it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Choice {
    /// The content.
    #[serde(flatten)]
    pub listed: Listed,
    /// The id of the group in which it is shared: 64 hex digits. Absent outside groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The name of this group, if the node knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    /// Some of the peers that share it, those with names first.
    #[serde(default)]
    pub from: Vec<Sharer>,
}

/// A peer that shares content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sharer {
    /// Its peer id.
    pub peer_id: String,
    /// Its name. Any text.
    pub name: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
