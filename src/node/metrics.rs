//! What a node counts, as text for Prometheus: what each room below counts, and how things stand now.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use pelago_behaviour::streams;
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};
use tokio::sync::mpsc::WeakSender;

use super::{DownloadState, ListError, Node, handle::blocking};

/// What is looked up when somebody asks.
pub(super) struct Metrics {
    registry: Registry,
    served: Arc<Registry>,
    inbound: WeakSender<streams::Event>,
    shares: Gauge,
    peers: Gauge,
    dht_nodes: Gauge,
    downloads: Family<[(&'static str, &'static str); 1], Gauge>,
    streams_queued: Gauge,
    announcements_due: Gauge,
}

impl Metrics {
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

impl Node {
    /// What this node and each of its rooms count, in the text format of OpenMetrics 1.0, which
    /// Prometheus reads.
    ///
    /// # Errors
    /// The node has shut down, or its database cannot be read.
    pub async fn metrics(&self) -> Result<String, ListError> {
        self.look_up().await?;
        let core = &self.core;
        let mut text = String::new();
        let registries = [
            &core.metrics.registry,
            core.network.metrics(),
            &core.metrics.served,
            core.transfers.metrics(),
            core.publisher.metrics(),
        ];
        let written = registries
            .into_iter()
            .try_for_each(|registry| encode_registry(&mut text, registry))
            .and_then(|()| encode_eof(&mut text));
        if let Err(error) = written {
            tracing::error!(%error, "the metrics are cut short");
        }
        Ok(text)
    }

    async fn look_up(&self) -> Result<(), ListError> {
        let core = &self.core;
        let now = &core.metrics;
        let store = core.store.clone();
        set(&now.shares, blocking(move || store.count()).await??);
        set(&now.peers, core.network.peers().await?.len() as u64);
        set(&now.dht_nodes, *core.network.routable().borrow() as u64);
        set(&now.announcements_due, core.publisher.due().await as u64);
        let queued = now.inbound.upgrade();
        let queued = queued.map_or(0, |queue| queue.max_capacity() - queue.capacity());
        set(&now.streams_queued, queued as u64);
        let downloads = core.transfers.list();
        for state in DownloadState::ALL {
            let here = downloads.iter().filter(|download| download.state == state);
            let gauge = now.downloads.get_or_create(&[("state", state.as_str())]);
            set(&gauge, here.count() as u64);
        }
        Ok(())
    }
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
