//! Metrics of the network for the operator of the node: our own counters, and those of libp2p.
//!
//! No label is chosen by peers: this source bounds the number of labels.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use libp2p::{identify, swarm::SwarmEvent};
use libp2p_metrics::Recorder;
use pelago_behaviour::Event;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::Gauge,
    },
    registry::{Registry, Unit},
};

use super::Traffic;

/// The kind of a query in the DHT.
#[derive(Clone, Copy, Debug)]
pub(super) enum QueryKind {
    /// Find providers.
    Find,
    /// Store a record of ours.
    Announce,
}

/// The counters of the event loop.
pub(super) struct Metrics {
    libp2p: libp2p_metrics::Metrics,
    identified: Family<[(&'static str, &'static str); 1], Counter>,
    queries_started: Family<[(&'static str, &'static str); 1], Counter>,
    queries_ended: Family<[(&'static str, &'static str); 2], Counter>,
    pub(super) lookup_requests: Counter,
    records_held: Gauge,
    pub(super) streams_dropped: Counter,
}

impl Metrics {
    /// Counters in a registry of their own, together with those of `traffic` and the number of
    /// streams that the behaviour `refused`.
    pub(super) fn new(traffic: &Traffic, refused: Arc<AtomicU64>) -> (Self, Registry) {
        let mut all = Registry::default();
        let libp2p = libp2p_metrics::Metrics::new(&mut all);
        let metrics = Self {
            libp2p,
            identified: Family::default(),
            queries_started: Family::default(),
            queries_ended: Family::default(),
            lookup_requests: Counter::default(),
            records_held: Gauge::default(),
            streams_dropped: Counter::default(),
        };
        let ours = all.sub_registry_with_prefix("pelago");
        ours.register_with_unit(
            "content_sent",
            "Content sent to all peers",
            Unit::Bytes,
            traffic.all_sent().clone(),
        );
        ours.register_with_unit(
            "content_received",
            "Content received from all peers",
            Unit::Bytes,
            traffic.all_received().clone(),
        );
        ours.register(
            "identify_messages",
            "Identify messages",
            metrics.identified.clone(),
        );
        ours.register(
            "dht_queries_started",
            "Queries started in the DHT",
            metrics.queries_started.clone(),
        );
        ours.register(
            "dht_queries_ended",
            "Queries ended in the DHT; failed ones timed out",
            metrics.queries_ended.clone(),
        );
        ours.register(
            "dht_lookup_requests",
            "Requests sent in the DHT to find providers",
            metrics.lookup_requests.clone(),
        );
        ours.register_with_unit(
            "dht_records",
            "Memory for records that other nodes announced, as of the last request",
            Unit::Bytes,
            metrics.records_held.clone(),
        );
        ours.register(
            "streams_dropped",
            "Streams of peers that were reset because too many were waiting",
            metrics.streams_dropped.clone(),
        );
        ours.register_collector(Box::new(Refused(refused)));
        (metrics, all)
    }

    /// Counts an event of the swarm.
    pub(super) fn record(&self, event: &SwarmEvent<Event>) {
        match event {
            SwarmEvent::Behaviour(Event::Kad(event)) => self.libp2p.record(&**event),
            SwarmEvent::Behaviour(Event::Ping(event)) => self.libp2p.record(event),
            SwarmEvent::Behaviour(Event::Identify(event)) => {
                let what = match **event {
                    identify::Event::Received { .. } => "received",
                    identify::Event::Sent { .. } => "sent",
                    identify::Event::Pushed { .. } => "pushed",
                    identify::Event::Error { .. } => "failed",
                };
                self.identified.get_or_create(&[("what", what)]).inc();
            }
            // The second would be counted by our addresses as peers observe them, in their words.
            SwarmEvent::Behaviour(_) | SwarmEvent::NewExternalAddrCandidate { .. } => {}
            event => self.libp2p.record(event),
        }
    }

    /// The records of other nodes take `bytes`.
    pub(super) fn records_held(&self, bytes: usize) {
        self.records_held
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn query_started(&self, query: QueryKind) {
        self.queries_started
            .get_or_create(&[("query", query.as_str())])
            .inc();
    }

    pub(super) fn query_ended(&self, query: QueryKind, is_done: bool) {
        let result = if is_done { "done" } else { "failed" };
        self.queries_ended
            .get_or_create(&[("query", query.as_str()), ("result", result)])
            .inc();
    }
}

impl QueryKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Find => "find",
            Self::Announce => "announce",
        }
    }
}

/// A counter that belongs to the behaviour.
struct Refused(Arc<AtomicU64>);

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Refused").field(&self.0).finish()
    }
}

impl Collector for Refused {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let refused = ConstCounter::new(self.0.load(Ordering::Relaxed));
        let metric = encoder.encode_descriptor(
            "streams_refused",
            "Streams that were reset because the peer had too many open",
            None,
            refused.metric_type(),
        )?;
        refused.encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use libp2p::Multiaddr;
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn what_peers_say_of_us_adds_no_line() {
        let (metrics, registry) = Metrics::new(&Traffic::default(), Arc::default());
        let lines = || {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text.lines().count()
        };
        let before = lines();
        for length in 1..50 {
            let address: Multiaddr = "/ip4/192.0.2.1/tcp/1".repeat(length).parse().unwrap();
            metrics.record(&SwarmEvent::NewExternalAddrCandidate { address });
        }
        assert_eq!(lines(), before);
    }
}
