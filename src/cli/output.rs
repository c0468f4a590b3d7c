//! Output: results on stdout, notes and failures on stderr, exit codes.
//!
//! With `--json` stdout holds JSON documents, one a line, and nothing else. Text of others is escaped
//! in both forms, as either may be printed on a terminal.

use std::{
    fmt,
    io::{self, Write},
    process,
};

use anyhow::Context as _;
use console::{Term, style};
use pelago_groups::GroupLink;
use serde::Serialize;

use super::{
    process_args,
    text::{escape_json, escape_lines},
};
use crate::{
    api::{
        CallError, LocalApiError,
        types::{ErrorInfo, Failure},
    },
    config::ConfigError,
    node::{self, CodedError as _},
    store::LockError,
};

/// How a command ended. Failures that are not yet reported are errors instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// The command succeeded.
    Done,
    /// Something failed and was reported.
    Failed,
    /// The arguments are invalid.
    Usage,
}

impl Exit {
    /// From the exit code of a process; none if a signal ended it.
    pub(super) const fn from_code(code: Option<i32>) -> Self {
        match code {
            Some(0) => Self::Done,
            Some(2) => Self::Usage,
            _ => Self::Failed,
        }
    }

    pub(super) const fn code(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
        }
    }
}

/// How to print.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    pub(super) json: bool,
    pub(super) quiet: bool,
    /// Whether notes and failures go to the log, so that stderr holds nothing but JSON.
    pub(super) logged: bool,
}

impl Printer {
    pub(super) const fn new(json: bool, quiet: bool) -> Self {
        Self {
            json,
            quiet,
            logged: false,
        }
    }

    /// Prints a result: as a document for programs, or as text for people.
    pub(super) fn result<D, T>(&self, document: &D, text: impl FnOnce() -> T) -> anyhow::Result<()>
    where
        D: Serialize + ?Sized,
        T: fmt::Display,
    {
        if self.json {
            let json = serde_json::to_string(document)?;
            stdout(format_args!("{}\n", escape_json(&json)))
        } else {
            self.text(text())
        }
    }

    /// As [`Printer::result`], for text whose parts are escaped already, and which may have colours.
    pub(super) fn styled<D, T>(&self, document: &D, text: impl FnOnce() -> T) -> anyhow::Result<()>
    where
        D: Serialize + ?Sized,
        T: fmt::Display,
    {
        if self.json {
            return self.result(document, String::new);
        }
        match text().to_string() {
            text if text.is_empty() => Ok(()),
            text => self.raw(&text),
        }
    }

    /// Prints lines of text for people; nothing with `--json`.
    pub(super) fn text(&self, text: impl fmt::Display) -> anyhow::Result<()> {
        let text = text.to_string();
        if self.json || text.is_empty() {
            return Ok(());
        }
        let text = escape_lines(&text);
        stdout(format_args!("{}\n", text.trim_end_matches('\n')))
    }

    /// The width of the terminal in columns; none without a terminal.
    pub(super) fn width() -> Option<usize> {
        let (_rows, columns) = Term::stdout().size_checked()?;
        // A terminal of unknown width reports 0.
        (columns > 0).then_some(columns.into())
    }

    /// Prints text with control characters that Pelago itself made; nothing with `--json`.
    pub(super) fn raw(&self, lines: &str) -> anyhow::Result<()> {
        if self.json {
            return Ok(());
        }
        stdout(format_args!("{lines}\n"))
    }

    /// Prints a note on stderr.
    pub(super) fn note(&self, text: impl fmt::Display) {
        if self.logged {
            tracing::info!("{text}");
        } else if !self.quiet {
            stderr(format_args!("{}\n", escape_lines(&text.to_string())));
        }
    }

    /// Reports a failure, with `--json` on stdout.
    pub(super) fn failure(&self, error: &anyhow::Error) {
        let error = error_info(error);
        if self.json {
            // If stdout is closed, too, the failure cannot be reported.
            let _ = self.result(&Failure { error }, String::new);
        } else {
            self.error(&error);
        }
    }

    /// Reports a failure on stderr, for people.
    pub(super) fn error(&self, error: &ErrorInfo) {
        if self.logged {
            tracing::error!(code = error.code, hint = error.hint, "{}", error.message);
            return;
        }
        let prefix = style("error:").for_stderr().red().bold();
        stderr(format_args!("{prefix} {}\n", escape_lines(&error.message)));
        if let Some(hint) = &error.hint {
            stderr(format_args!("  {}\n", escape_lines(hint)));
        }
    }
}

/// Writes to stdout. A reader that closes the pipe early, such as `head`, is not an error.
fn stdout(text: fmt::Arguments<'_>) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("the result cannot be written to stdout"),
    }
}

/// Writes to stderr. Unlike `eprintln!`, it does not panic if stderr is closed.
fn stderr(text: fmt::Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// Any failure in the form that scripts read.
pub(super) fn error_info(error: &anyhow::Error) -> ErrorInfo {
    if let Some(info) = error.downcast_ref::<ErrorInfo>() {
        return info.clone();
    }
    if let Some(CallError::Refused(info)) = error.downcast_ref() {
        return info.clone();
    }
    let (code, hint) = if error.is::<CallError>() {
        ("node-unreachable", None)
    } else if let Some(error) = error.downcast_ref::<ConfigError>() {
        ("config", error.hint().map(str::to_owned))
    } else if let Some(LockError::InUse { .. }) = error.downcast_ref() {
        ("data-folder-in-use", None)
    } else if error.is::<LockError>() {
        ("data-folder", None)
    } else if error.is::<LocalApiError>() {
        (
            "api",
            Some("use another address with --api, or none with --api off".to_owned()),
        )
    } else if let Some(error) = error.downcast_ref::<node::StartError>() {
        (error.code(), error.hint())
    } else {
        ("failed", None)
    };
    ErrorInfo::new(code, message(error)).with_hint_if(hint)
}

/// The failure and its causes, except those that its text contains already.
fn message(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |message, cause| {
        let cause = cause.to_string();
        match message.as_str() {
            "" => cause,
            _ if message.contains(&cause) => message,
            _ => format!("{message}: {cause}"),
        }
    })
}

/// Ends the process with an error about invalid arguments, or with the help that was asked for.
pub(super) fn exit_usage(error: &clap::Error) -> ! {
    let json = process_args::given().any(|arg| arg == "--json");
    process::exit(usage(error, json).code())
}

/// The error of a link to a group among arguments, which is a secret. The message does not have it.
pub(super) fn misplaced_invitation() -> ErrorInfo {
    let message = "an argument is an invitation to a group, which only `pelago group join` takes";
    ErrorInfo::new("usage", message).with_hint("run `pelago group join`, and paste the link")
}

/// Reports invalid arguments, or prints the help that was asked for.
pub(super) fn usage(error: &clap::Error, json: bool) -> Exit {
    let text = error.render().to_string();
    if error.use_stderr() && GroupLink::is_in(&text) {
        Printer::new(json, false).failure(&misplaced_invitation().into());
    } else if json && error.use_stderr() {
        let message = text.trim_start_matches("error: ").trim_end();
        Printer::new(true, false).failure(&ErrorInfo::new("usage", message).into());
    } else {
        // If the stream is closed, the text cannot be printed.
        let _ = error.print();
    }
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn causes_are_printed_once() {
        let cause = io::Error::other("the disk is gone");
        let failure = LocalApiError::Listen {
            listen: ([127, 0, 0, 1], 1).into(),
            source: cause,
        };
        let error = error_info(&failure.into());
        assert_eq!(
            error.message,
            "the API cannot listen on 127.0.0.1:1: the disk is gone"
        );
        assert_eq!(error.code, "api");
        let error = error_info(&anyhow!("the disk is gone").context("no list"));
        assert_eq!(error.message, "no list: the disk is gone");
    }

    #[test]
    fn refusals_of_the_node_keep_their_code_and_hint() {
        let info = ErrorInfo::new("not-shared", "nothing").with_hint("look");
        assert_eq!(error_info(&CallError::Refused(info.clone()).into()), info);
        assert_eq!(error_info(&anyhow::Error::from(info.clone())), info);
    }
}
