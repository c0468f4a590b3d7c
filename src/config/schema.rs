//! The table of settings: the only place where a setting is defined.
//!
//! From it derive `config/default.toml`, the sections of [`Config`], the checks of values, the help
//! of `pelago settings`, `GET /v1/settings` and the page. A row reads
//!
//! ```text
//! /// What the setting does, and what a change costs.
//! key: Type = default, values;
//! ```

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};
use toml::Value;

use super::{
    SetBy, schedule,
    values::{
        self, Values, choice, flag, limit, list, number, optional_rate, optional_socket_address,
        text,
    },
};
use crate::{RelayService, limits::Rate};

/// Defines the sections, [`Config`] and [`SETTINGS`] from one table.
macro_rules! settings {
    ($(
        $(#[doc = $about:literal])+
        $section:ident: $Section:ident {
            $(
                $(#[doc = $text:literal])+
                $(#[serde($($serde:tt)+)])?
                $key:ident: $Type:ty = $default:expr, $values:expr;
            )+
        }
    )+) => {
        /// The value of every setting.
        #[derive(Clone, Debug, Deserialize)]
        pub struct Config {
            $(
                $(#[doc = $about])+
                pub $section: $Section,
            )+
            /// What set each setting, by `section.key`; settings with their default are not in it.
            #[serde(skip)]
            pub(super) set_by: BTreeMap<String, SetBy>,
        }

        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug, Deserialize)]
            pub struct $Section {
                $(
                    $(#[doc = $text])+
                    $(#[serde($($serde)+)])?
                    pub $key: $Type,
                )+
            }
        )+

        /// All settings, by section.
        pub(super) const SETTINGS: &[Spec] = &[$($(
            Spec {
                section: stringify!($section),
                key: stringify!($key),
                text: concat!($($text),+),
                default: || Value::from($default),
                values: $values,
            },
        )+)+];
    };
}

settings! {
    /// Identity, addresses and discovery.
    network: NetworkSection {
        /// Name of the network that this node belongs to. Protocol names contain it, so that
        /// networks do not mix: this node cannot reach nodes of networks with another name.
        name: String = "pelago",
            text(values::is_network_name, "1 to 32 lowercase letters, digits, `-` and `.`");

        /// Name of this node, which other people see. Empty: the host name.
        node_name: String = "",
            text(values::is_node_name, "at most 64 bytes without control characters");

        /// TCP and UDP (QUIC) port that `pelago start` listens on. If you set no port and 8080 is
        /// taken, the node listens on a free one. Other commands that run a node always take a free
        /// port.
        port: u16 = 8080, number(0, 65_535).note("0: any free port");

        /// Addresses to listen on instead of all interfaces, as multiaddrs, such as
        /// "/ip4/192.0.2.1/tcp/8080" and "/ip4/192.0.2.1/udp/8080/quic-v1". Empty: all interfaces
        /// over TCP and QUIC, on network.port.
        listen: Vec<Multiaddr> = Vec::<String>::new(),
            list(
                values::is_multiaddr,
                "multiaddrs such as /ip4/0.0.0.0/tcp/8080 or /ip4/0.0.0.0/udp/8080/quic-v1",
            );

        /// Nodes by which this node joins the network, as multiaddrs (with or without /p2p/...) or
        /// host:port. Empty: this node finds only nodes on the local network, nodes named in links,
        /// and nodes that it met before.
        bootstrap: Vec<String> = Vec::<String>::new(),
            list(values::is_any, "multiaddrs or host:port");

        /// Whether this node finds others on the local network, and lets them find it (mDNS over
        /// IPv4 and IPv6). Cost: a few multicast packets every five minutes, which show that this
        /// node exists.
        mdns: bool = true, flag();

        /// Whether this node announces its shares to the DHT. Without announcements, only peers
        /// that know the address of this node find its shares.
        announce: bool = true, flag();

        /// Whether this node is a relay: it passes on connections between two nodes that cannot
        /// reach each other, until these connect directly. `auto`: while peers from everywhere reach
        /// this node. `on`: always; you know that they do, for example by a port that your router
        /// forwards. Cost: at most 16 such connections, each with at most 4 MiB in 10 minutes.
        relay_service: RelayService = "auto", choice(&["auto", "on", "off"]);

        /// Whether this node can be reached through relays while peers from elsewhere do not reach
        /// it directly. Without relays, such a node downloads only from nodes that are reachable.
        /// Cost: two connections that stay open; relays see with which nodes this one is connected.
        relay_use: bool = true, flag();

        /// Memory for connections: the node keeps at most one connection for each MiB, and one in
        /// 32 of them over QUIC. Higher: more peers at the same time, above all over QUIC. Where
        /// the system limits the memory of the node, connections take at most a quarter of that
        /// limit.
        memory_budget_mib: u64 = 256, number(16, 65_536).unit("MiB");
    }

    /// Folders on this machine.
    storage: StorageSection {
        /// Folders whose files `pelago start` shares, each file by itself, while the node runs. A
        /// relative folder starts at the folder in which `pelago start` is called. Missing folders
        /// are created. Empty: none.
        share_folders: Vec<PathBuf> = vec!["./shared"], list(values::is_any, "folders");

        /// Group with which the files in these folders are shared: its name, its id, or at least 8 digits
        /// of that. Empty: everyone. Files that were shared with everyone from there before are the group's from then on; those of a group
        /// stay the group's when this is emptied.
        share_group: String = "", text(values::is_any, "a group");

        /// Interval between two scans of watched folders on file systems that report no changes
        /// made by other machines or programs (NFS, SMB, and FUSE such as sshfs or bindfs). A scan
        /// takes at most a fifth of the time. Lower: such changes are shared sooner, with more
        /// requests to the file server. Below 60, folders for which the system has no inotify watch
        /// left are scanned at this interval, too.
        rescan_seconds: u64 = 600, number(1, 86_400).unit("seconds");

        /// Folder for downloads that name no other, such as those of the page; created when first
        /// needed. Empty: your folder for downloads, or `downloaded` in the data folder if you have
        /// none. A relative folder starts at the folder in which `pelago start` is called.
        download_folder: PathBuf = "", text(values::is_any, "a folder");
    }

    /// The user whose node this is.
    user: UserSection {
        /// File with the passphrase of the user, with which the node logs in without a person. Only
        /// its owner may read it (0600). Empty: a node whose user has a passphrase starts logged
        /// out, unless systemd passes the credential pelago-passphrase. Cost: a passphrase on the
        /// disk of the data folder protects nothing from those who get that disk.
        passphrase_file: PathBuf = "", text(values::is_any, "a file");
    }

    /// Downloads and uploads.
    transfer: TransferSection {
        /// Downloads that fetch at a time; others wait in order. A download without a source lets
        /// others fetch first. Higher: downloads begin sooner, end later, and take more memory.
        max_downloads: usize = 8, number(1, 1024).at_run_time();

        /// Requests of peers that are answered at the same time; other requests wait, or are
        /// answered "busy". Higher: more peers are served at the same time, each more slowly.
        upload_slots: usize = 16, number(1, 1024);

        /// How fast content is sent to all peers together. Cost: peers wait longer for content.
        #[serde(deserialize_with = "optional_rate")]
        upload_limit: Option<Rate> = 0, limit();

        /// How fast content is received from all peers together. Cost: downloads take longer.
        #[serde(deserialize_with = "optional_rate")]
        download_limit: Option<Rate> = 0, limit();

        /// How fast content is sent to each peer; transfer.upload_limit holds as well. Lower:
        /// fairer among many peers, slower for a single one.
        #[serde(deserialize_with = "optional_rate")]
        upload_limit_per_peer: Option<Rate> = 0, limit();

        /// How fast content is received from each peer; transfer.download_limit holds as well.
        /// Cost: downloads from few peers take longer.
        #[serde(deserialize_with = "optional_rate")]
        download_limit_per_peer: Option<Rate> = 0, limit();

        /// Other limits at certain times of the week, in local time: each period has days (mon to sun,
        /// ranges, several with +, or daily), a time that may end on the next day, and limits. The
        /// first period that includes the present time counts; limits that it does not name are as
        /// usual. Cost: as of the limits.
        limit_schedule: Vec<String> = Vec::<String>::new(),
            list(schedule::is_period, schedule::EXPECTED);

        /// Command that a running node gives to the shell when a download is done, with the variables
        /// PELAGO_HASH, PELAGO_NAME, PELAGO_PATH and PELAGO_SIZE. The name was chosen by others: put
        /// quotes around these variables. Empty: none. Cost: each download that ends starts a program.
        on_done: String = "", text(values::is_any, "a command of the shell");

        /// Whether a running node shares what it has downloaded. Cost: upload bandwidth.
        seed: bool = true, flag().at_run_time();

        /// Time without any progress after which a download of a running node waits for a source,
        /// and a download without a running node fails.
        timeout_seconds: u64 = 30, number(1, 86_400).unit("seconds").at_run_time();
    }

    /// The local HTTP API.
    api: ApiSection {
        /// Address of the local API. The node writes the address and a new token to api.json in the
        /// data folder. On an address beyond loopback, everyone who learns the token controls this
        /// node.
        listen: SocketAddr = "127.0.0.1:0",
            text(values::is_socket_address, "IP:PORT, such as 127.0.0.1:0 or [::1]:0")
                .note("port 0: any free port");

        /// Whether the local API is on. Without it, no command can reach this node while it runs.
        enabled: bool = true, flag();

        /// Origins at which browsers may open the page as well, as they write them: those of a tunnel
        /// (`ssh -L`) to another port, or of a reverse proxy. Cost: a program that listens there can do
        /// what the page can.
        allowed_origins: Vec<String> = Vec::<String>::new(),
            list(
                values::is_origin,
                "origins without a path, such as https://files.example.org or http://127.0.0.1:9000",
            );

        /// Address at which Prometheus reads /metrics without the token. Empty: only the API serves
        /// /metrics, with the token. Everyone who reaches the address learns how much this node
        /// shares and transfers, but neither what nor with whom.
        #[serde(deserialize_with = "optional_socket_address")]
        metrics: Option<SocketAddr> = "",
            text(values::is_socket_address_or_empty, "IP:PORT, such as 127.0.0.1:9464, or nothing");
    }

    /// The gateway, by which browsers and players read content.
    gateway: GatewaySection {
        /// Address of the gateway, whose URLs `pelago link HASH --http` prints. With 127.0.0.1 it
        /// listens at `[::1]` as well, and URLs name localhost. On an address beyond loopback,
        /// everyone who learns a URL can read its content.
        listen: SocketAddr = "127.0.0.1:0",
            text(values::is_socket_address, "IP:PORT, such as 127.0.0.1:0 or [::1]:0")
                .note("port 0: any free port");

        /// Whether the gateway is on.
        enabled: bool = true, flag();

        /// Content that was only read and may stay in the data folder until the node ends; what was
        /// not read for the longest time is removed first. Higher: reading it again needs no peer
        /// more often. Cost: disk space.
        cache_mib: u64 = 4096, number(1, 1_048_576).unit("MiB");
    }

    /// Links for browsers of people without Pelago, which `pelago share --web` and
    /// `pelago receive --web` make.
    web: WebSection {
        /// Address at which links for browsers (`pelago share --web`, `pelago receive --web`) are
        /// served, while there is one: over plain HTTP, which others on the way can read. With
        /// 0.0.0.0, at all interfaces of this machine; with [::], at those of IPv6, too.
        listen: SocketAddr = "0.0.0.0:0",
            text(values::is_socket_address, "IP:PORT, such as 0.0.0.0:0 or 192.168.1.5:8000")
                .note("port 0: any free port")
                .at_run_time();
    }

    /// Logs on stderr.
    logging: LoggingSection {
        /// How much `pelago start` logs. The flags -v and -q change it, and the variable RUST_LOG
        /// replaces it. Cost of debug and trace: speed, and disk space if the log is kept.
        level: LogLevel = "info",
            choice(&["error", "warn", "info", "debug", "trace"]).at_run_time();

        /// Format of the log: `text` for people, or `json` for programs, which is one object a line
        /// and nothing else.
        format: LogFormat = "text", choice(&["text", "json"]);
    }
}

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    /// The description, with a space before each line.
    text: &'static str,
    pub(super) default: fn() -> Value,
    pub(super) values: Values,
}

impl Spec {
    /// The setting with this name; none if it is unknown.
    pub(super) fn find(section: &str, key: &str) -> Option<&'static Self> {
        let mut specs = SETTINGS.iter();
        specs.find(|spec| spec.section == section && spec.key == key)
    }

    /// `section.key`.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// What the setting does, and what a change costs.
    pub(super) fn description(&self) -> &'static str {
        self.text.trim_start()
    }
}

/// Settings of earlier versions, by section and key. Files and variables may still hold them; the
/// node ignores them with a warning.
const RETIRED: [(&str, &str); 9] = [
    ("network", "replication"),
    ("network", "concurrent_announcements"),
    ("network", "announce_interval_hours"),
    ("network", "idle_timeout_seconds"),
    ("transfer", "max_sources"),
    ("transfer", "in_flight_bytes"),
    ("transfer", "slots_per_peer"),
    ("transfer", "stall_seconds"),
    ("gateway", "read_ahead_mib"),
];

/// Whether an earlier version had this setting.
pub(super) fn is_retired(section: &str, key: &str) -> bool {
    RETIRED.contains(&(section, key))
}

/// How much is logged: this level and those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Failures that the node cannot recover from.
    Error,
    /// Failures that the node recovered from.
    Warn,
    /// What the node did.
    Info,
    /// Why it did so.
    Debug,
    /// Every step.
    Trace,
}

/// The format of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// What set `setting` (`section.key`).
    pub fn set_by(&self, setting: &str) -> &SetBy {
        self.set_by.get(setting).unwrap_or(&SetBy::Default)
    }
}

impl GatewaySection {
    /// Size of the cache in bytes.
    pub const fn cache(&self) -> u64 {
        self.cache_mib * 1024 * 1024
    }
}

impl NetworkSection {
    /// Memory for connections, in bytes.
    pub const fn memory_budget(&self) -> u64 {
        self.memory_budget_mib * 1024 * 1024
    }
}
