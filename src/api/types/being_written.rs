//! Files in watched folders that may still be being written, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The files in watched folders that are not shared yet, as programs may still write to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeingWritten {
    /// How many there are.
    pub count: u64,
    /// The first 1000 of them, by path.
    pub files: Vec<FileBeingWritten>,
}

/// A file in a watched folder that may still be being written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileBeingWritten {
    /// The file.
    pub path: String,
    /// Its size when the node last looked, in bytes.
    pub size: u64,
}

/// A file that is no longer being written: it is shared now, or gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileWritten {
    /// The file.
    pub path: String,
}
