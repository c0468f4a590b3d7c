//! How a node runs.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use libp2p::Multiaddr;
use pelago_behaviour::{Config, InvalidNetworkName, Protocols};

use crate::{
    limits::Rates,
    network::{self, PeerAddress, TransportKind},
    publish, serve, transfer,
};

/// Whether a node is there to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It serves, answers the DHT, goes on with downloads and makes files safe from power loss.
    LongRunning,
    /// It exists for one command: a client of the DHT that leaves nothing running.
    OneShot,
}

/// How a node runs. `config/default.toml` says what each value costs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether it is there to stay.
    pub mode: Mode,
    /// How it is reached.
    pub transport: TransportKind,
    /// The name of the network it belongs to.
    pub network: String,
    /// What it is called, for people.
    pub name: String,
    /// Where it listens.
    pub listen: Vec<Multiaddr>,
    /// Nodes by which it joins the network.
    pub bootstrap: Vec<PeerAddress>,
    /// Whether it looks for peers on the local network.
    pub mdns: bool,
    /// Whether it announces what it shares.
    pub announce: bool,
    /// Memory that connections may take, in bytes.
    pub memory_budget: u64,
    /// Nodes that keep each provider record.
    pub replication: NonZeroUsize,
    /// Announcements under way at a time.
    pub concurrent_announcements: usize,
    /// Between two announcements of one hash.
    pub announce_interval: Duration,
    /// How long an idle connection is kept: no shorter than an announcement takes, or records go astray.
    pub idle_timeout: Duration,
    /// Folders whose files are shared, for this run.
    pub share_folders: Vec<PathBuf>,
    /// Between two slow looks at file systems that others change without an event.
    pub rescan_interval: Duration,
    /// Folder of the downloads for which nobody chose one; made when first needed.
    pub download_folder: Option<PathBuf>,
    /// Sources of one download, at most.
    pub max_sources: usize,
    /// Candidates that one download connects to or asks what they have at a time, at most.
    pub max_asked: usize,
    /// Downloads that fetch at a time; others wait for their turn.
    pub max_downloads: usize,
    /// Bytes in flight at one source, at most.
    pub in_flight_bytes: u64,
    /// Chunks that are read and sent at a time, to all peers together.
    pub upload_slots: usize,
    /// The same, to one peer.
    pub slots_per_peer: usize,
    /// How long a peer may make no progress.
    pub stall: Duration,
    /// Whether what was downloaded is shared on.
    pub seed: bool,
    /// How fast content may pass, at first.
    pub limits: Rates,
    /// Bytes of content that was only read and may stay in the data folder, at most.
    pub read_cache: u64,
    /// Bytes of content that are fetched ahead of all readers together, at most.
    pub read_ahead: u64,
}

impl Default for Settings {
    /// A long-running node on free ports of every interface, which shares nothing yet.
    fn default() -> Self {
        let any = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];
        Self {
            mode: Mode::LongRunning,
            transport: TransportKind::Internet,
            network: "pelago".to_owned(),
            name: String::new(),
            listen: any
                .map(|a| a.parse().expect("both are multiaddrs, as the tests show"))
                .into(),
            bootstrap: Vec::new(),
            mdns: true,
            announce: true,
            memory_budget: 256 << 20,
            replication: NonZeroUsize::new(20).expect("twenty is not zero"),
            concurrent_announcements: 8,
            announce_interval: Duration::from_secs(22 * 3600),
            idle_timeout: Duration::from_secs(300),
            share_folders: Vec::new(),
            rescan_interval: Duration::from_secs(600),
            download_folder: None,
            max_sources: 64,
            max_asked: 256,
            max_downloads: 8,
            in_flight_bytes: 64 << 20,
            upload_slots: 16,
            slots_per_peer: 4,
            stall: Duration::from_secs(10),
            seed: true,
            read_cache: 4 << 30,
            read_ahead: 64 << 20,
            limits: Rates::default(),
        }
    }
}

/// What is handed over to peers and unsent may take one part in so many of the memory for connections: it comes on
/// top of that.
const UNSENT_PART: u64 = 4;

impl Settings {
    pub(super) fn network(
        &self,
        known: Vec<PeerAddress>,
    ) -> Result<network::NetworkSettings, InvalidNetworkName> {
        Ok(network::NetworkSettings {
            transport: self.transport,
            listen: self.listen.clone(),
            bootstrap: self.bootstrap.clone(),
            known,
            behaviour: Config {
                protocols: Protocols::new(&self.network)?,
                node_name: self.name.clone(),
                is_server: self.mode == Mode::LongRunning,
                mdns: self.mdns,
                replication: self.replication,
                memory_budget: self.memory_budget,
            },
            idle_timeout: self.idle_timeout,
        })
    }

    pub(super) fn publish(&self) -> publish::Settings {
        publish::Settings {
            interval: self.announce_interval,
            concurrent: self.concurrent_announcements,
            replication: self.replication.get(),
        }
    }

    pub(super) fn transfer(&self) -> transfer::TransferSettings {
        transfer::TransferSettings {
            max_sources: self.max_sources,
            max_asked: self.max_asked,
            max_downloads: self.max_downloads,
            window: self.in_flight_bytes,
            stall: self.stall,
            seed: self.seed && self.mode == Mode::LongRunning,
            read_cache: self.read_cache,
            read_ahead: self.read_ahead,
        }
    }

    pub(super) fn serve(&self) -> serve::ServeSettings {
        serve::ServeSettings {
            slots: self.upload_slots,
            slots_per_peer: self.slots_per_peer,
            max_unsent: self.memory_budget / UNSENT_PART,
            stall: self.stall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_listens_on_tcp_and_quic() {
        assert_eq!(Settings::default().listen.len(), 2);
    }
}
