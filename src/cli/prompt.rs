//! Questions to a person at the terminal.

use std::io::{self, IsTerminal};

use anyhow::Context as _;
use rustyline::{DefaultEditor, error::ReadlineError};
use tokio::task::spawn_blocking;

use super::output::Printer;

/// Whether a person can answer: at a terminal, and without `--json`.
pub(super) fn is_interactive(output: &Printer) -> bool {
    !output.json && is_terminal()
}

/// Whether stdin is a terminal.
pub(super) fn reads_from_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Whether both stdin and stdout are a terminal.
pub(super) fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The answer to `question`, trimmed; none after Ctrl-C or Ctrl-D.
///
/// # Errors
///
/// The terminal cannot be read.
pub(super) fn ask(question: &str) -> anyhow::Result<Option<String>> {
    let mut editor = DefaultEditor::new().context("the terminal cannot be used")?;
    Ok(answer(editor.readline(question))?.map(|line| line.trim().to_owned()))
}

/// Whether the answer to `question` is yes.
///
/// # Errors
///
/// The terminal cannot be read.
pub(super) async fn confirm(question: &'static str) -> anyhow::Result<bool> {
    let answer = spawn_blocking(move || ask(question)).await??;
    Ok(answer.is_some_and(|answer| ["y", "yes"].contains(&answer.to_lowercase().as_str())))
}

/// The line that was read; none at the end of the input or after an interrupt.
pub(super) fn answer(read: rustyline::Result<String>) -> anyhow::Result<Option<String>> {
    match read {
        Ok(line) => Ok(Some(line)),
        Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
        Err(error) => Err(error).context("the terminal cannot be read"),
    }
}
