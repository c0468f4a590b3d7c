//! How fast a source is, and therefore how much to request from it at a time.
//!
//! Two numbers are measured: the rate of the source, and the latency of the path. The bytes in
//! flight are the rate times twice the latency and [`QUEUE`]: enough that the source always has
//! something to send, on a path of any latency, and few enough that no request waits long behind
//! others. The second latency is for lost packets: all that follows one arrives when it has been
//! sent again. A window that does not fill the path empties sooner than expected, and so grows by
//! itself until it does: the rule of TCP Vegas (Brakmo and Peterson, 1995), with time in place of
//! packets. The latency is that of a request which had no other before it; now and then a source is
//! left to run dry for such a request, as BBR does (Cardwell and others, 2016).

use std::time::{Duration, Instant};

use pelago_content::BLOCK_SIZE;

/// How long a request may wait at a source for those before it.
const QUEUE: Duration = Duration::from_millis(250);

/// How long one chunk should take. The sooner a chunk is complete, the sooner it can be passed on.
const CHUNK_TIME: Duration = Duration::from_millis(125);

/// The level of the first request to a source, before its rate is known: 256 KiB.
const FIRST_LEVEL: u8 = 4;

/// The highest level that is requested: 1 MiB. Larger chunks gained nothing on loopback and cost
/// memory on both sides (docs/PROTOCOL.md).
const MAX_LEVEL: u8 = 6;

/// Bytes in flight at a source before its rate is known.
const FIRST_WINDOW: u64 = 1 << 20;

/// The minimum number of chunks in a window: while one is in flight, the next is requested.
const CHUNKS_IN_WINDOW: u64 = 4;

/// The same if our own limits hold the source back, and arriving data waits for us anyway.
const CHUNKS_IN_LIMITED_WINDOW: u64 = 2;

/// The rate is sampled over this period, as chunks arrive in bursts.
const SAMPLE: Duration = Duration::from_millis(50);

/// The time constant of the average rate: a sample this old weighs a third of the newest.
const RATE_MEMORY: Duration = Duration::from_millis(150);

/// How often a source is left to run dry to measure the latency. Each time costs that latency.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);

/// The longest latency that is compensated. By design, a chunk takes at most about 2 s.
const MAX_LATENCY: Duration = Duration::from_secs(2);

/// How much may be requested from a source, however fast it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowance {
    /// The maximum number of bytes in flight, but always at least one block.
    pub(super) max_window: u64,
    /// The bytes per second that our own limits allow from this source.
    pub(super) rate: Option<f64>,
    /// The bytes per second from this source if all sources get an equal share.
    pub(super) share: Option<f64>,
    /// Whether all bytes that may soon arrive are in flight. If so, each source gets one request at
    /// a time.
    pub(super) is_full: bool,
}

/// The measured pace of a source.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Bytes per second, once it is measured.
    rate: Option<f64>,
    sample_began: Option<Instant>,
    sample_bytes: u64,
    /// The time from a request to the first byte of its answer, if no other request was before it.
    latency: Option<Duration>,
    probe: Option<Probe>,
    last_probe: Option<Instant>,
    last_arrival: Option<Instant>,
}

/// A request that had no other before it.
#[derive(Debug)]
struct Probe {
    asked: Instant,
    /// When its chunk arrived, and the size of the chunk in bytes.
    came: Option<(Instant, u64)>,
}

impl Pace {
    /// A source that owes nothing gets a request.
    pub(super) fn begin(&mut self, now: Instant) {
        self.begin_sample(now);
        self.last_probe = Some(now);
        self.probe = Some(Probe {
            asked: now,
            came: None,
        });
    }

    /// Bytes have arrived; `owes_more` if the source owes further ones.
    pub(super) fn arrived(&mut self, bytes: u64, now: Instant, owes_more: bool) {
        self.measure_latency(bytes, now);
        self.last_arrival = Some(now);
        self.sample_bytes += bytes;
        let began = self.sample_began.unwrap_or(now);
        let elapsed = now.saturating_duration_since(began);
        if owes_more && elapsed < SAMPLE {
            return;
        }
        let sample = self.sample_bytes as f64 / elapsed.as_secs_f64().max(1e-4);
        let weight = 1.0 - (-elapsed.as_secs_f64() / RATE_MEMORY.as_secs_f64()).exp();
        let smooth = |old: f64| old + weight * (sample - old);
        self.rate = Some(self.rate.map_or(sample, smooth));
        self.begin_sample(now);
    }

    fn begin_sample(&mut self, now: Instant) {
        self.sample_began = Some(now);
        self.sample_bytes = 0;
    }

    /// The chunk of a probe took the latency and the time to send it. The chunk behind it shows how
    /// long sending takes.
    fn measure_latency(&mut self, bytes: u64, now: Instant) {
        let Some(probe) = &mut self.probe else { return };
        match probe.came {
            None => {
                probe.came = Some((now, bytes));
                let latency = now.saturating_duration_since(probe.asked);
                self.latency = Some(latency.min(MAX_LATENCY));
            }
            Some((came, first)) => {
                let gap = now.saturating_duration_since(came);
                let sending = gap.mul_f64(first as f64 / bytes.max(1) as f64);
                let whole = came.saturating_duration_since(probe.asked);
                self.latency = Some(whole.saturating_sub(sending).min(MAX_LATENCY));
                self.probe = None;
            }
        }
    }

    /// Whether the source should send all that it owes before it gets the next request.
    pub(super) fn is_probe_due(&self, now: Instant) -> bool {
        self.last_probe
            .is_some_and(|last| now.saturating_duration_since(last) >= PROBE_INTERVAL)
    }

    /// When the source last sent something.
    pub(super) fn last_arrival(&self) -> Option<Instant> {
        self.last_arrival
    }

    /// How long bytes take that are requested behind `owed` others; `None` before the first
    /// arrival.
    pub(super) fn time_for(&self, owed: u64) -> Option<Duration> {
        let seconds = owed as f64 / self.rate?.max(1.0);
        let latency = self.latency?;
        Some(latency + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 2))
    }

    /// The expected bytes per second: the measured rate; or a share of our own limit if no rate is
    /// measured yet, or if all bytes that it allows are in flight. Never more than our own limits
    /// allow.
    fn expected(&self, allowance: &Allowance) -> Option<f64> {
        let measured = self.rate.filter(|_| !allowance.is_full);
        let rates = measured
            .or(allowance.share)
            .into_iter()
            .chain(allowance.rate);
        rates.reduce(f64::min)
    }

    /// The level of the next chunk to request.
    pub(super) fn level(&self, allowance: &Allowance) -> u8 {
        let wanted = match self.expected(allowance) {
            Some(rate) => (rate * CHUNK_TIME.as_secs_f64() / BLOCK_SIZE as f64) as u64,
            None => 1 << FIRST_LEVEL,
        };
        let blocks = wanted.min(allowance.max_window / BLOCK_SIZE);
        let level = blocks.checked_ilog2().unwrap_or(0);
        level.min(MAX_LEVEL.into()) as u8
    }

    /// The number of bytes that may be in flight.
    pub(super) fn window(&self, allowance: &Allowance) -> u64 {
        let latency = self.latency.unwrap_or_default();
        let wanted = self.expected(allowance).map_or(FIRST_WINDOW, |rate| {
            (rate * (2 * latency + QUEUE).as_secs_f64()) as u64
        });
        let chunks = match allowance.rate {
            Some(_) => CHUNKS_IN_LIMITED_WINDOW,
            None => CHUNKS_IN_WINDOW,
        };
        let least = chunks * (BLOCK_SIZE << self.level(allowance));
        let max = allowance.max_window.max(BLOCK_SIZE);
        wanted.max(least).min(max)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    /// Bytes in a packet.
    const PACKET: u64 = 1448;

    const ALLOWANCE: Allowance = Allowance {
        max_window: 64 << 20,
        rate: None,
        share: None,
        is_full: false,
    };

    /// A path from a source, which sends again each packet that is lost: what follows waits for it.
    struct Path {
        /// Bytes per second.
        rate: f64,
        latency: Duration,
        /// The part of all packets that is lost.
        loss: f64,
        random: StdRng,
    }

    impl Path {
        fn new(rate: f64, latency: Duration) -> Self {
            Self {
                rate,
                latency,
                loss: 0.0,
                random: StdRng::seed_from_u64(1),
            }
        }

        /// How much later `bytes` arrive because packets were lost: each time a latency.
        fn delay(&mut self, bytes: u64) -> Duration {
            let mut lost_again = 0;
            let mut packets = bytes / PACKET;
            while packets > 0 {
                let is_lost = |_: &u64| self.random.random_bool(self.loss);
                packets = (0..packets).filter(is_lost).count() as u64;
                lost_again += u32::from(packets > 0);
            }
            self.latency * lost_again
        }
    }

    /// A source behind a path, which for `time` gets as many requests as the pace allows. Returns
    /// the bytes that arrived in the last half of it.
    fn steady(pace: &mut Pace, path: &mut Path, time: Duration) -> u64 {
        let (rate, latency) = (path.rate, path.latency);
        let start = Instant::now();
        let mut queue = VecDeque::new();
        let (mut free_at, mut now, mut owed, mut late) = (start, start, 0, 0);
        let mut complete_at = start;
        while now < start + time {
            while owed == 0 || owed < pace.window(&ALLOWANCE) && !pace.is_probe_due(now) {
                if owed == 0 {
                    pace.begin(now);
                }
                let bytes = BLOCK_SIZE << pace.level(&ALLOWANCE);
                // Half the latency to the source, then behind what it is sending, then half the
                // latency back.
                let sent_from = free_at.max(now + latency / 2);
                free_at = sent_from + Duration::from_secs_f64(bytes as f64 / rate);
                complete_at = complete_at.max(free_at + latency / 2 + path.delay(bytes));
                queue.push_back((bytes, complete_at));
                owed += bytes;
            }
            let (bytes, arrives) = queue.pop_front().unwrap();
            now = arrives;
            owed -= bytes;
            pace.arrived(bytes, now, owed > 0);
            if now > start + time / 2 {
                late += bytes;
            }
        }
        late
    }

    #[test]
    fn a_long_fat_path_is_filled() {
        let mut path = Path::new(125e6, Duration::from_millis(100));
        let late = steady(&mut Pace::default(), &mut path, Duration::from_secs(4));
        assert!(late as f64 > 0.95 * 2.0 * path.rate, "{late} bytes in 2 s");
    }

    #[test]
    fn a_long_path_that_loses_packets_is_filled() {
        for loss in [0.001, 0.01] {
            let mut path = Path::new(12.5e6, Duration::from_millis(300));
            path.loss = loss;
            let late = steady(&mut Pace::default(), &mut path, Duration::from_secs(20));
            let all = 10.0 * path.rate;
            assert!(late as f64 > 0.95 * all, "{loss}: {late} bytes in 10 s");
        }
    }

    #[test]
    fn a_slow_source_is_asked_for_little_at_a_time() {
        let mut pace = Pace::default();
        let mut path = Path::new(50e3, Duration::from_millis(40));
        let late = steady(&mut pace, &mut path, Duration::from_secs(20));
        assert!(late > 450_000, "{late} bytes in 10 s");
        assert_eq!(pace.level(&ALLOWANCE), 0);
        assert!(pace.window(&ALLOWANCE) <= 4 * BLOCK_SIZE, "{pace:?}");
    }

    #[test]
    fn the_window_follows_when_the_path_gets_slower() {
        let mut pace = Pace::default();
        let mut path = Path::new(50e6, Duration::from_millis(5));
        steady(&mut pace, &mut path, Duration::from_secs(2));
        assert!(pace.window(&ALLOWANCE) > 8 << 20);
        path.rate = 1e6;
        steady(&mut pace, &mut path, Duration::from_secs(5));
        assert!(pace.window(&ALLOWANCE) < 1 << 20);
    }
}
