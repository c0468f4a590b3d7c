//! The settings of a node.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use libp2p::Multiaddr;
use pelago_behaviour::{Config, InvalidNetworkName, NetworkKeys, PrivateNetwork, Protocols};

use crate::{
    limits::Rates,
    network::{self, PeerAddress, RelayService, TransportKind},
    publish, serve, transfer,
};

/// Whether a node runs for long or for one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It serves peers, is a server of the DHT, resumes downloads, and makes files safe from power
    /// loss.
    LongRunning,
    /// It runs for one command, is a client of the DHT, and leaves nothing running.
    OneShot,
}

/// The settings of a node. `config/default.toml` gives the cost of each value.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether it runs for long or for one command.
    pub mode: Mode,
    /// The transports that it uses.
    pub transport: TransportKind,
    /// The name of the network it belongs to.
    pub network: String,
    /// Its name, for people.
    pub name: String,
    /// The addresses at which it listens.
    pub listen: Vec<Multiaddr>,
    /// How long after its start it begins to listen. Zero: it listens when it has started, or does not
    /// start.
    pub listen_after: Duration,
    /// Whether its user is logged out, so that it runs under a key of its own.
    pub is_locked: bool,
    /// Nodes through which it joins the network.
    pub bootstrap: Vec<PeerAddress>,
    /// Whether it looks for peers on the local network.
    pub mdns: bool,
    /// Whether it announces what it shares.
    pub announce: bool,
    /// Whether it is a relay for others.
    pub relay_service: RelayService,
    /// Whether it reserves places at relays when it is not reachable otherwise.
    pub relay_use: bool,
    /// The most memory for connections, in bytes.
    pub memory_budget: u64,
    /// The keys of its private network; none in a network that is open to all.
    pub network_keys: NetworkKeys,
    /// How many nodes keep each provider record.
    pub replication: NonZeroUsize,
    /// The most announcements at a time.
    pub concurrent_announcements: usize,
    /// The time between two announcements of one hash.
    pub announce_interval: Duration,
    /// How long an idle connection is kept. If it is shorter than an announcement takes, records
    /// are lost.
    pub idle_timeout: Duration,
    /// The folders whose files are shared in this run, and which are watched.
    pub share_folders: Vec<PathBuf>,
    /// The group with which the files in these folders are shared: its name, its id or the beginning
    /// of that; `None`: with everyone.
    pub share_group: Option<String>,
    /// The time between two slow scans of file systems that others change without an event.
    pub rescan_interval: Duration,
    /// The folder for downloads without a chosen target. It is created when it is first needed.
    pub download_folder: Option<PathBuf>,
    /// The most sources of one download.
    pub max_sources: usize,
    /// The most candidates that one download connects to, or asks what they have, at a time.
    pub max_asked: usize,
    /// The most downloads that fetch at a time. Others wait in the queue.
    pub max_downloads: usize,
    /// The most bytes in flight from one source.
    pub in_flight_bytes: u64,
    /// The most chunks that are read and sent at a time, to all peers together.
    pub upload_slots: usize,
    /// The most chunks that are read and sent at a time to one peer.
    pub slots_per_peer: usize,
    /// How long a peer may go without progress before its stream ends.
    pub stall: Duration,
    /// Whether downloads are seeded.
    pub seed: bool,
    /// The limits on the rates of content at the start.
    pub limits: Rates,
    /// The most bytes in the data folder of content that was read and not downloaded.
    pub read_cache: u64,
    /// The most bytes that the node fetches ahead of all readers together.
    pub read_ahead: u64,
}

impl Default for Settings {
    /// A long-running node on free ports of every interface, without shares.
    fn default() -> Self {
        let any = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];
        Self {
            mode: Mode::LongRunning,
            transport: TransportKind::Internet,
            network: "pelago".to_owned(),
            name: String::new(),
            listen: any
                .map(|a| {
                    a.parse()
                        .expect("both are valid multiaddrs, as a test shows")
                })
                .into(),
            listen_after: Duration::ZERO,
            is_locked: false,
            bootstrap: Vec::new(),
            mdns: true,
            announce: true,
            network_keys: NetworkKeys::default(),
            relay_service: RelayService::Auto,
            relay_use: true,
            memory_budget: 256 << 20,
            replication: NonZeroUsize::new(20).expect("twenty is not zero"),
            concurrent_announcements: 8,
            announce_interval: Duration::from_secs(22 * 3600),
            idle_timeout: Duration::from_secs(300),
            share_folders: Vec::new(),
            share_group: None,
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

/// Content that is read and not yet sent may take one part in this many of the memory for
/// connections, in addition to that memory.
const UNSENT_PART: u64 = 4;

impl Settings {
    pub(super) fn network(
        &self,
        known: Vec<PeerAddress>,
    ) -> Result<network::NetworkSettings, InvalidNetworkName> {
        Ok(network::NetworkSettings {
            transport: self.transport,
            listen: self.listen.clone(),
            listen_after: self.listen_after,
            bootstrap: self.bootstrap.clone(),
            known,
            behaviour: Config {
                protocols: Protocols::new(&self.network)?,
                node_name: self.name.clone(),
                is_server: self.mode == Mode::LongRunning,
                mdns: self.mdns,
                replication: self.replication,
                private: PrivateNetwork::new(self.network_keys.clone()),
                memory_budget: self.memory_budget,
            },
            idle_timeout: self.idle_timeout,
            relay_service: self.relay_service,
            relay_use: self.relay_use,
        })
    }

    pub(super) fn publish(&self) -> publish::PublishSettings {
        publish::PublishSettings {
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
