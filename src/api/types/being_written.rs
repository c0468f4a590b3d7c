//! Files in watched folders that programs may still write to, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The files in watched folders that are not shared yet because programs may still write to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeingWritten {
    /// The number of files.
    pub count: u64,
    /// The first 1000 of them, by path.
    pub files: Vec<FileBeingWritten>,
}

/// A file in a watched folder that programs may still write to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileBeingWritten {
    /// The path of the file.
    pub path: String,
    /// Its size in bytes when the node last checked it.
    pub size: u64,
}

/// A file that programs have finished writing: it is shared now, or was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileWritten {
    /// The path of the file.
    pub path: String,
}
