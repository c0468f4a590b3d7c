//! How many bytes may pass now: a bucket that fills at a rate and holds a tenth of a second of it.
//!
//! The arithmetic is `governor`'s, with the clock of tokio's timers. It counts cells, whose time
//! it keeps in whole nanoseconds. A cell here is about a microsecond of the rate, so that rounding
//! costs less than 0.2 % of the rate.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};

use super::Rate;

/// The part of a second that a bucket holds: by this much a busy machine may be late without
/// losing any of the rate, and this much may pass immediately after a pause. It is 1 % of ten
/// seconds.
const HELD: u64 = 10;

/// Bytes that pass at a time, at most: enough that accounting costs nothing, few enough that
/// others do not wait long.
const MAX_GRANULE: u64 = 64 << 10;

/// Cells in a second, approximately.
const CELLS: u64 = 1_000_000;

/// A bucket of bytes.
pub(super) struct Bucket {
    rate: Rate,
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Instant>>,
    cell: u64,
    /// Bytes of the last cell that are not used yet.
    left: u64,
    used: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(rate: Rate) -> Self {
        let cell = (rate.bytes() / CELLS).max(1);
        let time = Duration::from_nanos(cell * 1_000_000_000 / rate.bytes());
        let held = (rate.bytes() / HELD).div_ceil(cell);
        let quota = Quota::with_period(time).expect("a cell takes at least half a microsecond");
        let quota = quota.allow_burst(whole(held));
        Self {
            rate,
            limiter: RateLimiter::direct_with_clock(quota, TokioClock),
            cell,
            left: 0,
            used: TokioClock.now(),
        }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes `bytes` out, at most a [`granule`] of its rate.
    ///
    /// # Errors
    ///
    /// How long to wait until the bucket holds that many.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Duration> {
        let cells = bytes.saturating_sub(self.left).div_ceil(self.cell);
        let now = TokioClock.now();
        if cells > 0 {
            let taken = self.limiter.check_n(whole(cells));
            let taken = taken.expect("a granule fits into a bucket");
            taken.map_err(|not_until| not_until.wait_time_from(now))?;
        }
        self.left = self.left + cells * self.cell - bytes;
        self.used = now;
        Ok(())
    }

    /// Whether the bucket is full, and therefore equal to a new one.
    pub(super) fn is_full(&self) -> bool {
        let since = TokioClock.now().saturating_duration_since(self.used);
        since >= Duration::from_secs(1) / HELD as u32
    }
}

/// Bytes that pass at a time at `rate`: no more than a bucket holds.
pub(super) fn granule(rate: Rate) -> u64 {
    (rate.bytes() / HELD).min(MAX_GRANULE)
}

/// A number of cells: at most those of a full bucket, about 200,000.
fn whole(cells: u64) -> NonZeroU32 {
    let cells = u32::try_from(cells).unwrap_or(u32::MAX);
    NonZeroU32::new(cells).unwrap_or(NonZeroU32::MIN)
}

/// The clock of tokio's timers, which tests can pause.
#[derive(Clone, Copy, Debug)]
struct TokioClock;

impl Clock for TokioClock {
    type Instant = Instant;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}
