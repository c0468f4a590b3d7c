//! How fast a source is, and so how much is asked of it at a time.
//!
//! Two numbers are measured: the rate, and how long the path is. What is in flight is the rate times
//! that length and [`QUEUE`] more: enough that the source always has something to send, on a path of any
//! length, and little enough that no request waits long behind others. As a window that does not fill
//! the path arrives sooner than it was sized for, it grows by itself until it does: the rule of TCP Vegas
//! (Brakmo and Peterson, 1995), with time in place of packets. The length is that of a request which
//! found nothing before it; now and then the source is let run dry for one, as BBR does (Cardwell and
//! others, 2016).

use std::time::{Duration, Instant};

use pelago_content::BLOCK_SIZE;

/// How long requests may wait at a source for those before them.
const QUEUE: Duration = Duration::from_millis(250);

/// How long one chunk should take: the sooner one is whole, the sooner it can be passed on.
const CHUNK_TIME: Duration = Duration::from_millis(125);

/// The level of a source's first request, before its rate is known: 256 KiB.
const FIRST_LEVEL: u8 = 4;

/// The highest level asked for: 1 MiB. Larger chunks gained nothing on loopback and cost memory on
/// both sides (docs/PROTOCOL.md).
const MAX_LEVEL: u8 = 6;

/// Bytes in flight at a source before its rate is known.
const FIRST_WINDOW: u64 = 1 << 20;

/// Chunks that a window holds, at least: while one is on the way the next is asked for.
const CHUNKS_IN_WINDOW: u64 = 4;

/// The same where our own limits hold the source back, and what comes waits for us anyway.
const CHUNKS_IN_LIMITED_WINDOW: u64 = 2;

/// A rate is taken over this long, as chunks arrive in bursts.
const SAMPLE: Duration = Duration::from_millis(50);

/// How long ago something has to be to weigh a third of what is now.
const RATE_MEMORY: Duration = Duration::from_millis(150);

/// How often a source is let run dry to see how long the path is: costs that length each time.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);

/// The longest latency that is made up for. Design: a chunk takes at most about 2 s.
const MAX_LATENCY: Duration = Duration::from_secs(2);

/// How much may be asked of a source, however fast it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowance {
    /// Bytes in flight at most, but always one block.
    pub(super) max_window: u64,
    /// Bytes a second that may come from it by our own limits.
    pub(super) rate: Option<f64>,
    /// Bytes a second that may come from it if all sources get as much.
    pub(super) share: Option<f64>,
    /// Whether all is in flight that may come soon: then each source is asked for one chunk at a time.
    pub(super) is_full: bool,
}

/// What is known of a source's pace.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Bytes a second, once measured.
    rate: Option<f64>,
    sample_began: Option<Instant>,
    sample_bytes: u64,
    /// From a request to the first byte of its answer, were there nothing before it.
    latency: Option<Duration>,
    probe: Option<Probe>,
    last_probe: Option<Instant>,
    last_arrival: Option<Instant>,
}

/// A request that found nothing before it.
#[derive(Debug)]
struct Probe {
    asked: Instant,
    /// When its chunk came, and how many bytes that had.
    came: Option<(Instant, u64)>,
}

impl Pace {
    /// Something is asked of a source that owes nothing.
    pub(super) fn begin(&mut self, now: Instant) {
        self.begin_sample(now);
        self.last_probe = Some(now);
        self.probe = Some(Probe {
            asked: now,
            came: None,
        });
    }

    /// Bytes have come; whether more are owed.
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

    /// The chunk of a probe took the length of the path and the time to send it; the latter, the chunk
    /// behind it tells.
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

    /// Whether the source should be left to send what it owes before it is asked again.
    pub(super) fn is_probe_due(&self, now: Instant) -> bool {
        self.last_probe
            .is_some_and(|last| now.saturating_duration_since(last) >= PROBE_INTERVAL)
    }

    /// When the source last sent something.
    pub(super) fn last_arrival(&self) -> Option<Instant> {
        self.last_arrival
    }

    /// How long bytes take that are asked for behind `owed` others; `None` before the first has come.
    pub(super) fn time_for(&self, owed: u64) -> Option<Duration> {
        let seconds = owed as f64 / self.rate?.max(1.0);
        let latency = self.latency?;
        Some(latency + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 2))
    }

    /// Bytes a second to expect: as measured; a share of what is allowed before that, and where all
    /// is in flight that is allowed; never more than our own limits let in.
    fn expected(&self, allowance: &Allowance) -> Option<f64> {
        let measured = self.rate.filter(|_| !allowance.is_full);
        let rates = measured
            .or(allowance.share)
            .into_iter()
            .chain(allowance.rate);
        rates.reduce(f64::min)
    }

    /// The level of chunk to ask for next.
    pub(super) fn level(&self, allowance: &Allowance) -> u8 {
        let wanted = match self.expected(allowance) {
            Some(rate) => (rate * CHUNK_TIME.as_secs_f64() / BLOCK_SIZE as f64) as u64,
            None => 1 << FIRST_LEVEL,
        };
        let blocks = wanted.min(allowance.max_window / BLOCK_SIZE);
        let level = blocks.checked_ilog2().unwrap_or(0);
        level.min(MAX_LEVEL.into()) as u8
    }

    /// Bytes that may be in flight.
    pub(super) fn window(&self, allowance: &Allowance) -> u64 {
        let latency = self.latency.unwrap_or_default();
        let wanted = self.expected(allowance).map_or(FIRST_WINDOW, |rate| {
            (rate * (latency + QUEUE).as_secs_f64()) as u64
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

    use super::*;

    const ALLOWANCE: Allowance = Allowance {
        max_window: 64 << 20,
        rate: None,
        share: None,
        is_full: false,
    };

    /// A source behind a path of `latency` that carries `rate` bytes a second, asked for as much as
    /// the pace allows for `time`. Returns the bytes that came in the last second.
    fn steady(pace: &mut Pace, rate: f64, latency: Duration, time: Duration) -> u64 {
        let start = Instant::now();
        let mut queue = VecDeque::new();
        let (mut free_at, mut now, mut owed, mut late) = (start, start, 0, 0);
        while now < start + time {
            while owed == 0 || owed < pace.window(&ALLOWANCE) && !pace.is_probe_due(now) {
                if owed == 0 {
                    pace.begin(now);
                }
                let bytes = BLOCK_SIZE << pace.level(&ALLOWANCE);
                // Half the latency out, then behind what is being sent, then half back.
                let sent_from = free_at.max(now + latency / 2);
                free_at = sent_from + Duration::from_secs_f64(bytes as f64 / rate);
                queue.push_back((bytes, free_at + latency / 2));
                owed += bytes;
            }
            let (bytes, arrives) = queue.pop_front().unwrap();
            now = arrives;
            owed -= bytes;
            pace.arrived(bytes, now, owed > 0);
            if now + Duration::from_secs(1) > start + time {
                late += bytes;
            }
        }
        late
    }

    #[test]
    fn a_long_fat_path_is_filled() {
        let rate = 125e6;
        let latency = Duration::from_millis(100);
        let late = steady(&mut Pace::default(), rate, latency, Duration::from_secs(4));
        assert!(late as f64 > 0.95 * rate, "{late} bytes in the last second");
    }

    #[test]
    fn a_slow_source_is_asked_for_little_at_a_time() {
        let mut pace = Pace::default();
        let latency = Duration::from_millis(40);
        let late = steady(&mut pace, 50e3, latency, Duration::from_secs(20));
        assert!(late > 45_000, "{late} bytes in the last second");
        assert_eq!(pace.level(&ALLOWANCE), 0);
        assert!(pace.window(&ALLOWANCE) <= 4 * BLOCK_SIZE, "{pace:?}");
    }

    #[test]
    fn the_window_follows_when_the_path_gets_slower() {
        let mut pace = Pace::default();
        let latency = Duration::from_millis(5);
        steady(&mut pace, 50e6, latency, Duration::from_secs(2));
        assert!(pace.window(&ALLOWANCE) > 8 << 20);
        steady(&mut pace, 1e6, latency, Duration::from_secs(5));
        assert!(pace.window(&ALLOWANCE) < 1 << 20);
    }
}
