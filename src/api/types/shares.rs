//! What is shared and how that ends, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{ErrorInfo, Shared};

/// What to share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareRequest {
    /// An absolute path.
    pub path: String,
    /// What to call it; none: as the file is called.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether only those who have the hash may know of it.
    #[serde(default)]
    pub unlisted: bool,
    /// Whether to hash all of it, also files that open as they did when they were hashed before.
    #[serde(default)]
    pub rehash: bool,
    /// Of a folder: whether to leave out what has content and cannot be carried: what cannot be read, and
    /// names that are not UTF-8.
    #[serde(default)]
    pub skip_unsupported: bool,
}

/// A line of the stream that a share is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum ShareEvent {
    /// How far hashing is.
    Hashing {
        /// Bytes hashed.
        hashed_bytes: u64,
        /// Bytes in all; none for a folder, which shows at the end.
        size: Option<u64>,
    },
    /// It is shared. The last line.
    Shared(Shared),
    /// It is not shared. The last line.
    Error {
        /// Why.
        error: ErrorInfo,
    },
}

/// Which share to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UnshareQuery {
    /// A hash (64 hex digits) or at least 6 of its first digits: all places of that content. A name: the
    /// places of that name. An absolute path: that place.
    pub what: String,
    /// The absolute path that `what` is, if it is a relative one: for what nothing is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Which links to give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LinksQuery {
    /// 64 hex digits or a name; none: of all that is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Items of the page, 1 to 10000 (default 1000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The cursor that the last page named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Which link to draw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct QrQuery {
    /// 64 hex digits or a name.
    pub what: String,
}

/// A file that was put into a shared folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Added {
    /// Where it is.
    pub path: String,
}
