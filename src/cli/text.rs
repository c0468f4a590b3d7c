//! Formats numbers, names and commands for people.

use std::{
    borrow::Cow,
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub(super) use crate::store::quoted;
use crate::store::{ByteSize, TimeSpan, escaped, is_unsafe};

/// Bytes with three digits at most before the point: `999 B`, `1.5 MB`.
pub(super) fn bytes(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}

/// Bytes a second in the units of limits: `1.5 MB/s`.
pub(super) fn rate(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB/s", "MB/s", "GB/s", "TB/s"];
    if bytes < 1000 {
        return format!("{bytes} B/s");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A span of time by its two largest units: `3 min 5 s`.
pub(super) fn time(time: Duration) -> String {
    TimeSpan(time).to_string()
}

/// The time since a moment, which is in milliseconds since 1970.
pub(super) fn since(unix_ms: u64) -> String {
    time(Duration::from_millis(now_unix_ms().saturating_sub(unix_ms)))
}

/// The time until a moment, which is in milliseconds since 1970.
pub(super) fn until(unix_ms: u64) -> String {
    // Rounded up, so that a week that has just begun is a week.
    let seconds = unix_ms.saturating_sub(now_unix_ms()).div_ceil(1000);
    time(Duration::from_secs(seconds))
}

fn now_unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// `1 source`, `2 sources`.
pub(super) fn count(number: u64, thing: &str) -> String {
    let ending = match (number, thing.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{number} {thing}{ending}")
}

/// Text of other people, escaped: it stays on one line and cannot control the terminal.
pub(super) fn escape(text: &str) -> String {
    escaped(text).into_owned()
}

/// The same for text of several lines.
pub(super) fn escape_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escaped).collect();
    lines.join("\n")
}

/// JSON with an escape (`\u202e`) for each character that is invisible, deceives readers or controls a
/// terminal. Parsers read the same values.
pub(super) fn escape_json(json: &str) -> Cow<'_, str> {
    // Serializers escape the others themselves; those that are left separate lines.
    let is_unsafe = |character| character > '\u{1f}' && is_unsafe(character);
    if !json.contains(is_unsafe) {
        return json.into();
    }
    let mut escaped = String::with_capacity(json.len() * 2);
    for character in json.chars() {
        if is_unsafe(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped.into()
}

/// A command that a shell can run again.
pub(super) fn command(words: impl Iterator<Item = String>) -> String {
    words
        .map(|word| quoted(&word))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (size, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (1_500_000, "1.5 MB"),
            (5_000_000_000, "5.0 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(size), expected);
        }
    }

    #[test]
    fn rates_are_in_the_units_of_limits() {
        for (bytes, expected) in [
            (999, "999 B/s"),
            (1000, "1.0 kB/s"),
            (999_960, "1.0 MB/s"),
            (2_000_000, "2.0 MB/s"),
            (u64::MAX, "18446744.1 TB/s"),
        ] {
            assert_eq!(rate(bytes), expected);
        }
    }

    #[test]
    fn names_cannot_touch_the_terminal() {
        assert_eq!(escape("a\u{1b}[2Jb\n\u{202e}"), r"a\u{1b}[2Jb\n\u{202e}");
        assert_eq!(escape("naïve 文件 🌊.txt"), "naïve 文件 🌊.txt");
        assert_eq!(escape_lines("a\n\u{7}b"), "a\n\\u{7}b");
    }

    #[test]
    fn json_cannot_touch_the_terminal_and_has_the_same_values() {
        let name = "a\n\u{1b}[2J\u{7f}\u{9b}1m\u{85}\u{202e}gpj\u{2066}\u{feff}\u{e0041}ü🌊\\u\"";
        let json = serde_json::to_string(&[name]).unwrap() + "\n";
        let escaped = escape_json(&json);
        assert_eq!(
            escaped,
            "[\"a\\n\\u001b[2J\\u007f\\u009b1m\\u0085\\u202egpj\\u2066\\ufeff\\udb40\\udc41ü🌊\\\\u\\\"\"]\n"
        );
        let read: Vec<String> = serde_json::from_str(&escaped).unwrap();
        assert_eq!(read, [name]);
        assert!(matches!(escape_json("{\"a\": \"ü\"}\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn commands_can_be_run_again() {
        let words = ["pelago", "download", "it's", "", "a b", "-o", "/tmp/x"];
        let command = command(words.map(str::to_owned).into_iter());
        assert_eq!(command, r"pelago download 'it'\''s' '' 'a b' -o /tmp/x");
    }
}
