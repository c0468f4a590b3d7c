//! The gauges of a node: its present state, set when its metrics are read.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use pelago_behaviour::streams;
use prometheus_client::{
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};
use tokio::sync::mpsc::WeakSender;

/// The gauges, the registry that holds them, and the sources of their values.
pub(super) struct Gauges {
    pub(super) registry: Registry,
    pub(super) served: Arc<Registry>,
    pub(super) inbound: WeakSender<streams::Event>,
    pub(super) shares: Gauge,
    pub(super) peers: Gauge,
    pub(super) dht_nodes: Gauge,
    pub(super) downloads: Family<[(&'static str, &'static str); 1], Gauge>,
    pub(super) streams_queued: Gauge,
    pub(super) announcements_due: Gauge,
}

impl Gauges {
    /// The gauges of a node. `served` are the counters of its server, `inbound` its queue of
    /// streams.
    pub(super) fn new(served: Arc<Registry>, inbound: WeakSender<streams::Event>) -> Self {
        let mut registry = Registry::with_prefix("pelago");
        let version = [("version", env!("CARGO_PKG_VERSION"))].to_vec();
        registry.register("build", "The version of this node", Info::new(version));
        let started = Gauge::<i64>::default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        started.set(now.map_or(0, |now| now.as_secs() as i64));
        let help = "When this node started, in seconds since 1970";
        registry.register_with_unit("start_time", help, Unit::Seconds, started);
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let shares = gauge("shares", "Shared files and folders");
        let peers = gauge("peers", "Connected peers");
        let dht_nodes = gauge("dht_nodes", "Known nodes of the DHT");
        let streams_queued = gauge("streams_queued", "Streams of peers that wait to be served");
        let announcements_due = gauge(
            "announcements_due",
            "Announcements that are overdue and not in flight",
        );
        let downloads = Family::default();
        registry.register(
            "downloads",
            "Downloads in the list, by state",
            Family::clone(&downloads),
        );
        Self {
            registry,
            served,
            inbound,
            shares,
            peers,
            dht_nodes,
            downloads,
            streams_queued,
            announcements_due,
        }
    }
}
