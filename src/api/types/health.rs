//! How a node fares, in JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a node fares: whom it is connected to, what it relies on, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// How many peers it is connected to.
    pub peers: u64,
    /// How many of them have connected to it by themselves.
    pub inbound_peers: u64,
    /// How many nodes of the DHT it knows.
    pub dht_nodes: u64,
    /// How many nodes it was given to enter the network by.
    pub bootstrap: u64,
    /// How many of them it is connected to, as far as their addresses show.
    pub bootstrap_connected: u64,
    /// The address of another node that has the same identity, if one was seen.
    #[serde(default)]
    pub identity_clash: Option<String>,
    /// What the system allows the node's process.
    #[serde(default)]
    pub limits: SystemLimits,
    /// The watched folders, and what each relies on.
    #[serde(default)]
    pub watches: Vec<WatchedFolder>,
    /// The background duties of the node.
    #[serde(default)]
    pub duties: Vec<Duty>,
    /// The disks of the data folder, the download folder and the watched folders.
    #[serde(default)]
    pub disks: Vec<DiskRoom>,
    /// The first 20 downloads that wait, and for what.
    #[serde(default)]
    pub waiting: Vec<WaitingDownload>,
    /// How many downloads wait.
    #[serde(default)]
    pub waiting_count: u64,
    /// How many places that are shared are in each state but `available`, by the last look.
    #[serde(default)]
    pub share_states: BTreeMap<String, u64>,
    /// Damaged files that the node set aside.
    #[serde(default)]
    pub set_aside: Vec<String>,
    /// What a person has to know: problems first.
    #[serde(default)]
    pub notices: Vec<Notice>,
}

/// What the system allows a node's process; null where the system does not say, or has no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SystemLimits {
    /// Files and connections that are open.
    pub open_files: Option<u64>,
    /// Files and connections that may be open.
    pub max_open_files: Option<u64>,
    /// Directories that the node has an inotify watch for.
    pub watches: u64,
    /// Inotify watches that the user may have, in all programs.
    pub max_watches: Option<u64>,
    /// Bytes of memory that the process holds.
    pub memory_bytes: Option<u64>,
    /// The control group whose limit on memory is the smallest.
    pub cgroup: Option<String>,
    /// Bytes of memory in that group, the cache of files included.
    pub cgroup_memory_bytes: Option<u64>,
    /// Bytes of memory that the group may hold.
    pub max_cgroup_memory_bytes: Option<u64>,
    /// Bytes of memory for connections, as they follow from settings and limits.
    #[serde(default)]
    pub connections_budget_bytes: u64,
    /// Bytes that are fetched ahead of all readers together.
    #[serde(default)]
    pub read_ahead_budget_bytes: u64,
}

/// A folder of `storage.share_folders`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchedFolder {
    /// The folder.
    pub path: String,
    /// Whether it is there.
    pub is_there: bool,
    /// By what the node learns of changes: `events`, `events-and-polling` or `polling`.
    pub relies_on: String,
    /// Seconds between two looks without an event; null where it relies on events.
    pub interval_seconds: Option<u64>,
    /// Why it does not rely on events alone.
    pub why: Option<String>,
    /// Directories with an inotify watch.
    pub watches: u64,
    /// The first 20 parts (mounted file systems, subfolders) that rely on something else.
    pub parts: Vec<WatchedPart>,
    /// How many such parts there are.
    pub parts_count: u64,
    /// What went wrong when it was last looked at, and is tried again.
    pub failure: Option<String>,
    /// The first 20 files that could not be read or recorded; they are tried again.
    pub unread: Vec<UnreadFile>,
    /// How many such files there are.
    pub unread_count: u64,
    /// When the last look at all of it ended, in milliseconds since 1970.
    pub looked_at_unix_ms: Option<u64>,
    /// Since when the node looks at it, in milliseconds since 1970; null while it does not.
    pub looks_since_unix_ms: Option<u64>,
}

/// A part of a watched folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchedPart {
    /// Where.
    pub path: String,
    /// By what the node learns of changes: `events-and-polling` or `polling`.
    pub relies_on: String,
    /// Seconds between two looks without an event.
    pub interval_seconds: Option<u64>,
    /// Why it does not rely on events alone.
    pub why: String,
}

/// A file that could not be read or recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnreadFile {
    /// The file.
    pub path: String,
    /// What is in the way.
    pub why: String,
}

/// A background duty of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Duty {
    /// Its name.
    pub name: String,
    /// `running`, `waiting` for its restart, or `ended`, with nothing left to do.
    pub state: String,
    /// How often the node has restarted it.
    pub restarts: u64,
    /// Its last failure.
    pub error: Option<String>,
    /// When that was, in milliseconds since 1970.
    pub failed_unix_ms: Option<u64>,
    /// When the node restarts it, in milliseconds since 1970.
    pub restarts_unix_ms: Option<u64>,
}

/// The room on a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskRoom {
    /// A folder on it.
    pub path: String,
    /// Bytes in all.
    pub size: u64,
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that downloads leave free.
    pub reserve: u64,
}

/// A download that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingDownload {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// What it is called. Any text.
    pub name: String,
    /// For what, in a sentence.
    pub why: String,
}

/// A fact that a person has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    /// What it is about: `watch`, `duty`, `limit`, `share`, `download`, `clock`, `memory`, `disk`,
    /// `identity`, `set-aside`; more may come.
    pub kind: String,
    /// Whether something does not work because of it; else it works with a drawback.
    pub problem: bool,
    /// What is so.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do about it.
    pub remedy: Option<String>,
}
