//! What streams of events tell, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which events to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Some of `status,downloads,shares,peers,settings,log`; none: all but `log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// What a stream begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hello {
    /// The version of the program.
    pub version: String,
    /// The node's identity.
    pub peer_id: String,
    /// What others see it called.
    pub name: String,
    /// When it began to serve, in milliseconds since 1970: another one is another run.
    pub started_unix_ms: u64,
}

/// A download that is no longer listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadRemoved {
    /// Its hash: 64 hex digits.
    pub hash: String,
}

/// Content that is no longer shared under a name from a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShareRemoved {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// The name.
    pub name: String,
    /// Where it lies.
    #[serde(default)]
    pub path: Option<String>,
}

/// A peer that is no longer connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerRemoved {
    /// Its identity.
    pub peer_id: String,
}

/// What `ready` holds: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {}
