//! The gauges of a node: how things stand, set when the metrics are asked for.

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

/// What is looked up when somebody asks.
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
    /// For a node that serves as `served` counts, the streams that come through `inbound`.
    pub(super) fn new(served: Arc<Registry>, inbound: WeakSender<streams::Event>) -> Self {
        let mut registry = Registry::with_prefix("pelago");
        let version = [("version", env!("CARGO_PKG_VERSION"))].to_vec();
        registry.register("build", "What this node is", Info::new(version));
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
        let shares = gauge("shares", "What is shared");
        let peers = gauge("peers", "Peers connected to");
        let dht_nodes = gauge("dht_nodes", "Nodes of the DHT that are known");
        let streams_queued = gauge(
            "streams_queued",
            "Streams of peers that wait for a task to serve them",
        );
        let announcements_due = gauge(
            "announcements_due",
            "Announcements that should have been made by now and are not under way",
        );
        let downloads = Family::default();
        registry.register(
            "downloads",
            "Downloads in the list, by what they do",
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
