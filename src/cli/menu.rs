//! `pelago menu`: a few verbs by number, for those who would rather be asked.

use std::io::{self, BufRead};

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use super::{
    context::Context,
    output::{Exit, Output},
    prompt, signals,
    verbs::Verbs,
};

const MENU: &str = "
  1  list local files
  2  list network files
  3  add a file
  4  remove a file
  5  download
  6  exit";

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    signals::outlive_interrupts()?;
    let menu = Menu {
        output: context.output.clone(),
        verbs: Verbs::new(context)?,
    };
    spawn_blocking(move || menu.repeat()).await?
}

/// What a person chose.
#[derive(Debug, PartialEq, Eq)]
enum MenuItem {
    /// A verb as it is.
    Verb(&'static [&'static str]),
    /// A verb, and what is asked for it.
    Asking(&'static str, &'static str),
    Exit,
    /// Nothing that there is.
    Unknown,
}

fn choice(answer: &str) -> MenuItem {
    match answer {
        "1" => MenuItem::Verb(&["list"]),
        "2" => MenuItem::Verb(&["list", "--network"]),
        "3" => MenuItem::Asking("share", "path of the file or folder: "),
        "4" => MenuItem::Asking("unshare", "its name or hash: "),
        "5" => MenuItem::Asking("download", "its name, hash or link: "),
        "6" => MenuItem::Exit,
        _ => MenuItem::Unknown,
    }
}

struct Menu {
    output: Output,
    verbs: Verbs,
}

impl Menu {
    /// Until `6` or the end of what is typed. It ends as the last verb did that failed, unless a person
    /// has seen that already.
    fn repeat(&self) -> anyhow::Result<Exit> {
        let mut exit = Exit::Done;
        loop {
            self.output.text(MENU)?;
            let Some(answer) = self.ask("1-6: ")? else {
                break;
            };
            let ended = match choice(&answer) {
                MenuItem::Exit => break,
                MenuItem::Verb(words) => self.verbs.run(words)?,
                MenuItem::Asking(verb, question) => self.run_on(verb, question)?,
                MenuItem::Unknown => {
                    self.output
                        .note(format_args!("{answer:?} is not one of 1 to 6"));
                    Exit::Usage
                }
            };
            if ended != Exit::Done {
                exit = ended;
            }
        }
        Ok(if prompt::is_terminal() {
            Exit::Done
        } else {
            exit
        })
    }

    /// Runs `verb` on what is answered to `question`; on nothing if that is nothing.
    fn run_on(&self, verb: &str, question: &str) -> anyhow::Result<Exit> {
        match self.ask(question)? {
            // A name that begins with `-` is no flag.
            Some(what) if !what.is_empty() => self.verbs.run(&[verb, "--", &what]),
            _ => Ok(Exit::Done),
        }
    }

    /// A line, from a terminal or a script; none at its end.
    fn ask(&self, question: &str) -> anyhow::Result<Option<String>> {
        if prompt::is_terminal() {
            return prompt::ask(question);
        }
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        let read = read.context("stdin cannot be read")?;
        Ok((read > 0).then(|| line.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::Args;

    #[test]
    fn each_number_is_a_verb_that_there_is() {
        for number in ["1", "2", "3", "4", "5"] {
            let words = match choice(number) {
                MenuItem::Verb(words) => words.to_vec(),
                MenuItem::Asking(verb, _) => vec![verb, "--", "-x"],
                choice => panic!("{number} is {choice:?}"),
            };
            let parsed = Args::try_parse_from([&["pelago"], &words[..]].concat());
            assert!(parsed.is_ok_and(|args| args.command.is_some()), "{number}");
        }
        assert_eq!(choice("6"), MenuItem::Exit);
        assert_eq!(choice("7"), MenuItem::Unknown);
    }
}
