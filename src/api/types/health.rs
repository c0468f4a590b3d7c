//! The health of a node, in JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The health of a node: its connections, what it relies on, and its problems.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// The number of connected peers.
    pub peers: u64,
    /// The number of peers that connected to this node.
    pub inbound_peers: u64,
    /// The number of known DHT nodes.
    pub dht_nodes: u64,
    /// The number of configured bootstrap nodes.
    pub bootstrap: u64,
    /// The number of connected bootstrap nodes, as far as their addresses show.
    pub bootstrap_connected: u64,
    /// The address of another node with the same identity, if one was seen.
    #[serde(default)]
    pub identity_clash: Option<String>,
    /// The limits of the system for the node's process.
    #[serde(default)]
    pub limits: SystemLimits,
    /// The watched folders, and how the node learns of changes in each.
    #[serde(default)]
    pub watches: Vec<WatchedFolder>,
    /// The background tasks of the node.
    #[serde(default)]
    pub duties: Vec<Duty>,
    /// The disks of the data folder, the download folder and the watched folders.
    #[serde(default)]
    pub disks: Vec<DiskSpace>,
    /// The first 20 waiting downloads, and what they wait for.
    #[serde(default)]
    pub waiting: Vec<WaitingDownload>,
    /// The number of waiting downloads.
    #[serde(default)]
    pub waiting_count: u64,
    /// The number of shares in each state other than `available`, at the last check.
    #[serde(default)]
    pub share_states: BTreeMap<String, u64>,
    /// Damaged files that the node set aside.
    #[serde(default)]
    pub set_aside: Vec<String>,
    /// Facts that a person has to know, problems first.
    #[serde(default)]
    pub notices: Vec<Notice>,
}

/// The limits of the system for a node's process, and what it uses; null if the system does not
/// report a value, or has no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SystemLimits {
    /// Open files and connections.
    pub open_files: Option<u64>,
    /// Open files and connections, at most.
    pub max_open_files: Option<u64>,
    /// Inotify watches that the node uses, one per directory.
    pub watches: u64,
    /// Inotify watches of the user in all programs, at most.
    pub max_watches: Option<u64>,
    /// Bytes of memory that the process uses, without its program file.
    pub memory_bytes: Option<u64>,
    /// The control group with the smallest memory limit.
    pub cgroup: Option<String>,
    /// Bytes of memory that this group uses, including cached files.
    pub cgroup_memory_bytes: Option<u64>,
    /// Bytes of memory that this group may use.
    pub max_cgroup_memory_bytes: Option<u64>,
    /// The memory budget of connections in bytes, derived from settings and limits.
    #[serde(default)]
    pub connections_budget_bytes: u64,
    /// The read-ahead budget of all readers together, in bytes.
    #[serde(default)]
    pub read_ahead_budget_bytes: u64,
}

/// A folder of `storage.share_folders`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchedFolder {
    /// The path of the folder.
    pub path: String,
    /// Whether the folder exists.
    pub is_there: bool,
    /// How the node learns of changes: `events`, `events-and-polling` or `polling`.
    pub relies_on: String,
    /// Seconds between two scans without an event; null if it relies on events.
    pub interval_seconds: Option<u64>,
    /// Why it does not rely on events alone.
    pub why: Option<String>,
    /// The number of its directories with an inotify watch.
    pub watches: u64,
    /// The first 20 parts (mounted file systems, subfolders) where the node learns of changes in
    /// another way.
    pub parts: Vec<WatchedPart>,
    /// The number of all such parts.
    pub parts_count: u64,
    /// The error of the last scan, which will be retried.
    pub failure: Option<String>,
    /// The first 20 files that could not be read or recorded, or whose names are not valid UTF-8. The
    /// node will retry.
    pub unread: Vec<UnreadFile>,
    /// The number of all such files.
    pub unread_count: u64,
    /// When the last complete scan ended, in milliseconds since 1970.
    pub looked_at_unix_ms: Option<u64>,
    /// When the current scan began, in milliseconds since 1970; null if none runs.
    pub looks_since_unix_ms: Option<u64>,
}

/// A part of a watched folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchedPart {
    /// The path of the part.
    pub path: String,
    /// How the node learns of changes: `events-and-polling` or `polling`.
    pub relies_on: String,
    /// Seconds between two scans without an event.
    pub interval_seconds: Option<u64>,
    /// Why it does not rely on events alone.
    pub why: String,
}

/// A file that could not be read or recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnreadFile {
    /// The path of the file.
    pub path: String,
    /// The reason.
    pub why: String,
}

/// A background task of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Duty {
    /// Its name.
    pub name: String,
    /// `running`, `waiting` for a restart, or `ended` with its work done.
    pub state: String,
    /// The number of restarts.
    pub restarts: u64,
    /// Its last error.
    pub error: Option<String>,
    /// When it failed last, in milliseconds since 1970.
    pub failed_unix_ms: Option<u64>,
    /// When the node will restart it, in milliseconds since 1970.
    pub restarts_unix_ms: Option<u64>,
}

/// The space on a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DiskRoom)]
pub struct DiskSpace {
    /// A folder on the disk.
    pub path: String,
    /// Bytes of the disk.
    pub size: u64,
    /// Free bytes.
    pub free: u64,
    /// Bytes that downloads leave free.
    pub reserve: u64,
}

/// A waiting download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingDownload {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// Its name. Any text.
    pub name: String,
    /// What it waits for, in a sentence.
    pub why: String,
}

/// A fact that a person has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    /// Its subject: `watch`, `duty`, `limit`, `share`, `download`, `clock`, `memory`, `disk`,
    /// `identity`, `set-aside`, `bootstrap`. Later versions may add more.
    pub kind: String,
    /// Which of them: the path of the folder or disk, the name of the background task, the hash of
    /// the download, or the address of the bootstrap node; null for the whole node.
    #[serde(default)]
    pub subject: Option<String>,
    /// Whether something does not work. Otherwise, it works with a drawback.
    pub problem: bool,
    /// The fact.
    pub what: String,
    /// The reason.
    pub why: String,
    /// What to do about it, if something helps.
    pub remedy: Option<String>,
}
