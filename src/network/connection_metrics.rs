//! How the connections stand, for whoever operates the node.

use std::fmt;

use pelago_behaviour::Connections;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

/// Adds what `connections` tell to what is counted.
pub(super) fn register(connections: Connections, all: &mut Registry) {
    let ours = all.sub_registry_with_prefix("pelago_connections");
    ours.register_collector(Box::new(ConnectionsCollector(connections)));
}

#[derive(Debug)]
struct ConnectionsCollector(Connections);

impl Collector for ConnectionsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let report = self.0.report();
        let gauges = [
            ("tcp", "Connections over TCP that stand", report.tcp as u64),
            (
                "quic",
                "Connections over QUIC that stand",
                report.quic as u64,
            ),
            ("max", "Connections that there may be", report.max as u64),
            (
                "max_quic",
                "Connections over QUIC that there may be",
                report.max_quic as u64,
            ),
            (
                "pending",
                "Handshakes of peers under way",
                report.pending as u64,
            ),
            (
                "held_bytes",
                "Bytes that connections hold",
                report.held_bytes,
            ),
        ];
        for (name, help, value) in gauges {
            // Gauges are signed; no machine holds so many bytes.
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        let counters = [
            (
                "evicted",
                "Connections that gave their place to others",
                report.evicted,
            ),
            (
                "refused",
                "Newcomers for whom there was no place",
                report.refused,
            ),
            (
                "closed_for_memory",
                "Connections that held the most while memory was short",
                report.closed_for_memory,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}
