//! Limits at certain times of the week: the text form of a period, and which limits hold at a time.
//! Pure: the time is an argument.

use std::str::FromStr;

use crate::limits::{Rate, Rates};

/// Days as people write them, from Monday.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// What is valid, for people.
pub(super) const EXPECTED: &str = "periods such as \"mon-fri 08:00-18:00 upload=400k download=2MB\" or \"sat+sun \
     22:00-06:00 upload=off\"";

/// A time of the week at which other limits hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    /// Whether it begins on each day, from Monday.
    days: [bool; 7],
    /// The minutes of the day at which it begins and ends. One that ends before it begins ends on the
    /// next day.
    from: u16,
    to: u16,
    limits: OtherLimits,
}

/// Limits that hold instead of the usual ones; `None` where the usual ones hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OtherLimits(pub(crate) [Option<Option<Rate>>; 4]);

impl OtherLimits {
    /// The limits that hold, given the `usual` ones.
    pub(crate) fn over(&self, usual: Rates) -> Rates {
        let [upload, download, upload_per_peer, download_per_peer] = self.0;
        Rates {
            upload: upload.unwrap_or(usual.upload),
            download: download.unwrap_or(usual.download),
            upload_per_peer: upload_per_peer.unwrap_or(usual.upload_per_peer),
            download_per_peer: download_per_peer.unwrap_or(usual.download_per_peer),
        }
    }
}

/// The names of the limits, in the order of [`OtherLimits`].
const LIMITS: [&str; 4] = ["upload", "download", "upload_per_peer", "download_per_peer"];

/// A moment of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The day, from 0 for Monday.
    pub(crate) day: usize,
    /// The minute of the day.
    pub(crate) minute: u16,
}

/// A text is not a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidPeriod;

impl FromStr for Period {
    type Err = InvalidPeriod;

    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        let mut words = text.split_whitespace();
        let mut word = || words.next().ok_or(InvalidPeriod);
        let days = days(word()?).ok_or(InvalidPeriod)?;
        let (from, to) = word()?.split_once('-').ok_or(InvalidPeriod)?;
        let (from, to) = (minute(from)?, minute(to)?);
        let mut limits = [None; 4];
        for word in words {
            let (name, rate) = word.split_once('=').ok_or(InvalidPeriod)?;
            let at = LIMITS.iter().position(|limit| *limit == name);
            let limit = &mut limits[at.ok_or(InvalidPeriod)?];
            let rate = match rate {
                "off" | "0" => None,
                rate => Some(rate.parse().map_err(|_| InvalidPeriod)?),
            };
            if limit.replace(rate).is_some() {
                return Err(InvalidPeriod);
            }
        }
        let is_valid = from != to && limits.iter().any(Option::is_some);
        let period = Self {
            days,
            from,
            to,
            limits: OtherLimits(limits),
        };
        is_valid.then_some(period).ok_or(InvalidPeriod)
    }
}

/// `mon`, `mon-fri`, `sat+sun` or `daily`: no commas, which separate periods in a variable.
fn days(text: &str) -> Option<[bool; 7]> {
    let of = |name: &str| DAYS.iter().position(|day| *day == name);
    let mut days = [text == "daily"; 7];
    if text == "daily" {
        return Some(days);
    }
    for part in text.split('+') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (of(first)?, of(last)?);
        let mut day = first;
        days[day] = true;
        while day != last {
            day = (day + 1) % 7;
            days[day] = true;
        }
    }
    Some(days)
}

/// `HH:MM`, up to `24:00`.
fn minute(text: &str) -> Result<u16, InvalidPeriod> {
    let (hour, minute) = text.split_once(':').ok_or(InvalidPeriod)?;
    let number = |text: &str| match text.len() {
        1 | 2 => text.parse::<u16>().map_err(|_| InvalidPeriod),
        _ => Err(InvalidPeriod),
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let all = hour * 60 + minute;
    (minute < 60 && all <= DAY)
        .then_some(all)
        .ok_or(InvalidPeriod)
}

impl Period {
    /// Whether it includes `now`.
    fn includes(&self, now: Moment) -> bool {
        let yesterday = (now.day + 6) % 7;
        if self.from < self.to {
            return self.days[now.day] && (self.from..self.to).contains(&now.minute);
        }
        let (begins, ends) = (now.minute >= self.from, now.minute < self.to);
        self.days[now.day] && begins || self.days[yesterday] && ends
    }
}

/// The limits at `now`: the `usual` ones, but for those of the first period that includes it.
pub(crate) fn limits_at(periods: &[Period], usual: Rates, now: Moment) -> Rates {
    let period = periods.iter().find(|period| period.includes(now));
    period.map_or(usual, |period| period.limits.over(usual))
}

/// Whether a text is a period.
pub(super) fn is_period(text: &str) -> bool {
    text.parse::<Period>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Rates = Rates {
        upload: None,
        download: None,
        upload_per_peer: None,
        download_per_peer: None,
    };

    #[test]
    fn periods_hold_on_their_days_and_over_midnight() {
        let rate = |bytes| Some(Rate::new(bytes).unwrap());
        let periods = [
            "mon-fri 08:00-18:00 upload=400k download=2MB",
            "fri+sat 22:00-06:00 upload=1MB download_per_peer=off",
            "daily 0:00-24:00 download=3MB",
        ];
        let periods = periods.map(|period| period.parse::<Period>().unwrap());
        let usual = Rates {
            download_per_peer: rate(5000),
            ..USUAL
        };
        for (day, hour, upload, download) in [
            (0, 7, None, rate(3_000_000)),
            (0, 8, rate(400_000), rate(2_000_000)),
            (4, 17, rate(400_000), rate(2_000_000)),
            (4, 18, None, rate(3_000_000)),
            (4, 23, rate(1_000_000), None),
            (5, 5, rate(1_000_000), None),
            (5, 6, None, rate(3_000_000)),
            (6, 5, rate(1_000_000), None),
            (0, 5, None, rate(3_000_000)),
        ] {
            let now = Moment {
                day,
                minute: hour * 60,
            };
            let limits = limits_at(&periods, usual, now);
            assert_eq!(
                (limits.upload, limits.download),
                (upload, download),
                "{now:?}"
            );
        }
        let night = Moment {
            day: 4,
            minute: 1400,
        };
        assert_eq!(limits_at(&periods, usual, night).download_per_peer, None);
        assert_eq!(limits_at(&[], usual, night), usual);
    }

    #[test]
    fn other_texts_are_no_periods() {
        for text in [
            "",
            "mon",
            "mon 08:00-18:00",
            "mon 08:00-08:00 upload=1MB",
            "mon 08:00 upload=1MB",
            "mon 08:60-18:00 upload=1MB",
            "mon 24:01-18:00 upload=1MB",
            "mon 1000:00-18:00 upload=1MB",
            "moon 08:00-18:00 upload=1MB",
            "mon- 08:00-18:00 upload=1MB",
            "mon 08:00-18:00 upload=fast",
            "mon 08:00-18:00 sideways=1MB",
            "mon 08:00-18:00 upload=1MB upload=2MB",
        ] {
            assert!(!is_period(text), "{text:?}");
        }
        assert!(is_period("sun-mon 23:00-1:00 upload=off"));
    }
}
