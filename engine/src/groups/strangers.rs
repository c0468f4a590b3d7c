//! How often peers from outside a group may try, by where they come from. Pure.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Attempts from one place within [`WINDOW`], at most. A user who joins makes two, and a member whom
/// this node does not know yet two more.
const MAX_ATTEMPTS: u32 = 64;

const WINDOW: Duration = Duration::from_secs(10);

/// Places that are counted, at most. Beyond that all counts begin again.
const MAX_PLACES: usize = 4096;

/// The attempts of peers from outside.
#[derive(Default)]
pub(super) struct Strangers(HashMap<u64, (Instant, u32)>);

impl Strangers {
    /// Counts an attempt from `place`. Returns whether it is allowed.
    pub(super) fn may_try(&mut self, place: u64, now: Instant) -> bool {
        if self.0.len() >= MAX_PLACES {
            self.0.retain(|_, (since, _)| now < *since + WINDOW);
            if self.0.len() >= MAX_PLACES {
                self.0.clear();
            }
        }
        let (since, attempts) = self.0.entry(place).or_insert((now, 0));
        if now >= *since + WINDOW {
            (*since, *attempts) = (now, 0);
        }
        *attempts += 1;
        *attempts <= MAX_ATTEMPTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_tries_for_a_while_and_others_are_unaffected() {
        let (mut strangers, start) = (Strangers::default(), Instant::now());
        let tries = (0..100).filter(|_| strangers.may_try(1, start)).count();
        assert_eq!(tries, MAX_ATTEMPTS as usize);
        assert!(strangers.may_try(2, start));
        assert!(strangers.may_try(1, start + WINDOW));
        for place in 0..3 * MAX_PLACES as u64 {
            strangers.may_try(place, start);
        }
        assert!(strangers.0.len() <= MAX_PLACES);
    }
}
