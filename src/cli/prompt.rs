//! Asking people, who sit at a terminal.

use std::io::{self, IsTerminal};

use anyhow::Context as _;
use rustyline::{DefaultEditor, error::ReadlineError};
use tokio::task::spawn_blocking;

use super::output::Output;

/// Whether there is somebody to ask: not where programs read, and only at a terminal.
pub(super) fn is_interactive(output: &Output) -> bool {
    !output.json && is_terminal()
}

/// Whether what is printed is seen, and what is typed is read.
pub(super) fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// What was answered to `question`, without spaces around; none: Ctrl-C or Ctrl-D.
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

/// What was typed; none at the end, or where it was interrupted.
pub(super) fn answer(read: rustyline::Result<String>) -> anyhow::Result<Option<String>> {
    match read {
        Ok(line) => Ok(Some(line)),
        Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
        Err(error) => Err(error).context("the terminal cannot be read"),
    }
}
