//! Progress on stderr: a line on a terminal, as wide as that, with a bar while something moves;
//! otherwise lines, at most one a second.
//!
//! Steps that end immediately show neither.

use std::{
    cell::RefCell,
    fmt,
    io::{self, IsTerminal},
    path::Path,
    time::{Duration, Instant},
};

use console::{Term, measure_text_width};

use super::{
    output::Printer,
    paths::file_size,
    table::truncate,
    text::{bytes, count, escape, rate as shown_rate, time},
};

/// Time after which the line on a terminal appears, and the time between two drawings of it, at least.
const LINE_DELAY: Duration = Duration::from_millis(200);
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);

/// Time between two lines without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Columns of a name beside a bar, at most, and if there is little space.
const NAME_WIDTH: usize = 30;
const SHORT_NAME_WIDTH: usize = 8;

/// Characters of a bar between its ends.
const BAR_WIDTH: usize = 12;

/// Columns that stay free at the end of the line: the terminal writes `^C` there, which would
/// otherwise begin a line of its own.
const FREE_COLUMNS: usize = 3;

/// Columns of a terminal of unknown width.
const USUAL_WIDTH: usize = 80;

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
    /// A line on a terminal, and when it was drawn last.
    Line {
        terminal: Term,
        drawn: Option<Instant>,
    },
    Lines {
        last: Instant,
    },
}

impl Progress {
    pub(super) fn new(output: &Printer) -> Self {
        let started = Instant::now();
        let shown = match (output.quiet, io::stderr().is_terminal()) {
            (true, _) => Display::Nothing,
            (false, true) => Display::Line {
                terminal: Term::stderr(),
                drawn: None,
            },
            (false, false) => Display::Lines { last: started },
        };
        Self { started, shown }
    }

    /// Shows the progress, if it is time to.
    pub(super) fn show(&mut self, step: &Step<'_>) {
        let elapsed = self.started.elapsed();
        match &mut self.shown {
            Display::Line { terminal, drawn } if elapsed >= LINE_DELAY => {
                if drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW_INTERVAL) {
                    return;
                }
                *drawn = Some(Instant::now());
                let line = step.line(elapsed, width(terminal));
                // A closed terminal shows nothing.
                let _ = terminal.clear_line();
                let _ = terminal.write_str(&line);
            }
            Display::Lines { last } if last.elapsed() >= LINE_INTERVAL => {
                *last = Instant::now();
                let line = format!("{}: {}", step.name, step.describe(elapsed));
                eprintln_if_open(&escape(&line));
            }
            _ => {}
        }
    }

    /// Removes the line, with the `^C` that the terminal may have added, so that other text can be
    /// printed.
    pub(super) fn clear(&mut self) {
        if let Display::Line { terminal, drawn } = &mut self.shown
            && drawn.take().is_some()
        {
            let _ = terminal.clear_line();
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

    /// A line for a terminal of this `width`. Where not all of it fits, the less important parts are
    /// left out; the percentage stays.
    fn line(&self, elapsed: Duration, width: usize) -> String {
        let width = width.saturating_sub(FREE_COLUMNS);
        let name = escape(self.name);
        let Some(size) = self.size.filter(|_| self.moves()) else {
            let name = fitting(&name, NAME_WIDTH);
            return fitting(&format!("{name}: {}", self.describe(elapsed)), width);
        };
        let rate = self.rate(elapsed);
        let state = (self.state != "downloading").then(|| self.state.to_owned());
        let sources = self.sources.map(|sources| count(sources, "source"));
        let rate_shown = (rate > 0).then(|| shown_rate(rate));
        let bar = bar(self.done, size);
        let done = format!("{} of {}", bytes(self.done), bytes(size));
        // In the order of the line; the higher the number, the sooner it is left out.
        let parts = [
            (5, state),
            (3, Some(bar)),
            (0, Some(percent(self.done, size))),
            (1, Some(done)),
            (2, rate_shown),
            (4, self.left(rate)),
            (6, sources),
        ];
        let rest = |last: u8| {
            let shown = parts.iter().filter(|(turn, _)| *turn <= last);
            let shown = shown.filter_map(|(_, part)| part.as_deref());
            shown.collect::<Vec<_>>().join("  ")
        };
        let fits = |rest: &String| measure_text_width(rest) + 2 + SHORT_NAME_WIDTH <= width;
        let rest = (0..=6).rev().map(rest).find(fits);
        let rest = rest.unwrap_or_else(|| percent(self.done, size));
        let free = width.saturating_sub(measure_text_width(&rest) + 2);
        match fitting(&name, free.min(NAME_WIDTH)) {
            name if name.is_empty() => fitting(&rest, width),
            name => format!("{name}  {rest}"),
        }
    }

    /// Bytes a second; 0 while it waits.
    fn rate(&self, elapsed: Duration) -> u64 {
        let average = || (self.done as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
        match self.is_waiting {
            true => 0,
            false => self.bytes_per_second.unwrap_or_else(average),
        }
    }

    fn left(&self, rate: u64) -> Option<String> {
        let missing = self.size?.saturating_sub(self.done);
        let left = missing.checked_div(rate).filter(|left| *left > 0)?;
        Some(format!("{} left", time(Duration::from_secs(left))))
    }

    /// All of it: state, bytes and, unless it waits, rate, sources, time left.
    fn describe(&self, elapsed: Duration) -> String {
        let rate = self.rate(elapsed);
        let separator = if self.is_waiting { ", " } else { " " };
        let mut parts = vec![match self.size {
            Some(size) => {
                let (done, all) = (bytes(self.done), bytes(size));
                let percent = percent(self.done, size);
                format!("{}{separator}{done} of {all} ({percent})", self.state)
            }
            None => self.state.to_owned(),
        }];
        if rate > 0 {
            parts.push(shown_rate(rate));
        }
        if let Some(sources) = self.sources.filter(|_| !self.is_waiting) {
            parts.push(count(sources, "source"));
        }
        parts.extend(self.left(rate));
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

fn width(terminal: &Term) -> usize {
    let size = terminal.size_checked();
    // A terminal of unknown width reports 0.
    let width = size.filter(|(_, columns)| *columns > 0);
    width.map_or(USUAL_WIDTH, |(_, columns)| columns.into())
}

/// `text`, truncated to `width` columns, of which there may be none.
fn fitting(text: &str, width: usize) -> String {
    match width {
        0 => String::new(),
        width => truncate(text, width),
    }
}

/// A bar of text that shows how far something is.
fn bar(done: u64, size: u64) -> String {
    let filled = match size {
        0 => BAR_WIDTH,
        size => (u128::from(done.min(size)) * BAR_WIDTH as u128 / u128::from(size)) as usize,
    };
    let head = if filled < BAR_WIDTH { ">" } else { "" };
    format!("[{:BAR_WIDTH$}]", format!("{}{head}", "=".repeat(filled)))
}

/// Whole percents, rounded down.
fn percent(done: u64, size: u64) -> String {
    let percent = (u128::from(done.min(size)) * 100).checked_div(u128::from(size));
    format!("{} %", percent.unwrap_or(100))
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
            "downloading 1.1 GB of 3.2 GB (33 %), 67.1 MB/s, 2 sources, 32 s left"
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
        assert_eq!(
            line,
            "hashing 1.0 MB of 3.1 MB (33 %), 524.3 kB/s, 4 s left"
        );
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
            "waiting for a source, 1.0 MB of 3.1 MB (33 %), no source for 3 s: no peer is connected"
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
    fn a_line_fits_the_terminal_and_keeps_its_percentage() {
        let step = Step {
            name: "Ünsere Ferien an der See.mkv",
            state: "downloading",
            done: 37_000_000,
            size: Some(100_000_000),
            bytes_per_second: Some(5_200_000),
            sources: Some(2),
            ..Step::default()
        };
        let line = |width| step.line(Duration::from_secs(1), width);
        assert_eq!(
            line(120),
            "Ünsere Ferien an der See.mkv  [====>       ]  37 %  37.0 MB of 100.0 MB  5.2 MB/s  \
             12 s left  2 sources"
        );
        assert_eq!(
            line(80),
            "Ünsere Ferie…  [====>       ]  37 %  37.0 MB of 100.0 MB  5.2 MB/s  12 s left"
        );
        assert_eq!(line(40), "Ünsere Fe…  37 %  37.0 MB of 100.0 MB");
        assert_eq!(line(20), "Ünsere Fer…  37 %");
        let waiting = Step {
            is_waiting: true,
            state: "waiting for a source",
            why: Some("no source for 3 s: no peer is connected"),
            ..step.clone()
        };
        let checking = Step {
            state: "checking",
            ..step.clone()
        };
        for width in 0..200 {
            for step in [&step, &waiting, &checking] {
                let line = step.line(Duration::from_secs(1), width);
                let most = width.saturating_sub(FREE_COLUMNS);
                assert!(measure_text_width(&line) <= most, "{width}: {line:?}");
            }
        }
        assert!(
            checking
                .line(Duration::from_secs(1), 90)
                .contains("checking  [")
        );
    }

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        assert_eq!(bar(0, 10), "[>           ]");
        assert_eq!(bar(5, 10), "[======>     ]");
        assert_eq!(bar(10, 10), "[============]");
        assert_eq!(bar(0, 0), "[============]");
        assert_eq!(percent(u64::MAX - 1, u64::MAX), "99 %");
    }
}
