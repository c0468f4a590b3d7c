//! Links for browsers of people without Pelago, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a link for browsers is to give or to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum WebLinkRequest {
    /// A share, which browsers download.
    Share {
        /// The share: its hash, at least 6 of its first digits, or its name.
        what: String,
        /// Seconds for which the link is valid; by default until it is withdrawn or the node ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_seconds: Option<u64>,
    },
    /// A folder, into which browsers upload files.
    Receive {
        /// The path of the folder on the node's machine. It is created if it does not exist.
        folder: String,
        /// Seconds for which the link is valid; by default until it is withdrawn or the node ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_seconds: Option<u64>,
        /// Bytes of all files together, at most. Default: 10 GB.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_bytes: Option<u64>,
        /// How many files, at most: 1 to 1000. Default: 100.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_files: Option<u64>,
    },
}

/// A link by which browsers download a share or upload files, over plain HTTP: unencrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebLink {
    /// By which the link is withdrawn.
    pub id: String,
    /// `share` or `receive`.
    pub kind: String,
    /// One URL for each address at which other machines may reach this one. Each holds a secret.
    pub urls: Vec<String>,
    /// The name of the share, or of the folder.
    pub name: String,
    /// The hash of the share: 64 hex digits.
    #[serde(default)]
    pub hash: Option<String>,
    /// The path of the folder.
    #[serde(default)]
    pub folder: Option<String>,
    /// Bytes that may still be received.
    #[serde(default)]
    pub bytes_left: Option<u64>,
    /// Files that may still be received.
    #[serde(default)]
    pub files_left: Option<u64>,
    /// The files that were received.
    #[serde(default)]
    pub received: Vec<ReceivedFile>,
    /// When the link ends, in milliseconds since 1970; null if it has no such time.
    #[serde(default)]
    pub expires_unix_ms: Option<u64>,
}

/// A file that came by a link for browsers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceivedFile {
    /// Its path.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
}
