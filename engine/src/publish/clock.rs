//! A monotonic clock, independent of the time of day, that also counts while the machine sleeps:
//! the records that other nodes keep expire meanwhile.

/// Seconds on that clock, from an arbitrary beginning.
#[cfg(target_os = "linux")]
pub(super) fn seconds() -> u64 {
    use rustix::time::{ClockId, clock_gettime};

    u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or(0)
}

/// Seconds on that clock, from an arbitrary beginning.
#[cfg(not(target_os = "linux"))]
pub(super) fn seconds() -> u64 {
    use std::{sync::LazyLock, time::Instant};

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let first = seconds();
        assert!(seconds() >= first);
    }
}
