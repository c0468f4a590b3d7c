//! One download: its request, its events and its result, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Differences, ErrorInfo, LinkPolicy, Waiting};

/// A request to download content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DownloadRequest {
    /// A hash, a link or a name.
    pub target: String,
    /// Where to save it.
    pub output: Output,
    /// If this node shares all of the content already: whether that is the result, where it is,
    /// instead of a copy at the output. So it is for the output `default`.
    #[serde(default)]
    pub in_place: bool,
    /// Addresses of further peers to ask.
    #[serde(default)]
    pub peers: Vec<String>,
    /// Peer ids or names of the only peers to ask. Empty: all peers.
    #[serde(default)]
    pub from: Vec<String>,
    /// A group, by its id, at least 8 of its first digits, or its name: its members are the only
    /// peers to ask, and the only ones who may have the download from this node. Default: the group
    /// from which this node knows the content, by the link, a list, an earlier request or a share; the
    /// only place in which a name is shared; none otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether to ask all peers, even if this node knows the content from a group, or from one that it
    /// has left. Without it, such content is refused with the code `not-a-member`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
    /// Addresses of further bootstrap nodes.
    #[serde(default)]
    pub bootstrap: Vec<String>,
    /// Seconds without received data after which the download fails, or waits.
    pub timeout_seconds: f64,
    /// Whether it then waits for a source until it is paused or cancelled. It waits only while the
    /// node runs.
    #[serde(default)]
    pub wait: bool,
    /// For a folder: globs that select files by their paths in it. Empty: all files.
    #[serde(default)]
    pub only: Vec<String>,
    /// Whether to replace other content that exists at the target.
    #[serde(default)]
    pub overwrite: bool,
    /// For a folder: which symbolic links to create.
    #[serde(default)]
    pub links: LinkPolicy,
    /// For a folder: whether to fail if the file system of the target cannot store a name in it.
    #[serde(default)]
    pub strict_names: bool,
    /// For a folder: whether it may have more than 100,000 entries. Otherwise, such a download fails with
    /// the code `folder-expands`.
    #[serde(default)]
    pub may_expand: bool,
    /// Whether to report it as done before it is safe from a power cut. It is not shared then.
    #[serde(default)]
    pub no_sync: bool,
    /// Whether the node keeps sharing it after it is done.
    #[serde(default)]
    pub seed: bool,
    /// Whether the node lists and announces it while it shares it. Default: yes if the target is a
    /// name, or if a source lists it and the link does not mark it as unlisted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<bool>,
    /// Whether to detach: the response ends immediately, and the node continues the download.
    #[serde(default)]
    pub detach: bool,
}

impl DownloadRequest {
    /// A request for all of the content, from any peer, which fails after `timeout_seconds` without
    /// progress.
    pub fn new(target: impl Into<String>, output: Output, timeout_seconds: f64) -> Self {
        Self {
            target: target.into(),
            output,
            in_place: false,
            peers: Vec::new(),
            from: Vec::new(),
            group: None,
            public: false,
            bootstrap: Vec::new(),
            timeout_seconds,
            wait: false,
            only: Vec::new(),
            overwrite: false,
            links: LinkPolicy::default(),
            strict_names: false,
            may_expand: false,
            no_sync: false,
            seed: false,
            listed: None,
            detach: false,
        }
    }
}

/// Where to save a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// In the download folder of the node, under its own name, or its hash if it has none.
    Default,
    /// In this folder, an absolute path, under its own name, or its hash if it has none.
    Into(String),
    /// At this absolute path. If it is an existing folder, inside it.
    At(String),
}

/// A line of the stream of a download.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum DownloadEvent {
    /// A search for the target takes a while: the name is looked for at peers, or a peer by its name.
    /// Other lines follow.
    Searching {
        /// The target, as it was requested.
        target: String,
        /// The number of peers that were asked for the name so far.
        asked: u64,
    },
    /// The progress of the download.
    Progress(DownloadStatus),
    /// The node continues the download by itself. The last line.
    Detached(DownloadStatus),
    /// The download is complete. The last line.
    Done(Finished),
    /// The download failed or was paused. The last line.
    Error {
        /// The reason.
        error: ErrorInfo,
    },
}

/// A download and its progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DownloadStatus {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// Its name. Any text.
    pub name: String,
    /// Its path when it is done; null until its name is known.
    pub path: Option<String>,
    /// The number of downloads before it in the queue; null in responses that do not report it.
    pub position: Option<u64>,
    /// The id of the group in which it is fetched: 64 hex digits. Absent outside groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// A lowercase word, such as `downloading` or `paused`.
    pub state: String,
    /// Its size in bytes; null until a source reports it.
    pub size: Option<u64>,
    /// Bytes that are verified and written; null until the data of earlier runs is examined.
    pub verified_bytes: Option<u64>,
    /// Bytes per second, at present.
    pub bytes_per_second: u64,
    /// The number of peers that it is fetched from.
    pub sources: u64,
    /// What it waits for, if it waits.
    pub waits: Option<Waiting>,
    /// A remark, in a sentence: the disk has too little free space for all of it, or which files
    /// stay after `cancel` or `remove`.
    #[serde(default)]
    pub notice: Option<String>,
    /// What it waits for, why it failed, its notice or its differences, in a sentence.
    pub why: Option<String>,
    /// The error of a failed download.
    pub error: Option<ErrorInfo>,
    /// For a folder: how its copy on disk differs from it; absent if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differences: Option<Differences>,
}

/// A complete download.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finished {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// Its path.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Seconds that this run took.
    pub seconds: f64,
    /// Fetched bytes per second in this run.
    pub bytes_per_second: u64,
    /// The number of peers that it was fetched from.
    pub sources: u64,
    /// Bytes that were present from earlier runs, or at the target.
    pub resumed_bytes: u64,
    /// Bytes that were copied from shares of this node.
    #[serde(default)]
    pub copied_bytes: u64,
    /// Bytes that were fetched in this run.
    pub fetched_bytes: u64,
    /// For a folder: how its copy on disk differs from it; absent if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differences: Option<Differences>,
}
