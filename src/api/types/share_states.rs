//! The availability of shares, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The state of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShareState {
    /// It is available to other peers. Some files of a folder may not be.
    Available,
    /// A program writes to it.
    #[serde(rename = "being written")]
    BeingWritten,
    /// It is missing at its path, or its disk is not mounted.
    Missing,
    /// Its content differs from its hash, or was not verified yet.
    Changed,
    /// The system denies the node reading it.
    Unreadable,
    /// A person excluded it from a watched folder.
    Excluded,
}

/// The shares of this node that are not available.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnavailableShares {
    /// The number of shares, and of files in shared folders, that are not available.
    pub count: u64,
    /// The first 1000 of them, by path.
    pub places: Vec<UnavailableShare>,
}

/// A share, or a file in a shared folder, that is not available.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnavailableShare {
    /// Its path.
    pub path: String,
    /// The reason.
    pub state: ShareState,
    /// The path of the shared folder that contains it; absent if it is a share itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// A path in a watched folder that a person excluded: the node does not share it again by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExcludedPlace)]
pub struct ExcludedPath {
    /// The file, or the folder with everything in it.
    pub path: String,
    /// The watched folder.
    pub folder: String,
    /// `excluded`.
    pub state: ShareState,
}
