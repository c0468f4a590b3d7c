//! The metrics of a node, as text for Prometheus: the counters of each module, and the present
//! state.

use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::gauge::Gauge,
};

use super::{DownloadState, ListError, Node, blocking::blocking};

impl Node {
    /// The metrics of this node and its modules, in the text format of OpenMetrics 1.0, which
    /// Prometheus reads.
    ///
    /// # Errors
    /// The node has shut down, or its database cannot be read.
    pub async fn metrics(&self) -> Result<String, ListError> {
        self.set_gauges().await?;
        let core = &self.core;
        let mut text = String::new();
        let registries = [
            &core.gauges.registry,
            core.network.metrics(),
            &core.gauges.served,
            core.transfers.metrics(),
            core.publisher.metrics(),
            core.groups.metrics(),
        ];
        let written = registries
            .into_iter()
            .try_for_each(|registry| encode_registry(&mut text, registry))
            .and_then(|()| encode_eof(&mut text));
        if let Err(error) = written {
            tracing::error!(%error, "the metrics are incomplete");
        }
        Ok(text)
    }

    async fn set_gauges(&self) -> Result<(), ListError> {
        let core = &self.core;
        let now = &core.gauges;
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
