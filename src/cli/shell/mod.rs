//! `pelago shell`: runs commands that are typed one after another.
//!
//! A line is split as a shell does (`split`), parsed by the definition of the command line, and run
//! as a process of its own ([`Verbs`](super::verbs::Verbs)). At a terminal, lines have history and
//! completion (`completion`, `suggestions`). Otherwise they are read from stdin to its end, and the
//! exit code is that of the last command that failed.

mod completion;
pub(super) mod split;
mod suggestions;

use std::{
    io::{self, BufRead, ErrorKind},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use pelago_groups::GroupLink;
use rustyline::{Config, Editor, error::ReadlineError, history::DefaultHistory};
use tokio::{runtime::Handle, task::spawn_blocking};

use super::{
    attach,
    context::Context,
    output::{Exit, Printer},
    prompt, signals,
    verbs::{Verbs, definition},
};
use crate::api::types::ErrorInfo;
use completion::Completion;

/// Words that end the shell.
const LEAVING: [&str; 2] = ["exit", "quit"];

/// LineEditor of the history that is saved.
const HISTORY: usize = 1000;

/// The file with the history, in the data folder.
const HISTORY_FILE: &str = "shell_history";

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    signals::outlive_interrupts()?;
    let shell = Shell {
        output: context.output.clone(),
        verbs: Verbs::new(context)?,
    };
    let folder = context.data_folder.clone();
    if attach::find_running(&folder).await?.is_none() {
        context.output.note(format_args!(
            "no node is running on {}: each command that needs a node starts one and stops it; \
             `pelago start` in another terminal keeps a node running",
            folder.display()
        ));
    }
    if !prompt::is_terminal() {
        return spawn_blocking(move || shell.read(io::stdin().lock())).await?;
    }
    context
        .output
        .note("`help` lists all commands, `menu` a few; Ctrl-D or `quit` leaves");
    let look = suggestions::ask_node(Handle::current(), folder.clone());
    let settings = context.settings.list().into_iter();
    let settings = settings.map(|setting| setting.name.to_string()).collect();
    let completion = Completion::new(definition(), settings, look);
    spawn_blocking(move || shell.converse(completion, &folder)).await?
}

struct Shell {
    output: Printer,
    verbs: Verbs,
}

/// The outcome of a line.
enum LineOutcome {
    /// It was run, or is empty.
    Ran(Exit),
    /// It ends the shell.
    Leave,
}

impl Shell {
    /// Runs each line of `lines`.
    fn read(&self, lines: impl BufRead) -> anyhow::Result<Exit> {
        let mut exit = Exit::Done;
        for line in lines.lines() {
            let outcome = match line {
                Ok(line) => self.run(&line),
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    self.failed(&ErrorInfo::new("usage", "a line is not valid UTF-8").into())
                }
                Err(error) => return Err(error).context("stdin cannot be read"),
            };
            match outcome {
                LineOutcome::Ran(Exit::Done) => {}
                LineOutcome::Ran(failed) => exit = failed,
                LineOutcome::Leave => break,
            }
        }
        Ok(exit)
    }

    /// Runs each line that a person types.
    fn converse(&self, completion: Completion, data_folder: &Path) -> anyhow::Result<Exit> {
        let mut lines = LineEditor::open(completion, data_folder)?;
        loop {
            match lines.editor.readline("pelago> ") {
                Ok(line) => {
                    lines.remember(&line);
                    if let LineOutcome::Leave = self.run(&line) {
                        return Ok(Exit::Done);
                    }
                }
                // The line is dropped, and the shell stays.
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(Exit::Done),
                Err(error) => return Err(error).context("the terminal cannot be read"),
            }
        }
    }

    fn run(&self, line: &str) -> LineOutcome {
        let words = match split::split(line) {
            Ok(words) => words,
            Err(error) => {
                return self.failed(&ErrorInfo::new("usage", error.to_string()).into());
            }
        };
        match &words[..] {
            [] => LineOutcome::Ran(Exit::Done),
            [word] if LEAVING.contains(&word.as_str()) => LineOutcome::Leave,
            words => match self.verbs.run(words) {
                Ok(exit) => LineOutcome::Ran(exit),
                Err(error) => self.failed(&error),
            },
        }
    }

    fn failed(&self, error: &anyhow::Error) -> LineOutcome {
        self.output.failure(error);
        LineOutcome::Ran(Exit::Failed)
    }
}

/// LineEditor from a terminal.
struct LineEditor {
    editor: Editor<Completion, DefaultHistory>,
    /// The file with the history; none without a data folder, which the shell does not create.
    history: Option<PathBuf>,
}

impl LineEditor {
    fn open(completion: Completion, data_folder: &Path) -> anyhow::Result<Self> {
        let config = Config::builder()
            .max_history_size(HISTORY)?
            .history_ignore_dups(true)?
            .history_ignore_space(true)
            .completion_type(rustyline::CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config).context("the terminal cannot be used")?;
        editor.set_helper(Some(completion));
        let history = data_folder.is_dir().then(|| data_folder.join(HISTORY_FILE));
        if let Some(history) = &history {
            // The file does not exist at first; if it cannot be read, the history starts empty.
            let _ = editor.load_history(history);
        }
        Ok(Self { editor, history })
    }

    /// Saves the line immediately, as the terminal may be closed at any time; but not the secret of an
    /// invitation.
    fn remember(&mut self, line: &str) {
        if GroupLink::is_in(line) {
            return;
        }
        let is_new = self.editor.add_history_entry(line).unwrap_or(false);
        if let Some(history) = self.history.as_ref().filter(|_| is_new)
            && let Err(error) = self.editor.append_history(history)
        {
            tracing::warn!(%error, file = %history.display(), "the line is not saved in the history");
        }
    }
}
