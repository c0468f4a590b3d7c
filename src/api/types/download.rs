//! One download: its request, its events and its result, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Differences, ErrorInfo, LinkPolicy, Waiting};

/// What to download.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DownloadRequest {
    /// A hash, a link or a name.
    pub target: String,
    /// Where to put it.
    pub output: Output,
    /// Addresses of peers to ask as well.
    #[serde(default)]
    pub peers: Vec<String>,
    /// Peer ids or names of the only peers to ask; none: any.
    #[serde(default)]
    pub from: Vec<String>,
    /// Addresses of nodes to enter the network by.
    #[serde(default)]
    pub bootstrap: Vec<String>,
    /// Seconds without anything that arrives after which it fails, or waits.
    pub timeout_seconds: f64,
    /// Whether it waits for a source after that, for as long as it is neither paused nor cancelled. Only a
    /// node that keeps running does.
    #[serde(default)]
    pub wait: bool,
    /// Of a folder: which files, as globs over their paths in it; none: all.
    #[serde(default)]
    pub only: Vec<String>,
    /// Whether other content that is there already may be replaced.
    #[serde(default)]
    pub overwrite: bool,
    /// Of a folder: which symbolic links are created.
    #[serde(default)]
    pub links: LinkPolicy,
    /// Of a folder: whether to refuse it if the file system of the target cannot hold a name in it.
    #[serde(default)]
    pub strict_names: bool,
    /// Of a folder: whether it may have far more entries than its manifests account for. It is refused with the
    /// code `folder-expands` otherwise.
    #[serde(default)]
    pub may_expand: bool,
    /// Whether to report it as done without waiting until it is safe from a power cut. Then it is not
    /// shared on.
    #[serde(default)]
    pub no_sync: bool,
    /// Whether the node goes on sharing it afterwards.
    #[serde(default)]
    pub seed: bool,
    /// Whether it is listed and announced then. If nothing is said: if it was asked for by its name, or if
    /// a source lists it and no link says that it is unlisted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<bool>,
    /// Whether to answer at once and leave it to the node.
    #[serde(default)]
    pub detach: bool,
}

/// Where to put a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Into the node's folder for downloads, under its own name (else its hash).
    Default,
    /// Into this folder, under its own name (else its hash). Absolute.
    Into(String),
    /// At this path; into it, if there is a folder. Absolute.
    At(String),
}

/// A line of the stream that a download is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum DownloadEvent {
    /// How far it is.
    Progress(DownloadStatus),
    /// The node goes on with it alone. The last line.
    Detached(DownloadStatus),
    /// It is complete. The last line.
    Done(Finished),
    /// It failed or was paused. The last line.
    Error {
        /// Why.
        error: ErrorInfo,
    },
}

/// A download and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DownloadStatus {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// What it is called. Any text.
    pub name: String,
    /// Where it will be; none until its name is known.
    pub path: Option<String>,
    /// How many come before it in the order of downloads; none where that is not told.
    pub position: Option<u64>,
    /// A lowercase word: `downloading`, `paused`...
    pub state: String,
    /// Bytes; none until a source told.
    pub size: Option<u64>,
    /// Bytes proven and written; none until it is known what an earlier run left.
    pub verified_bytes: Option<u64>,
    /// Bytes a second, at present.
    pub bytes_per_second: u64,
    /// How many peers it is fetched from.
    pub sources: u64,
    /// What it waits for, if it does.
    pub waits: Option<Waiting>,
    /// Something to know, in a sentence: the disk has no room for all of it, or what stays after `cancel` or
    /// `remove`.
    #[serde(default)]
    pub notice: Option<String>,
    /// What it waits for, why it failed, or the notice, in a sentence.
    pub why: Option<String>,
    /// Why it failed.
    pub error: Option<ErrorInfo>,
    /// Of a folder: what of it lies here other than the folder says; none if nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differences: Option<Differences>,
}

/// A complete download.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finished {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// Where it is.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Seconds it took, this time.
    pub seconds: f64,
    /// Bytes fetched a second, this time.
    pub bytes_per_second: u64,
    /// How many peers it was fetched from.
    pub sources: u64,
    /// Bytes that were here from an earlier attempt.
    pub resumed_bytes: u64,
    /// Bytes fetched this time.
    pub fetched_bytes: u64,
    /// Of a folder: what of it lies here other than the folder says; none if nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differences: Option<Differences>,
}
