//! The duty that gives memory back to the system after it was needed for a while.

use std::time::{Duration, Instant};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use crate::{
    duties::Outcome,
    memory::{resident_bytes, return_free_memory},
};

/// How often the memory of the process is looked at: a line of `/proc`.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Growth from which on giving back is worth the milliseconds that it takes, in bytes.
const NOTABLE_GROWTH: u64 = 16 << 20;

/// Pause between two attempts: the process cannot tell what it needs from what the allocator keeps.
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(30);

/// The least that the process ever held, and when memory was given back the last time. Pure.
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

    /// Whether it is time to give memory back, now that so much is held.
    fn look(&mut self, resident: u64, now: Instant) -> bool {
        self.lowest = self.lowest.min(resident);
        let is_early = |at: Instant| now.saturating_duration_since(at) < ATTEMPT_INTERVAL;
        if resident <= self.lowest + NOTABLE_GROWTH || self.attempt.is_some_and(is_early) {
            return false;
        }
        self.attempt = Some(now);
        true
    }
}

/// Looks for as long as the node runs; ends where the system does not tell.
pub(super) async fn return_memory() -> Outcome {
    let mut ticks = interval(LOOK_INTERVAL);
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
        if level.look(resident, Instant::now()) {
            spawn_blocking(return_free_memory).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn memory_is_given_back_after_growth_again_and_again_with_pauses() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut level = Level::new(50 * MIB);
        assert!(!level.look(30 * MIB, start));
        assert!(!level.look(46 * MIB, start));
        assert!(level.look(200 * MIB, start));
        assert!(!level.look(200 * MIB, after(10)));
        // It was in use before, and may be free by now.
        assert!(level.look(200 * MIB, after(30)));
        assert!(!level.look(35 * MIB, after(60)));
    }
}
