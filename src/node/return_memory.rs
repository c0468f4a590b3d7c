//! The duty that gives memory back to the system after it was needed for a while.

use std::time::Duration;

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use crate::{
    duties::Outcome,
    memory::{give_back, resident_bytes},
};

/// How often the memory of the process is looked at: a line of `/proc`.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Growth from which on giving back is worth the milliseconds that it takes, in bytes.
const NOTABLE_GROWTH: u64 = 16 << 20;

/// What the process held after memory was given back the last time. Pure.
#[derive(Debug)]
struct Level(u64);

impl Level {
    /// Whether it is time to give memory back.
    const fn is_exceeded(&self, resident: u64) -> bool {
        resident > self.0.saturating_add(NOTABLE_GROWTH)
    }

    /// What is held now that it was given back. What stays is in use: it counts as much as before.
    fn given_back(&mut self, resident: u64) {
        self.0 = resident;
    }

    /// Less is held than was thought.
    fn look(&mut self, resident: u64) {
        self.0 = self.0.min(resident);
    }
}

/// Looks for as long as the node runs; ends where the system does not tell.
pub(super) async fn return_memory() -> Outcome {
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let Some(resident) = resident_bytes() else {
        return Ok(());
    };
    let mut level = Level(resident);
    loop {
        ticks.tick().await;
        let Some(resident) = resident_bytes() else {
            return Ok(());
        };
        level.look(resident);
        if level.is_exceeded(resident) {
            spawn_blocking(give_back).await?;
            level.given_back(resident_bytes().unwrap_or(resident));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn memory_is_given_back_after_growth_and_not_again_and_again() {
        let mut level = Level(30 * MIB);
        assert!(!level.is_exceeded(40 * MIB));
        assert!(level.is_exceeded(200 * MIB));
        // All of it is in use.
        level.given_back(200 * MIB);
        assert!(!level.is_exceeded(200 * MIB));
        level.look(50 * MIB);
        assert!(level.is_exceeded(200 * MIB));
    }
}
