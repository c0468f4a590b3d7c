//! Passphrases of commands: typed behind stars, in the first line of stdin, or in a file. Never
//! an argument or a variable, which other programs can read.

use std::{
    borrow::Cow,
    io::{self, IsTerminal as _, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use rustyline::{
    Behavior, Config, Editor, Helper,
    completion::Completer,
    highlight::{CmdKind, Highlighter},
    hint::Hinter,
    history::MemHistory,
    validate::Validator,
};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::prompt;
use crate::{
    api::types::ErrorInfo,
    store::{InvalidPassphrase, MAX_PASSPHRASE_LEN, Passphrase},
};

/// A new passphrase, or none.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct NewPassphrase {
    /// Read the new passphrase from a file, instead of the terminal or the first line of stdin
    #[arg(long, value_name = "FILE", conflicts_with = "no_passphrase")]
    passphrase_file: Option<PathBuf>,

    /// Store the keys without a passphrase: everyone who can read the data folder, or a copy of it,
    /// has them, and can act as this user
    #[arg(long)]
    no_passphrase: bool,
}

impl NewPassphrase {
    /// The passphrase, which a person types twice; none without one.
    pub(super) async fn ask(&self) -> anyhow::Result<Option<Text>> {
        if self.no_passphrase {
            return Ok(None);
        }
        if let Some(file) = &self.passphrase_file {
            return from_file(file).map(Some);
        }
        let first = ask("new passphrase: ").await?;
        if io::stdin().is_terminal() {
            let again = ask("the same again: ").await?;
            if *first != *again {
                bail!("the passphrases differ: type the same one twice");
            }
        }
        Ok(Some(first))
    }
}

/// A passphrase as it was typed, and valid. Its memory is overwritten when it is dropped.
pub(super) type Text = Zeroizing<String>;

/// The passphrase that opens the keys: in `file`, or typed.
pub(super) async fn current(file: Option<&Path>, question: &'static str) -> anyhow::Result<Text> {
    match file {
        Some(file) => from_file(file),
        None => ask(question).await,
    }
    // Keys that a passphrase seals take one.
    .map_err(|error| match error.downcast::<ErrorInfo>() {
        Ok(info) => ErrorInfo { hint: None, ..info }.into(),
        Err(error) => error,
    })
}

/// The passphrase in `file` or in the next line of stdin, if there is one. No person is asked.
pub(super) async fn given(file: Option<&Path>) -> anyhow::Result<Option<Text>> {
    if let Some(file) = file {
        return from_file(file).map(Some);
    }
    if io::stdin().is_terminal() {
        return Ok(None);
    }
    let line = spawn_blocking(read_line).await??;
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    Ok(Some(read_all(&line[..]).map_err(ErrorInfo::from)?))
}

fn from_file(path: &Path) -> anyhow::Result<Text> {
    let file = std::fs::File::open(path);
    let text = file.map_err(InvalidPassphrase::from).and_then(read_all);
    text.with_context(|| format!("the passphrase in {} cannot be used", path.display()))
}

fn read_all(file: impl Read) -> Result<Text, InvalidPassphrase> {
    let most = MAX_PASSPHRASE_LEN + 3;
    let mut text = Zeroizing::new(String::with_capacity(most + 32));
    let read = file.take(most as u64).read_to_string(&mut text);
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(InvalidPassphrase::NotText),
        Err(error) => Err(error.into()),
        Ok(_) => Passphrase::new(&text).map(|_| text),
    }
}

/// The answer of a person at the terminal, or the next line of stdin.
async fn ask(question: &'static str) -> anyhow::Result<Text> {
    let text = spawn_blocking(move || match io::stdin().is_terminal() {
        true => typed(question),
        false => next_line(),
    });
    let text = text.await??;
    Passphrase::new(&text).map_err(ErrorInfo::from)?;
    Ok(text)
}

/// What a person types behind stars.
pub(super) fn typed(question: &str) -> anyhow::Result<Text> {
    // On the terminal even if stdout is a file.
    let config = Config::builder().behavior(Behavior::PreferTerm).build();
    let editor = Editor::with_history(config, MemHistory::new());
    let mut editor = editor.context("the terminal cannot be used")?;
    editor.set_helper(Some(Hidden));
    let answer = prompt::answer(editor.readline(question))?;
    answer.map(Zeroizing::new).context("nothing was typed")
}

/// The passphrase in the next line of stdin.
fn next_line() -> anyhow::Result<Text> {
    Ok(read_all(&read_line()?[..]).map_err(ErrorInfo::from)?)
}

/// A line of stdin, byte by byte, so that the next one stays there.
fn read_line() -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_PASSPHRASE_LEN + 32));
    let mut byte = [0];
    let mut stdin = unbuffered_stdin()?;
    while line.len() <= MAX_PASSPHRASE_LEN + 2 && stdin.read(&mut byte)? > 0 {
        line.push(byte[0]);
        if byte[0] == b'\n' {
            break;
        }
    }
    Ok(line)
}

#[cfg(unix)]
fn unbuffered_stdin() -> io::Result<impl Read> {
    use std::os::fd::AsFd as _;
    Ok(std::fs::File::from(
        io::stdin().as_fd().try_clone_to_owned()?,
    ))
}

#[cfg(windows)]
fn unbuffered_stdin() -> io::Result<impl Read> {
    use std::os::windows::io::AsHandle as _;
    Ok(std::fs::File::from(
        io::stdin().as_handle().try_clone_to_owned()?,
    ))
}

/// Shows a star for each character.
struct Hidden;

impl Highlighter for Hidden {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        Cow::Owned("*".repeat(line.chars().count()))
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        true
    }
}

impl Completer for Hidden {
    type Candidate = String;
}

impl Hinter for Hidden {
    type Hint = String;
}

impl Validator for Hidden {}
impl Helper for Hidden {}
