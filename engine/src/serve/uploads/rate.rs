//! The rate of an upload over the last seconds. Pure: time is an argument.

use std::time::Instant;

/// The whole seconds over which a rate is averaged, as that of a download is.
const SECONDS: usize = 3;

/// Counts the bytes of the last seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    begun: Instant,
    /// The second that is being counted, since the beginning.
    second: u64,
    /// The bytes in each of the last seconds: that of second `n` at `n` modulo the length.
    bytes: [u64; SECONDS + 1],
}

impl Rate {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            begun: now,
            second: 0,
            bytes: [0; SECONDS + 1],
        }
    }

    /// Counts bytes.
    pub(super) fn add(&mut self, bytes: u64, now: Instant) {
        self.turn(now);
        self.bytes[self.at(self.second)] += bytes;
    }

    /// Bytes per second, over the last seconds.
    pub(super) fn per_second(mut self, now: Instant) -> u64 {
        self.turn(now);
        let seconds = self.second.min(SECONDS as u64);
        let whole: u64 = (self.second - seconds..self.second)
            .map(|second| self.bytes[self.at(second)])
            .sum();
        match seconds {
            // The first second is not over.
            0 => self.bytes[0],
            seconds => whole / seconds,
        }
    }

    fn turn(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.begun).as_secs();
        let passed = (second - self.second.min(second)).min(self.bytes.len() as u64);
        for ahead in 0..passed {
            let at = self.at(second - ahead);
            self.bytes[at] = 0;
        }
        self.second = self.second.max(second);
    }

    const fn at(&self, second: u64) -> usize {
        (second % self.bytes.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let begun = Instant::now();
        let at = |tenths: u64| begun + Duration::from_millis(100 * tenths);
        let mut rate = Rate::new(begun);
        for tenth in 0..100 {
            rate.add(100, at(tenth));
        }
        assert_eq!(rate.per_second(at(100)), 1000);
        assert_eq!(rate.per_second(at(110)), 2000 / 3);
        assert_eq!(rate.per_second(at(140)), 0);
        rate.add(300, at(200));
        assert_eq!(rate.per_second(at(210)), 100);
        let mut short = Rate::new(begun);
        short.add(500, begun);
        assert_eq!(
            (short.per_second(begun), short.per_second(at(10))),
            (500, 500)
        );
    }
}
