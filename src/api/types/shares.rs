//! Sharing files and folders, and ending that, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{ErrorInfo, Shared};

/// A request to share a file or folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareRequest {
    /// The absolute path of the file or folder.
    pub path: String,
    /// The name of the share. Default: the name of the file or folder.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether to leave it out of lists and announcements, so that only peers with the hash find
    /// it.
    #[serde(default)]
    pub unlisted: bool,
    /// The groups to share it with, each by its id, at least 8 of its first digits, or its name. What
    /// the path is shared with already stays.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Whether to share it with everyone, or if it is unlisted with everyone who has the hash.
    /// Default: only without `groups`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub everyone: Option<bool>,
    /// Whether to hash all files again, even those that look unchanged since they were hashed.
    #[serde(default)]
    pub rehash: bool,
    /// For a folder: whether to leave out unsupported entries instead of failing: files that cannot
    /// be read, and names that are not UTF-8.
    #[serde(default)]
    pub skip_unsupported: bool,
}

impl ShareRequest {
    /// A request that lists what is at the absolute `path` under its name on disk.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            name: None,
            unlisted: false,
            groups: Vec::new(),
            everyone: None,
            rehash: false,
            skip_unsupported: false,
        }
    }
}

/// A line of the stream of a request to share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum ShareEvent {
    /// The progress of hashing.
    Hashing {
        /// Bytes that were hashed so far.
        hashed_bytes: u64,
        /// Bytes of the file; null for a folder, whose size is not known before the end.
        size: Option<u64>,
    },
    /// The file or folder is shared. The last line.
    Shared(Shared),
    /// Sharing failed. The last line.
    Error {
        /// The reason.
        error: ErrorInfo,
    },
}

/// Which shares to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UnshareQuery {
    /// A hash (64 hex digits), or at least 6 of its first digits: all shares of that content. A
    /// name: all shares with that name. An absolute path: the share at that path.
    pub what: String,
    /// The absolute path of `what`, if `what` may be a relative path. It counts if no share is
    /// called `what`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A group, by its id, at least 8 of its first digits, or its name: shares with other groups and
    /// with everyone stay. It need not be a group of the user any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether only shares outside groups end, with everyone or with everyone who has the hash: shares
    /// with groups stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
}

/// Which links to return.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LinksQuery {
    /// A hash (64 hex digits) or a name. Default: the links of all shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// A group, by its id, at least 8 of its first digits, or its name: the links of what is shared
    /// with it, for its members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Items of the page: 1 to 10000, by default 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The cursor from the `Link` header of the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// The share whose link becomes a QR code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct QrQuery {
    /// A hash (64 hex digits) or a name.
    pub what: String,
}

/// A file that was uploaded to a shared folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Added {
    /// Its path.
    pub path: String,
}
