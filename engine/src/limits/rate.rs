//! A rate: its range, and its text form.

use std::{fmt, str::FromStr};

/// The lowest rate, in bytes a second: a peer counts as stalled at a tenth of it.
const MIN: u64 = 1_000;

/// The highest rate, in bytes a second: beyond any link, and within the range that is exact here.
const MAX: u64 = 1_000_000_000_000;

/// Units as people write them, in lower case, with their values. Rates are displayed in those that
/// have a third field.
const UNITS: [(&str, u64, Option<&str>); 11] = [
    ("", 1, None),
    ("b", 1, Some("B")),
    ("k", 1_000, None),
    ("kb", 1_000, Some("kB")),
    ("kib", 1 << 10, None),
    ("m", 1_000_000, None),
    ("mb", 1_000_000, Some("MB")),
    ("mib", 1 << 20, None),
    ("g", 1_000_000_000, None),
    ("gb", 1_000_000_000, Some("GB")),
    ("gib", 1 << 30, None),
];

/// Bytes a second, from 1 kB/s to 1 TB/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

/// Why a value is not a valid rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRate {
    /// A number that is too low or too high.
    #[error("{0} bytes a second are out of range; expected {MIN} (1 kB/s) to {MAX} (1 TB/s)")]
    Range(u64),
    /// A text without a number, or with an unknown unit.
    #[error(
        "{0:?} is not a valid rate: use bytes a second, with or without a unit, such as 50000, \
         400k, 1.5MB or 2MiB"
    )]
    Text(String),
}

impl Rate {
    /// The highest rate.
    pub const MAX: Self = Self(MAX);

    /// The rate of content to one peer through relays: what a circuit may carry takes half a minute.
    pub(super) const RELAYED: Self = Self(128 << 10);

    /// A rate in bytes a second.
    ///
    /// # Errors
    ///
    /// [`InvalidRate::Range`].
    pub const fn new(bytes: u64) -> Result<Self, InvalidRate> {
        match bytes {
            MIN..=MAX => Ok(Self(bytes)),
            _ => Err(InvalidRate::Range(bytes)),
        }
    }

    /// A limit in bytes a second, where 0 means unlimited.
    ///
    /// # Errors
    ///
    /// [`InvalidRate::Range`].
    pub fn limit(bytes: u64) -> Result<Option<Self>, InvalidRate> {
        match bytes {
            0 => Ok(None),
            _ => Self::new(bytes).map(Some),
        }
    }

    /// Bytes a second.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// Parses the text form: `400k`, `1.5 MB/s`, `2MiB`.
impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let wrong = || InvalidRate::Text(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let rest = lower.strip_suffix("/s").unwrap_or(&lower);
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let end = rest.find(|c| !is_number(c)).unwrap_or(rest.len());
        let (number, unit) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let unit = UNITS.iter().find(|(name, ..)| *name == unit.trim());
        let (_, bytes, _) = unit.ok_or_else(wrong)?;
        // A number beyond u64 saturates, and is out of range as well.
        Self::new((number * *bytes as f64).round() as u64)
    }
}

/// The exact value in a form that parses again: `400 kB/s`, `1.048576 MB/s`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = UNITS.iter().rev();
        let (name, bytes) = shown
            .filter_map(|(_, bytes, name)| Some(((*name)?, *bytes)))
            .find(|(_, bytes)| self.0 >= *bytes)
            .unwrap_or(("B", 1));
        write!(f, "{} {name}/s", self.0 as f64 / bytes as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("1000", 1_000),
            ("50000b", 50_000),
            ("50k", 50_000),
            ("50 KB/s", 50_000),
            ("1.5M", 1_500_000),
            ("20mb", 20_000_000),
            ("2MiB", 2 << 20),
            ("64KiB/s", 64 << 10),
            ("1g", 1_000_000_000),
            ("1000GB", MAX),
        ] {
            assert_eq!(text.parse(), Ok(Rate(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_exact_and_can_be_read_again() {
        for (bytes, shown) in [
            (1_000, "1 kB/s"),
            (400_000, "400 kB/s"),
            (1_048_576, "1.048576 MB/s"),
            (200_000_000, "200 MB/s"),
            (MAX, "1000 GB/s"),
        ] {
            assert_eq!(Rate(bytes).to_string(), shown);
            assert_eq!(shown.parse(), Ok(Rate(bytes)));
        }
    }

    #[test]
    fn invalid_rates_are_rejected_with_the_valid_form() {
        for text in [
            "", "k", "-1", "fast", "5 apples", "1.2.3k", "1e6", "0x10", "50 KB/h",
        ] {
            let refused = text.parse::<Rate>().unwrap_err();
            assert_eq!(refused, InvalidRate::Text(text.to_owned()));
            assert!(refused.to_string().contains("400k"));
        }
        for (text, bytes) in [("0", 0), ("999", 999), ("1001GB", 1_001_000_000_000)] {
            let refused = text.parse::<Rate>().unwrap_err();
            assert_eq!(refused, InvalidRate::Range(bytes));
            assert!(refused.to_string().contains("expected 1000 (1 kB/s)"));
        }
        let endless = "9".repeat(400);
        assert_eq!(endless.parse::<Rate>(), Err(InvalidRate::Range(u64::MAX)));
    }

    #[test]
    fn zero_bytes_a_second_stand_for_no_limit() {
        assert_eq!(Rate::limit(0), Ok(None));
        assert_eq!(Rate::limit(1_000), Ok(Some(Rate(1_000))));
        assert_eq!(Rate::limit(1), Err(InvalidRate::Range(1)));
    }
}
