//! The duty that returns memory to the system after the process has shrunk.

use std::time::{Duration, Instant};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use crate::{
    duties::Outcome,
    memory::{resident_bytes, return_free_memory},
};

/// How often the memory of the process is read: a line of `/proc`.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The growth, in bytes, from which returning memory is worth the milliseconds that it takes.
const NOTABLE_GROWTH: u64 = 16 << 20;

/// The pause between two attempts: the process cannot tell memory in use from memory that the
/// allocator keeps.
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(30);

/// The least memory that the process has held, and when memory was last returned. Pure.
#[derive(Debug)]
struct Level {
    lowest: u64,
    attempt: Option<Instant>,
}

impl Level {
    const fn new(resident: u64) -> Self {
        Self {
            lowest: resident,
            attempt: None,
        }
    }

    /// Whether to return memory now that the process holds `resident` bytes.
    fn is_due(&mut self, resident: u64, now: Instant) -> bool {
        self.lowest = self.lowest.min(resident);
        let is_early = |at: Instant| now.saturating_duration_since(at) < ATTEMPT_INTERVAL;
        if resident <= self.lowest + NOTABLE_GROWTH || self.attempt.is_some_and(is_early) {
            return false;
        }
        self.attempt = Some(now);
        true
    }
}

/// Returns memory for as long as the node runs. Ends if the system does not report memory.
pub(super) async fn return_memory() -> Outcome {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let Some(resident) = resident_bytes() else {
        return Ok(());
    };
    let mut level = Level::new(resident);
    loop {
        ticks.tick().await;
        let Some(resident) = resident_bytes() else {
            return Ok(());
        };
        if level.is_due(resident, Instant::now()) {
            spawn_blocking(return_free_memory).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn memory_is_returned_after_growth_repeatedly_with_pauses() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut level = Level::new(50 * MIB);
        assert!(!level.is_due(30 * MIB, start));
        assert!(!level.is_due(46 * MIB, start));
        assert!(level.is_due(200 * MIB, start));
        assert!(!level.is_due(200 * MIB, after(10)));
        // The memory was in use before, and may be free by now.
        assert!(level.is_due(200 * MIB, after(30)));
        assert!(!level.is_due(35 * MIB, after(60)));
    }
}
