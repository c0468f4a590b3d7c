//! The report on how a node fares.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use libp2p::Multiaddr;
use pelago_content::Hash;

use super::{DiskSpace, Notice, SystemLimits};
use crate::{
    duties::Duty,
    node::{UnavailableShares, WatchedFolder},
    store::ShareState,
};

/// How a node fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Where another node with the same identity was seen, if one was.
    pub identity_clash: Option<Multiaddr>,
    /// What the system allows the node's process.
    pub limits: SystemLimits,
    /// The watched folders, and what each relies on.
    pub watches: Vec<WatchedFolder>,
    /// The background duties.
    pub duties: Vec<Duty>,
    /// The disks of the data folder, the download folder and the watched folders.
    pub disks: Vec<DiskSpace>,
    /// The first 20 downloads that wait, and for what.
    pub waiting: Vec<WaitingDownload>,
    /// How many downloads wait.
    pub waiting_count: u64,
    /// How many places that are shared are in each state but `available`, by the last look.
    pub share_states: BTreeMap<&'static str, u64>,
    /// One of the places that are not available, with its state.
    pub unavailable: Option<(PathBuf, &'static str)>,
    /// How far the clock is behind what the node wrote already.
    pub clock_lag: Option<Duration>,
    /// Damaged files that the node set aside.
    pub set_aside: Vec<PathBuf>,
    /// What a person has to know: problems first.
    pub notices: Vec<Notice>,
}

/// A download that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingDownload {
    /// Its hash.
    pub hash: Hash,
    /// What it is called.
    pub name: String,
    /// For what, in a sentence.
    pub why: String,
}

impl Health {
    pub(super) fn count_states(&mut self, unavailable: &UnavailableShares, excluded: u64) {
        for place in &unavailable.places {
            *self.share_states.entry(place.state.as_str()).or_default() += 1;
        }
        if excluded > 0 {
            let state = ShareState::Excluded.as_str();
            *self.share_states.entry(state).or_default() += excluded;
        }
        let first = unavailable.places.first();
        self.unavailable = first.map(|place| (place.path.clone(), place.state.as_str()));
    }
}
