//! Progress on stderr: a line on a terminal, with a bar while something moves; otherwise lines, at
//! most one a second.
//!
//! Steps that end immediately show neither.

use std::{
    cell::RefCell,
    fmt,
    io::{self, IsTerminal},
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    output::Printer,
    paths::file_size,
    text::{bytes, count, escape, rate as shown_rate, time},
};

/// Time after which the bar appears.
const BAR_DELAY: Duration = Duration::from_millis(200);

/// Time between two lines without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Characters of a name beside a bar.
const NAME_LEN: usize = 30;

/// Characters of a reason to wait; `pelago downloads` shows all of it.
const WHY_LEN: usize = 120;

/// The progress of something.
#[derive(Clone, Debug, Default)]
pub(super) struct Step<'a> {
    /// The name of the content.
    pub(super) name: &'a str,
    /// The current action.
    pub(super) state: &'a str,
    /// Bytes that are done.
    pub(super) done: u64,
    /// The size in bytes, if known.
    pub(super) size: Option<u64>,
    /// Bytes a second; none: the average so far.
    pub(super) bytes_per_second: Option<u64>,
    /// Number of sources.
    pub(super) sources: Option<u64>,
    /// Whether it waits, so that nothing moves.
    pub(super) is_waiting: bool,
    /// Why it waits or failed.
    pub(super) why: Option<&'a str>,
}

/// Shows progress.
pub(super) struct Progress {
    started: Instant,
    shown: Display,
}

enum Display {
    Nothing,
    Bar(Option<ProgressBar>),
    Lines { last: Instant },
}

impl Progress {
    pub(super) fn new(output: &Printer) -> Self {
        let started = Instant::now();
        let shown = match (output.quiet, io::stderr().is_terminal()) {
            (true, _) => Display::Nothing,
            (false, true) => Display::Bar(None),
            (false, false) => Display::Lines { last: started },
        };
        Self { started, shown }
    }

    /// Shows the progress, if it is time to.
    pub(super) fn show(&mut self, step: &Step<'_>) {
        let elapsed = self.started.elapsed();
        match &mut self.shown {
            Display::Bar(bar) if elapsed >= BAR_DELAY => {
                let bar = bar.get_or_insert_with(new_bar);
                set_style(bar, step.moves());
                bar.set_length(step.size.unwrap_or(0));
                bar.set_position(step.done);
                bar.set_prefix(short(&escape(step.name), NAME_LEN));
                bar.set_message(step.describe(elapsed));
                bar.tick();
            }
            Display::Lines { last } if last.elapsed() >= LINE_INTERVAL => {
                *last = Instant::now();
                let line = format!("{}: {}", step.name, step.describe(elapsed));
                eprintln_if_open(&escape(&line));
            }
            _ => {}
        }
    }

    /// Removes the bar, so that other text can be printed.
    pub(super) fn clear(&mut self) {
        if let Display::Bar(bar) = &mut self.shown
            && let Some(bar) = bar.take()
        {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Step<'_> {
    /// Whether a bar shows how far it is.
    fn moves(&self) -> bool {
        self.size.is_some() && !self.is_waiting
    }

    /// One line: state, bytes and, unless it waits, rate, sources, time left.
    fn describe(&self, elapsed: Duration) -> String {
        let average = || (self.done as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
        let rate = match self.is_waiting {
            true => 0,
            false => self.bytes_per_second.unwrap_or_else(average),
        };
        let mut parts = vec![match self.size {
            Some(size) if self.is_waiting => {
                format!("{}, {} of {}", self.state, bytes(self.done), bytes(size))
            }
            Some(size) => format!("{} {} of {}", self.state, bytes(self.done), bytes(size)),
            None => self.state.to_owned(),
        }];
        if rate > 0 {
            parts.push(shown_rate(rate));
        }
        if let Some(sources) = self.sources.filter(|_| !self.is_waiting) {
            parts.push(count(sources, "source"));
        }
        let left = self
            .size
            .and_then(|size| size.saturating_sub(self.done).checked_div(rate));
        if let Some(left) = left.filter(|left| *left > 0) {
            parts.push(format!("{} left", time(Duration::from_secs(left))));
        }
        parts.extend(self.why.map(|why| short(&escape(why), WHY_LEN)));
        parts.join(", ")
    }
}

/// Shows how many bytes of the file or folder at `path` are hashed.
pub(super) fn hashing(output: &Printer, path: &Path) -> impl Fn(u64) {
    let (name, size) = (path.to_string_lossy().into_owned(), file_size(path));
    let progress = RefCell::new(Progress::new(output));
    move |done| {
        let step = Step {
            name: &name,
            state: "hashing",
            done,
            size,
            ..Step::default()
        };
        progress.borrow_mut().show(&step);
    }
}

/// Without an average rate.
impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(Duration::MAX))
    }
}

fn new_bar() -> ProgressBar {
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
}

/// Sets what the line shows: a bar only while something `moves`.
fn set_style(bar: &ProgressBar, moves: bool) {
    let template = match moves {
        true => "{prefix} [{bar:24}] {msg}",
        false => "{prefix}: {msg}",
    };
    // With an invalid template, the line would only look plainer.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}

fn short(text: &str, len: usize) -> String {
    match text.char_indices().nth(len) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn eprintln_if_open(line: &str) {
    use io::Write;
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_says_rate_and_time_left() {
        let step = Step {
            state: "downloading",
            done: 1 << 30,
            size: Some(3 << 30),
            bytes_per_second: Some(64 << 20),
            sources: Some(2),
            ..Step::default()
        };
        assert_eq!(
            step.describe(Duration::from_secs(1)),
            "downloading 1.0 GiB of 3.0 GiB, 67.1 MB/s, 2 sources, 32 s left"
        );
    }

    #[test]
    fn without_a_rate_the_average_counts() {
        let step = Step {
            state: "hashing",
            done: 1 << 20,
            size: Some(3 << 20),
            ..Step::default()
        };
        let line = step.describe(Duration::from_secs(2));
        assert_eq!(line, "hashing 1.0 MiB of 3.0 MiB, 524.3 KB/s, 4 s left");
    }

    #[test]
    fn a_step_that_waits_says_for_what_and_shows_no_bar() {
        let moving = Step {
            state: "downloading",
            done: 1 << 20,
            size: Some(3 << 20),
            bytes_per_second: Some(1000),
            sources: Some(0),
            ..Step::default()
        };
        assert!(moving.moves());
        let step = Step {
            state: "waiting for a source",
            is_waiting: true,
            why: Some("no source for 3 s: no peer is connected"),
            ..moving
        };
        assert!(!step.moves());
        assert_eq!(
            step.describe(Duration::from_secs(1)),
            "waiting for a source, 1.0 MiB of 3.0 MiB, no source for 3 s: no peer is connected"
        );
        let unknown = Step::default();
        assert!(!unknown.moves(), "how far it is is not known");
    }

    #[test]
    fn unknown_values_are_not_guessed() {
        let step = Step {
            state: "finding-sources",
            bytes_per_second: Some(0),
            ..Step::default()
        };
        assert_eq!(step.describe(Duration::ZERO), "finding-sources");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(
            short(&"ä".repeat(31), NAME_LEN),
            format!("{}…", "ä".repeat(30))
        );
        assert_eq!(short("a", NAME_LEN), "a");
    }
}
