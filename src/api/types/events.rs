//! Streams of events, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which events to send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// A comma-separated list of `status`, `downloads`, `uploads`, `shares`, `peers`, `groups`,
    /// `settings` and `log`. Default: all but `log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// The first event of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hello {
    /// The version of the program.
    pub version: String,
    /// The node's identity.
    pub peer_id: String,
    /// The name that other peers see.
    pub name: String,
    /// When the API started, in milliseconds since 1970. Another value means another run.
    pub started_unix_ms: u64,
}

/// A download that was removed from the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadRemoved {
    /// Its hash: 64 hex digits.
    pub hash: String,
}

/// A share that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShareRemoved {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// Its name.
    pub name: String,
    /// Its path.
    #[serde(default)]
    pub path: Option<String>,
}

/// A peer that disconnected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerRemoved {
    /// Its identity.
    pub peer_id: String,
}

/// The data of `ready`, which is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {}
