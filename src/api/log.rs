//! The last lines of the program's log, in memory.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
};

use parking_lot::Mutex;

use super::types::{LogLevel, LogLine};
use crate::config;

/// Lines that are kept, at most: about an hour of a node's log, and under 1 MB with typical lines.
const MAX_LINES: usize = 2000;

/// Bytes of a message that are kept, at most. Most messages have less than 200.
const MAX_MESSAGE_LEN: usize = 2048;

/// Fields of a line that are kept, at most.
const MAX_FIELDS: usize = 16;

/// Bytes of a field's value that are kept, at most: enough for a path, an address or an error.
const MAX_VALUE_LEN: usize = 512;

/// The last lines, and the level of the log. A handle: clones refer to the same log.
#[derive(Clone, Default)]
pub struct Log {
    ring: Arc<Mutex<Ring>>,
    set_level: Option<Arc<SetLevel>>,
}

/// Changes the level of the program's log.
type SetLevel = dyn Fn(config::LogLevel) + Send + Sync;

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Arc<LogLine>>,
    /// How many lines were dropped before those that are kept.
    dropped: u64,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log(..)")
    }
}

impl Log {
    /// The same log, with a function that changes its level.
    #[must_use]
    pub fn with_level(self, set_level: impl Fn(config::LogLevel) + Send + Sync + 'static) -> Self {
        Self {
            set_level: Some(Arc::new(set_level)),
            ..self
        }
    }

    /// Changes the level of the program's log, if the program supports that.
    pub(super) fn set_level(&self, level: config::LogLevel) {
        if let Some(set_level) = &self.set_level {
            set_level(level);
        }
    }

    /// Adds a line. Over the limit, the oldest line is dropped. Long values are truncated.
    pub fn add(&self, mut line: LogLine) {
        truncate(&mut line.message, MAX_MESSAGE_LEN);
        let fields = std::mem::take(&mut line.fields).into_iter();
        let shortened = |(name, mut value): (String, String)| {
            truncate(&mut value, MAX_VALUE_LEN);
            (name, value)
        };
        line.fields = fields
            .take(MAX_FIELDS)
            .map(shortened)
            .collect::<BTreeMap<_, _>>();
        let mut ring = self.ring.lock();
        if ring.lines.len() >= MAX_LINES {
            ring.lines.pop_front();
            ring.dropped += 1;
        }
        ring.lines.push_back(Arc::new(line));
    }

    /// All lines that are kept, oldest first.
    #[must_use]
    pub fn last(&self) -> Vec<LogLine> {
        self.lines(LogLevel::Trace)
    }

    /// The lines that are at least as severe as `level`, oldest first.
    pub(super) fn lines(&self, level: LogLevel) -> Vec<LogLine> {
        let ring = self.ring.lock();
        let lines = ring.lines.iter();
        let lines = lines.filter(|line| line.level <= level);
        lines.map(|line| LogLine::clone(line)).collect()
    }

    /// Up to `limit` lines after the first `seen` ones ever logged, and the number of lines up to
    /// the end of these.
    pub(super) fn after(&self, seen: u64, limit: usize) -> (Vec<Arc<LogLine>>, u64) {
        let ring = self.ring.lock();
        let from = seen.max(ring.dropped);
        let skipped = usize::try_from(from - ring.dropped).unwrap_or(usize::MAX);
        let lines: Vec<_> = ring
            .lines
            .iter()
            .skip(skipped)
            .take(limit)
            .cloned()
            .collect();
        let seen = from + lines.len() as u64;
        (lines, seen)
    }
}

fn truncate(text: &mut String, len: usize) {
    if text.len() > len {
        text.truncate(text.floor_char_boundary(len));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> LogLine {
        LogLine {
            unix_ms: 0,
            level: LogLevel::Info,
            target: "test".to_owned(),
            message: number.to_string(),
            fields: BTreeMap::new(),
        }
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let log = Log::default();
        for number in 0..MAX_LINES + 5 {
            log.add(line(number));
        }
        let lines = log.lines(LogLevel::Trace);
        assert_eq!((lines.len(), &*lines[0].message), (MAX_LINES, "5"));
        assert!(log.lines(LogLevel::Warn).is_empty());

        let (first, seen) = log.after(0, 2);
        assert_eq!((first.len(), &*first[1].message), (2, "6"));
        let (rest, seen) = log.after(seen, usize::MAX);
        assert_eq!((rest.len(), &*rest[0].message), (MAX_LINES - 2, "7"));
        assert_eq!(log.after(seen, 9).0.len(), 0);
        log.add(line(7));
        assert_eq!(log.after(seen, 9).0.len(), 1);
    }

    #[test]
    fn long_values_are_truncated_between_characters() {
        let log = Log::default();
        let long = "é".repeat(5000);
        let fields = (0..99).map(|number| (number.to_string(), long.clone()));
        log.add(LogLine {
            message: format!("x{long}"),
            fields: fields.collect(),
            ..line(0)
        });
        let kept = log.lines(LogLevel::Info).remove(0);
        assert!(kept.message.len() <= MAX_MESSAGE_LEN + 3 && kept.message.ends_with("é…"));
        assert_eq!(kept.fields.len(), MAX_FIELDS);
        assert!(
            kept.fields
                .values()
                .all(|value| value.len() <= MAX_VALUE_LEN + 3)
        );
    }
}
