//! Spans of time, formatted for people.

use std::{fmt, time::Duration};

/// A span of time, shown by its two largest units: `3 min 5 s`, `2 d 7 h`, `10 y 3 d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan(pub Duration);

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        const YEAR: u64 = 365 * DAY;
        let seconds = self.0.as_secs();
        match seconds {
            0..MINUTE => write!(f, "{seconds} s"),
            MINUTE..HOUR => write!(f, "{} min {} s", seconds / MINUTE, seconds % MINUTE),
            HOUR..DAY => write!(f, "{} h {} min", seconds / HOUR, seconds % HOUR / MINUTE),
            DAY..YEAR => write!(f, "{} d {} h", seconds / DAY, seconds % DAY / HOUR),
            YEAR.. => write!(f, "{} y {} d", seconds / YEAR, seconds % YEAR / DAY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (185, "3 min 5 s"),
            (3660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
            (365 * 86_400, "1 y 0 d"),
            (3655 * 86_400, "10 y 5 d"),
        ] {
            assert_eq!(TimeSpan(Duration::from_secs(seconds)).to_string(), expected);
        }
    }
}
