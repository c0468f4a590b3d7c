//! The report on the health of a node.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use libp2p::Multiaddr;
use pelago_content::Hash;

use super::{DiskSpace, Notice, SystemLimits};
use crate::{
    duties::Duty,
    network::UnreachedNode,
    node::{UnavailableShares, WatchedFolder},
    store::ShareState,
};

/// The health of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// How many peers it is connected to.
    pub peers: u64,
    /// How many of these peers dialed it.
    pub inbound_peers: u64,
    /// How many nodes of the DHT it knows.
    pub dht_nodes: u64,
    /// How many bootstrap nodes it has.
    pub bootstrap: u64,
    /// How many bootstrap nodes it is connected to, as far as addresses show.
    pub bootstrap_connected: u64,
    /// The bootstrap nodes that are not reached, each with the reason.
    pub unreached: Vec<UnreachedNode>,
    /// The address at which another node with the same identity was seen.
    pub identity_clash: Option<Multiaddr>,
    /// The limits of the system for the node's process.
    pub limits: SystemLimits,
    /// The watched folders, and how the node learns of changes in each.
    pub watches: Vec<WatchedFolder>,
    /// The background duties.
    pub duties: Vec<Duty>,
    /// The disks of the data folder, the download folder and the watched folders.
    pub disks: Vec<DiskSpace>,
    /// The first 20 downloads that wait, and what for.
    pub waiting: Vec<WaitingDownload>,
    /// How many downloads wait.
    pub waiting_count: u64,
    /// How many shares are in each state except `available`, at the last inspection.
    pub share_states: BTreeMap<&'static str, u64>,
    /// One of the shares that are not available, with its state.
    pub unavailable: Option<(PathBuf, &'static str)>,
    /// How far the clock is behind files that the node wrote earlier.
    pub clock_lag: Option<Duration>,
    /// Damaged files that the node set aside.
    pub set_aside: Vec<PathBuf>,
    /// What a person should know: problems first.
    pub notices: Vec<Notice>,
}

/// A download that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingDownload {
    /// Its hash.
    pub hash: Hash,
    /// Its name.
    pub name: String,
    /// What it waits for, in a sentence.
    pub why: String,
}

impl Health {
    pub(super) fn count_states(&mut self, unavailable: &UnavailableShares, excluded: u64) {
        let counts = unavailable.counts.iter();
        self.share_states = counts
            .map(|(state, count)| (state.as_str(), *count))
            .collect();
        if excluded > 0 {
            let state = ShareState::Excluded.as_str();
            *self.share_states.entry(state).or_default() += excluded;
        }
        let first = unavailable.places.first();
        self.unavailable = first.map(|place| (place.path.clone(), place.state.as_str()));
    }
}
