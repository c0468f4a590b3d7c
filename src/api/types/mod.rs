//! What the API and `--json` say: JSON types, and nowhere else.
//!
//! Counts, bytes and seconds are numbers; hashes, peer ids and addresses are text.

mod being_written;
mod check;
mod downloads;
mod events;
mod gateway;
mod health;
mod limits;
mod log;
mod open;
mod settings;
mod share_states;
mod sign_in;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub use being_written::{BeingWritten, FileBeingWritten, FileWritten};
pub use check::{CheckEvent, CheckedShare, FoundFile, WrongFile};
pub use downloads::{
    Difference, Differences, DownloadDetail, DownloadSource, Followers, LinkPolicy, OrderChange,
    QueuePosition, RemoveQuery, Waiting,
};
pub use events::{DownloadRemoved, EventsQuery, Hello, PeerRemoved, Ready, ShareRemoved};
pub use gateway::{Gateway, GatewayQuery};
pub use health::{
    DiskRoom, Duty, Health, Notice, SystemLimits, UnreadFile, WaitingDownload, WatchedFolder,
    WatchedPart,
};
pub use limits::{Limits, LimitsChange};
pub use log::{LogLevel, LogLine, LogQuery};
pub use open::{ContentInfo, Holder, OpenRequest};
pub use settings::{OriginKind, Setting, SettingKind, SettingOrigin, SettingsChange};
pub use share_states::{ExcludedPath, ShareState, UnavailableShare, UnavailableShares};
pub use sign_in::{Code, CodeQuery, Run, Session, SignIn};

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Its identity.
    pub peer_id: String,
    /// What others see it called.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// Multiaddrs it listens on.
    pub listen: Vec<String>,
    /// `IP:PORT` of its API; none if this came from within its process.
    pub api: Option<String>,
    /// Scheme, host and port of its gateway; none if it has none.
    #[serde(default)]
    pub gateway: Option<String>,
    /// How many contents it shares.
    pub shares: u64,
    /// How many downloads it knows.
    pub downloads: u64,
    /// How many peers it is connected to.
    pub peers: u64,
    /// Seconds since it started.
    pub uptime_seconds: f64,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// Its identity.
    pub peer_id: String,
    /// What it calls itself, if it said so. Any text.
    pub name: Option<String>,
    /// Multiaddrs it is known by.
    pub addresses: Vec<String>,
    /// Milliseconds a message takes there and back, if measured.
    pub rtt_ms: Option<f64>,
    /// Bytes sent to it.
    pub sent_bytes: u64,
    /// Bytes received from it.
    pub received_bytes: u64,
}

/// What the bytes of some content mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// A file or folder that was hashed and not shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hashed {
    /// Where it is, as it was given.
    pub path: String,
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// File or folder.
    pub kind: Kind,
    /// Bytes; of a folder, in all files below.
    pub size: u64,
    /// The root of its tree, which for a folder is its manifest's: 64 hex digits.
    pub root: String,
    /// What to know of how it was hashed, each in a sentence: what is left out, and which link was followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Content that this node shares, or just stopped sharing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Shared {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// What it is called.
    pub name: String,
    /// Bytes; of a folder, in all files below.
    pub size: u64,
    /// File or folder.
    pub kind: Kind,
    /// Where it lies. Commands do not print it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// All that a receiver needs.
    pub link: String,
    /// The hash that was listed at its path until now, if that was other content: 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// Whether a program still had it, or a file in it, open for writing when it was shared; only the
    /// answer to sharing tells.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
    /// What to know of how it was shared, each in a sentence: what is left out, and which link was followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether it can be had; only events tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ShareState>,
    /// Of a folder: how many of its files are not available. Only events tell.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unavailable_files: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Shared {
    /// The same for scripts, which may pass on what they are given: where it lies is nobody else's business.
    #[must_use]
    pub fn without_path(self) -> Self {
        Self { path: None, ..self }
    }
}

/// A line of a list of content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listed {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// What it is called there. Any text.
    pub name: String,
    /// Bytes; of a folder, in all files below.
    pub size: u64,
    /// File or folder.
    pub kind: Kind,
    /// How many peers in reach share it.
    pub peers: u64,
    /// What they call themselves, if they are one or two and said so. Any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<String>,
    /// Whether it can be had from this node; none if others share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ShareState>,
    /// Of a folder that this node shares: how many of its files are not available.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unavailable_files: u64,
}

/// One of several contents that are shared under one name, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Choice {
    /// What it is.
    #[serde(flatten)]
    pub listed: Listed,
    /// Some of those who share it, those with names first.
    #[serde(default)]
    pub from: Vec<Sharer>,
}

/// A peer that shares something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sharer {
    /// Its peer id.
    pub peer_id: String,
    /// What it calls itself. Any text.
    pub name: Option<String>,
}

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

/// Which page of a list to give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Items of the page, 1 to 10000 (default 1000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The cursor that the last page named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
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

/// Whose shares to list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CatalogueQuery {
    /// A peer's address: its shares; none: those of all peers in reach.
    #[serde(default)]
    pub peer: Option<String>,
    /// Seconds to wait for peers to answer, if no peer is given.
    #[serde(default)]
    pub wait: Option<f64>,
    /// Items of the page, 1 to 10000 (default 1000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The cursor that the last page named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

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

/// A failure, as the whole answer to a request: problem details (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `about:blank`: the code says which failure it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the status code means.
    pub title: String,
    /// The status code.
    pub status: u16,
    /// What was tried, on what, and what happened: for people.
    pub detail: String,
    /// Kebab-case, stable: for scripts.
    pub code: String,
    /// What to do next, if there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Of a name that several things have (`ambiguous-name`): what to choose from, if that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
}

impl From<Problem> for ErrorInfo {
    fn from(problem: Problem) -> Self {
        Self {
            code: problem.code,
            message: problem.detail,
            hint: problem.hint,
            choices: problem.choices,
        }
    }
}

/// A failure of a command, as all that it prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// Which.
    pub error: ErrorInfo,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, ToSchema)]
#[error("{message}")]
pub struct ErrorInfo {
    /// Kebab-case, stable: for scripts.
    pub code: String,
    /// What was tried, on what, and what happened: for people.
    pub message: String,
    /// What to do next, if there is something.
    pub hint: Option<String>,
    /// Of a name that several things have (`ambiguous-name`): what to choose from, if that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
}

impl ErrorInfo {
    /// A failure without a hint.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            hint: None,
            choices: Vec::new(),
        }
    }

    /// The same failure, saying what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
