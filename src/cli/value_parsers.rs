//! Parsers of values that several commands take: they refuse what the node would refuse later.

use crate::{
    api,
    node::{InvalidAddress, InvalidPeerId, PeerAddress, PeerChoice},
};

/// The longest time that something may be valid, in seconds: ten years.
const MAX_LIFETIME: u64 = 3650 * 86_400;

/// A valid address of a peer, as it was given.
pub(super) fn peer_address(text: &str) -> Result<String, InvalidAddress> {
    text.parse::<PeerAddress>().map(|_| text.to_owned())
}

/// A valid choice of a peer, as it was given.
pub(super) fn peer_choice(text: &str) -> Result<String, InvalidPeerId> {
    text.parse::<PeerChoice>().map(|_| text.to_owned())
}

/// How long something is valid, in seconds: a number of minutes, hours or days, such as `12h`.
pub(super) fn lifetime(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!("{text:?} is not a valid time: use a number with a unit, such as 30m, 12h or 7d")
    };
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let lifetime = number
        .checked_mul(seconds)
        .filter(|time| (1..=MAX_LIFETIME).contains(time));
    lifetime.ok_or_else(|| format!("{text:?} is not a valid time: use 1m to 3650d"))
}

/// A size in bytes: a number with a unit, such as `500MB` or `1.5GiB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("{text:?} is not a valid size: use a number with a unit, such as 500MB or 20GB");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: f64 = match &*text[digits.len()..].to_ascii_lowercase() {
        "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.trim().parse().map_err(|_| wrong())?;
    let bytes = number * unit;
    // Numbers up to 2^53 are exact: no disk is that large.
    let is_possible = bytes.is_finite() && (1.0..=9e15).contains(&bytes);
    is_possible.then_some(bytes as u64).ok_or_else(wrong)
}

/// A time to wait, in seconds.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| {
        format!("{text:?} is not a number of seconds: use a number such as 10 or 0.5")
    })?;
    api::seconds::duration(seconds).map_err(|error| error.to_string())?;
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_and_bounds() {
        for (text, bytes) in [
            ("500MB", 500_000_000),
            ("1.5GiB", 3 << 29),
            ("20g", 20_000_000_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in [
            "", "5", "MB", "-1MB", "0GB", "nanB", "infB", "1e99GB", "5 apples",
        ] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lifetimes_have_a_unit_and_bounds() {
        for (text, seconds) in [("1m", 60), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(lifetime(text), Ok(seconds));
        }
        for wrong in [
            "",
            "7",
            "d",
            "-1d",
            "1.5h",
            "0d",
            "3651d",
            "1é",
            "99999999999999999999d",
        ] {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
    }
}
