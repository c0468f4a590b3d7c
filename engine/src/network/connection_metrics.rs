//! Metrics of the connections for the operator of the node.

use std::fmt;

use pelago_behaviour::Connections;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

/// Registers the metrics of `connections`.
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
            ("tcp", "Open connections over TCP", report.tcp as u64),
            ("quic", "Open connections over QUIC", report.quic as u64),
            (
                "relayed",
                "Open connections through relays",
                report.relayed as u64,
            ),
            ("max", "Limit of connections", report.max as u64),
            (
                "max_quic",
                "Limit of connections over QUIC",
                report.max_quic as u64,
            ),
            (
                "pending",
                "Running handshakes of peers",
                report.pending as u64,
            ),
            (
                "held_bytes",
                "Bytes held for connections",
                report.held_bytes,
            ),
        ];
        for (name, help, value) in gauges {
            // Gauges are signed; no machine holds that many bytes.
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        let counters = [
            (
                "evicted",
                "Connections closed in favour of others",
                report.evicted,
            ),
            (
                "refused",
                "Connections refused at the limit",
                report.refused,
            ),
            (
                "closed_for_memory",
                "Connections closed because they held the most while memory was short",
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
