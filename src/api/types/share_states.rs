//! Whether what this node shares can be had, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether a share can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShareState {
    /// It is offered to others. Of a folder, some files may not be available.
    Available,
    /// A program writes to it.
    #[serde(rename = "being written")]
    BeingWritten,
    /// It is not at its path, or its disk is not mounted.
    Missing,
    /// Its content is not what is listed, or is not proven to be yet.
    Changed,
    /// The system does not let the node read it.
    Unreadable,
    /// A person withdrew it from a watched folder.
    Excluded,
}

/// What is not available of what this node shares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnavailableShares {
    /// How many shares, and files in shared folders, are not available.
    pub count: u64,
    /// The first 1000 of them, by path.
    pub places: Vec<UnavailableShare>,
}

/// A share, or a file in a shared folder, that is not available.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnavailableShare {
    /// Where it lies, or lay.
    pub path: String,
    /// Why it is not available.
    pub state: ShareState,
    /// Where the shared folder lies that it is in; none if it is shared by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// A place in a watched folder that a person withdrew: the node does not share it again by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExcludedPlace)]
pub struct ExcludedPath {
    /// The file, or the folder with all that is in it.
    pub path: String,
    /// The watched folder.
    pub folder: String,
    /// `excluded`.
    pub state: ShareState,
}
