//! The results of a case: a row for each measurement, with all of its runs.

use std::{
    fmt::{self, Display, Formatter},
    time::Duration,
};

/// The quantity that a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Bytes a second.
    Rate,
    /// Time, over many orders of magnitude.
    Time,
}

/// The figures of one case.
pub(crate) struct Figures {
    /// Its name on the command line.
    pub(crate) case: &'static str,
    /// Its title.
    pub(crate) title: String,
    pub(crate) interest: Interest,
    pub(crate) rows: Vec<Row>,
}

/// One measurement, taken several times.
pub(crate) struct Row {
    /// What distinguishes it from the other rows.
    pub(crate) label: String,
    /// Bytes of content that one run fetches.
    pub(crate) bytes: u64,
    /// How long each run took, in the order of the runs.
    pub(crate) runs: Vec<Duration>,
    /// A note.
    pub(crate) note: Option<String>,
}

impl Row {
    pub(crate) fn new(label: impl Into<String>, bytes: u64, runs: Vec<Duration>) -> Self {
        Self {
            label: label.into(),
            bytes,
            runs,
            note: None,
        }
    }

    pub(crate) fn with_note(self, note: impl Into<String>) -> Self {
        let note = Some(note.into());
        Self { note, ..self }
    }

    /// The median run; of two, the faster one.
    pub(crate) fn median(&self) -> Duration {
        let mut sorted = self.runs.clone();
        sorted.sort_unstable();
        let middle = sorted.len().saturating_sub(1) / 2;
        sorted.get(middle).copied().unwrap_or_default()
    }

    pub(crate) fn least(&self) -> Duration {
        self.runs.iter().min().copied().unwrap_or_default()
    }

    pub(crate) fn most(&self) -> Duration {
        self.runs.iter().max().copied().unwrap_or_default()
    }

    /// Bytes a second, if a run takes this long.
    pub(crate) fn rate(&self, time: Duration) -> f64 {
        self.bytes as f64 / time.as_secs_f64().max(1e-9)
    }
}

impl Display for Figures {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}: {}", self.case, self.title)?;
        let width = self.rows.iter().map(|row| row.label.chars().count()).max();
        for row in &self.rows {
            let label = format!("{:width$}", row.label, width = width.unwrap_or_default());
            writeln!(f, "{label}  {row}")?;
        }
        writeln!(f)
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "{:9.1} ms ({:.1} to {:.1}) {:9.1} MB/s",
            milliseconds(self.median()),
            milliseconds(self.least()),
            milliseconds(self.most()),
            self.rate(self.median()) / 1e6,
        )?;
        match &self.note {
            Some(note) => write!(f, "; {note}"),
            None => Ok(()),
        }
    }
}
