//! A command at a terminal: `script` provides the pseudo-terminal, and forwards what the story
//! types.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Stdio},
    sync::Arc,
    thread,
    time::Instant,
};

use parking_lot::{Condvar, Mutex};

use super::world::{Home, PATIENCE, eventually};

/// Keys, as the bytes that a terminal sends for them.
pub(crate) const CTRL_C: &str = "\u{3}";
pub(crate) const CTRL_D: &str = "\u{4}";
pub(crate) const ENTER: &str = "\r";
pub(crate) const TAB: &str = "\t";
pub(crate) const UP: &str = "\u{1b}[A";

/// A command at a terminal. Dropping this ends it.
pub(crate) struct Terminal {
    script: Child,
    keys: ChildStdin,
    screen: Arc<(Mutex<Screen>, Condvar)>,
    /// How much of the output was checked.
    seen: usize,
}

#[derive(Default)]
struct Screen {
    text: Vec<u8>,
    ended: bool,
}

impl Terminal {
    pub(crate) fn open(home: &Home, arguments: &[&str]) -> Self {
        Self::sized(home, arguments, (200, 50))
    }

    /// A terminal with this many columns and rows.
    pub(crate) fn sized(home: &Home, arguments: &[&str], (columns, rows): (u16, u16)) -> Self {
        let words = [env!("CARGO_BIN_EXE_pelago")].iter().chain(arguments);
        let line = words.map(|word| format!("'{word}'")).collect::<Vec<_>>();
        let line = format!("stty cols {columns} rows {rows}; exec {}", line.join(" "));
        let mut script = home
            .program("script", &["-qec", &line, "/dev/null"])
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let screen = Arc::new((Mutex::new(Screen::default()), Condvar::new()));
        let (shown, stdout) = (Arc::clone(&screen), script.stdout.take().unwrap());
        thread::spawn(move || show(stdout, &shown));
        Self {
            keys: script.stdin.take().unwrap(),
            script,
            screen,
            seen: 0,
        }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until the screen shows `what`, after the text of the call before.
    #[track_caller]
    pub(crate) fn sees(&mut self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut screen = self.screen.0.lock();
        loop {
            let shown = String::from_utf8_lossy(&screen.text[self.seen..]).into_owned();
            if let Some(at) = shown.find(what) {
                self.seen += at + what.len();
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!screen.ended && !left.is_zero(), "no {what:?} in {shown:?}");
            self.screen.1.wait_for(&mut screen, left);
        }
    }

    /// All of the output so far.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.0.lock().text).into_owned()
    }

    /// Waits for the end, and returns the exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        let status = eventually("the command to end", || self.script.try_wait().unwrap());
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
        if thread::panicking() {
            eprintln!("--- the screen:\n{}", self.shown());
        }
    }
}

fn show(mut stdout: impl Read, screen: &(Mutex<Screen>, Condvar)) {
    let mut bytes = [0; 4096];
    loop {
        let read = stdout.read(&mut bytes).unwrap_or(0);
        let mut shown = screen.0.lock();
        shown.text.extend_from_slice(&bytes[..read]);
        shown.ended = read == 0;
        screen.1.notify_all();
        if shown.ended {
            return;
        }
    }
}
