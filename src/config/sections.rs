//! The settings: their names, types and meanings. `config/default.toml` says what each costs.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};

use super::{
    SetBy,
    values::{
        limit, multiaddrs, network_name, node_name, optional_socket_address, socket_address, whole,
    },
};
use crate::limits::Rate;

/// All settings, each with an allowed value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who this node is and how it reaches others.
    pub network: Network,
    /// What it shares.
    pub storage: Storage,
    /// How it gets and gives.
    pub transfer: Transfer,
    /// How commands reach it.
    pub api: Api,
    /// How browsers and players read content.
    pub gateway: Gateway,
    /// What it says on stderr.
    pub logging: Logging,
    /// Which layer set what, by `section.key`; settings left at their defaults are missing.
    #[serde(skip)]
    pub(super) origins: BTreeMap<String, SetBy>,
}

/// Who this node is and how it reaches others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The network's name, which is part of every protocol's.
    #[serde(deserialize_with = "network_name")]
    pub name: String,
    /// What others see this node called; empty: the host name.
    #[serde(deserialize_with = "node_name")]
    pub node_name: String,
    /// TCP and UDP port of a long-running node; 0: any free one.
    #[serde(deserialize_with = "whole::<0, 65535, _, _>")]
    pub port: u16,
    /// Addresses to listen on; none: all interfaces, TCP and QUIC, on `port`.
    #[serde(deserialize_with = "multiaddrs")]
    pub listen: Vec<Multiaddr>,
    /// Nodes to enter the network by: multiaddrs or host:port, not parsed here.
    pub bootstrap: Vec<String>,
    /// Whether to find and be found on the LAN.
    pub mdns: bool,
    /// Whether to announce what is shared.
    pub announce: bool,
    /// MiB of memory for connections.
    #[serde(deserialize_with = "whole::<16, 65536, _, _>")]
    pub memory_budget_mib: u64,
    /// How many nodes keep each announcement.
    #[serde(deserialize_with = "whole::<1, 100, _, _>")]
    pub replication: usize,
    /// Announcements under way at once.
    #[serde(deserialize_with = "whole::<1, 256, _, _>")]
    pub concurrent_announcements: usize,
    /// Hours between two announcements of the same hash.
    #[serde(deserialize_with = "whole::<1, 40, _, _>")]
    pub announce_interval_hours: u64,
    /// Seconds after which an unused connection is closed.
    #[serde(deserialize_with = "whole::<30, 86400, _, _>")]
    pub idle_timeout_seconds: u64,
}

/// What a node shares.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Folders each of whose files a long-running node shares; may be relative.
    pub share_folders: Vec<PathBuf>,
    /// Seconds between two slow looks at file systems that others change without an event.
    #[serde(deserialize_with = "whole::<1, 86400, _, _>")]
    pub rescan_seconds: u64,
    /// Folder of the downloads for which nobody chose one; empty: the user's. May be relative.
    pub download_folder: PathBuf,
}

/// How a node gets and gives.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Downloads that fetch at a time.
    #[serde(deserialize_with = "whole::<1, 1024, _, _>")]
    pub max_downloads: usize,
    /// Peers that one download fetches from at once.
    #[serde(deserialize_with = "whole::<1, 1024, _, _>")]
    pub max_sources: usize,
    /// Bytes asked for and not yet received from one source.
    #[serde(deserialize_with = "whole::<16384, 1073741824, _, _>")]
    pub in_flight_bytes: u64,
    /// Requests answered at once.
    #[serde(deserialize_with = "whole::<1, 1024, _, _>")]
    pub upload_slots: usize,
    /// How many of these one peer may hold.
    #[serde(deserialize_with = "whole::<1, 1024, _, _>")]
    pub slots_per_peer: usize,
    /// Seconds without a byte after which a request is given to another source.
    #[serde(deserialize_with = "whole::<1, 3600, _, _>")]
    pub stall_seconds: u64,
    /// How fast content may go to all peers together.
    #[serde(deserialize_with = "limit")]
    pub upload_limit: Option<Rate>,
    /// How fast it may come from all peers together.
    #[serde(deserialize_with = "limit")]
    pub download_limit: Option<Rate>,
    /// How fast it may go to each peer.
    #[serde(deserialize_with = "limit")]
    pub upload_limit_per_peer: Option<Rate>,
    /// How fast it may come from each peer.
    #[serde(deserialize_with = "limit")]
    pub download_limit_per_peer: Option<Rate>,
    /// Whether a long-running node goes on sharing what it downloaded.
    pub seed: bool,
    /// Seconds without any source after which a download fails.
    #[serde(deserialize_with = "whole::<1, 86400, _, _>")]
    pub timeout_seconds: u64,
}

/// How commands reach a node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Where the local API listens; port 0: any free one.
    #[serde(deserialize_with = "socket_address")]
    pub listen: SocketAddr,
    /// Whether there is one.
    pub enabled: bool,
    /// Where the metrics are read without its token, if anywhere.
    #[serde(deserialize_with = "optional_socket_address")]
    pub metrics: Option<SocketAddr>,
}

/// How browsers and players read content.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// Where it listens; port 0: any free one.
    #[serde(deserialize_with = "socket_address")]
    pub listen: SocketAddr,
    /// Whether there is one.
    pub enabled: bool,
    /// MiB that are fetched ahead of each reader.
    #[serde(deserialize_with = "whole::<1, 1024, _, _>")]
    pub read_ahead_mib: u64,
    /// MiB of what was only read that may stay in the data folder.
    #[serde(deserialize_with = "whole::<1, 1048576, _, _>")]
    pub cache_mib: u64,
}

/// What a node says on stderr.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logging {
    /// How much.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
}

/// How much is logged: this and all that is graver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed for good.
    Error,
    /// What went wrong, and was coped with.
    Warn,
    /// What a node did.
    Info,
    /// Why it did so.
    Debug,
    /// Every step.
    Trace,
}

/// In which form logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Who set `setting` (`section.key`).
    pub fn set_by(&self, setting: &str) -> &SetBy {
        self.origins.get(setting).unwrap_or(&SetBy::Default)
    }
}

impl Gateway {
    /// Bytes that are fetched ahead of each reader.
    pub const fn read_ahead(&self) -> u64 {
        self.read_ahead_mib * 1024 * 1024
    }

    /// Bytes of what was only read that may stay.
    pub const fn cache(&self) -> u64 {
        self.cache_mib * 1024 * 1024
    }
}

impl Network {
    /// Time between two announcements of the same hash.
    pub const fn announce_interval(&self) -> Duration {
        Duration::from_secs(self.announce_interval_hours * 60 * 60)
    }

    /// Bytes of memory for connections.
    pub const fn memory_budget(&self) -> u64 {
        self.memory_budget_mib * 1024 * 1024
    }
}
