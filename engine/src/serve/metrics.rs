//! Metrics of serving for the operator of the node: what was refused and why, and how much waits.

use std::{fmt, sync::Arc};

use pelago_behaviour::{Protocol, chunk::Answer};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};

use super::{
    buffers::Buffers,
    work::{JobKind, Work},
};

/// Why a peer did not get what it asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    /// It asks for more at a time than its share.
    Busy,
    /// The content is absent, or not for this peer: the two look the same, and share a counter.
    Absent,
    /// The file no longer has the content that was hashed.
    Changed,
    /// The content has no such chunk.
    OutOfRange,
    /// The request is invalid.
    Malformed,
    /// The node serves as many streams as it can.
    TooManyStreams,
}

/// The counters of this module. A handle: clones share them.
#[derive(Clone)]
pub(super) struct Metrics {
    refusals: Family<[(&'static str, &'static str); 1], Counter>,
    streams: Family<[(&'static str, &'static str); 1], Gauge>,
    pub(super) registry: Arc<Registry>,
}

impl Metrics {
    pub(super) fn new(work: Work, buffers: Buffers) -> Self {
        let (refusals, streams) = (Family::default(), Family::default());
        let mut registry = Registry::default();
        let ours = registry.sub_registry_with_prefix("pelago_serve");
        ours.register(
            "refusals",
            "Requests of peers that were refused",
            Family::clone(&refusals),
        );
        ours.register("streams", "Streams being served", Family::clone(&streams));
        ours.register_collector(Box::new(Depths { work, buffers }));
        Self {
            refusals,
            streams,
            registry: Arc::new(registry),
        }
    }

    pub(super) fn refused(&self, why: Refusal) {
        self.refusals
            .get_or_create(&[("reason", why.as_str())])
            .inc();
    }

    /// Counts an answer if it is a refusal.
    pub(super) fn answered(&self, answer: &Answer) {
        let why = match answer {
            Answer::Data { .. } | Answer::Node { .. } => return,
            Answer::Busy(_) => Refusal::Busy,
            Answer::Absent => Refusal::Absent,
            Answer::Changed => Refusal::Changed,
            Answer::OutOfRange => Refusal::OutOfRange,
            Answer::Malformed => Refusal::Malformed,
        };
        self.refused(why);
    }

    /// The gauge of streams of `protocol` that are being served.
    pub(super) fn streams(&self, protocol: Protocol) -> Gauge {
        let protocol = match protocol {
            Protocol::Chunk => "chunk",
            Protocol::Availability => "availability",
            Protocol::Catalogue => "catalogue",
            Protocol::ListedAvailability => "availability-1",
            Protocol::Group => "group",
        };
        self.streams.get_or_create_owned(&[("protocol", protocol)])
    }
}

impl Refusal {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Absent => "absent",
            Self::Changed => "changed",
            Self::OutOfRange => "out_of_range",
            Self::Malformed => "malformed",
            Self::TooManyStreams => "too_many_streams",
        }
    }
}

/// How much of each bounded resource is in use, read when the metrics are collected.
struct Depths {
    work: Work,
    buffers: Buffers,
}

impl fmt::Debug for Depths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Depths")
    }
}

impl Collector for Depths {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (in_use, waiting) = self.work.depths(JobKind::Read);
        let (_, questions) = self.work.depths(JobKind::LookUp);
        let (unsent, unsent_waiting) = self.buffers.depths();
        for (name, help, depth) in [
            ("slots_in_use", "Upload slots in use", in_use as u64),
            (
                "slots_waiting",
                "Requests that wait for an upload slot",
                waiting as u64,
            ),
            (
                "questions_waiting",
                "Look-ups that wait for their turn",
                questions as u64,
            ),
            ("unsent_bytes", "Bytes handed over and not sent yet", unsent),
            (
                "unsent_waiting",
                "Requests that wait for space among unsent bytes",
                unsent_waiting as u64,
            ),
        ] {
            let gauge = ConstGauge::new(depth);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
