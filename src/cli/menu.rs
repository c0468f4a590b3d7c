//! `pelago menu`: the most used commands by number.

use std::io::{self, BufRead};

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use super::{
    context::Context,
    output::{Exit, Printer},
    prompt, signals,
    verbs::Verbs,
};

const MENU: &str = "
  1  list what this node shares
  2  list what the network offers
  3  share a file or folder
  4  unshare a file or folder
  5  download a file or folder
  6  exit";

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    signals::outlive_interrupts()?;
    let menu = Menu {
        output: context.output.clone(),
        verbs: Verbs::new(context)?,
    };
    spawn_blocking(move || menu.repeat()).await?
}

/// The meaning of an answer.
#[derive(Debug, PartialEq, Eq)]
enum MenuItem {
    /// A command with its arguments.
    Verb(&'static [&'static str]),
    /// A command, and the question for its argument.
    Asking(&'static str, &'static str),
    Exit,
    /// Not an item of the menu.
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
    output: Printer,
    verbs: Verbs,
}

impl Menu {
    /// Repeats the menu until `6` or the end of the input. Without a terminal, the exit code is
    /// that of the last command that failed.
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

    /// Runs `verb` on the answer to `question`; does nothing after an empty answer.
    fn run_on(&self, verb: &str, question: &str) -> anyhow::Result<Exit> {
        match self.ask(question)? {
            // A name that begins with `-` is not a flag.
            Some(what) if !what.is_empty() => self.verbs.run(&[verb, "--", &what]),
            _ => Ok(Exit::Done),
        }
    }

    /// A line from the terminal or a script; none at the end.
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
    fn each_number_is_a_command_that_exists() {
        for number in ["1", "2", "3", "4", "5"] {
            let words = match choice(number) {
                MenuItem::Verb(words) => words.to_vec(),
                MenuItem::Asking(verb, _) => vec![verb, "--", "-x"],
                choice => panic!("{number} is {choice:?}"),
            };
            let parsed = Args::try_parse_from([&["pelago"], &words[..]].concat());
            assert!(parsed.is_ok_and(|args| args.command.is_some()), "{number}");
            let line = format!("\n  {number}  {} ", words[0]);
            assert!(
                MENU.contains(&line),
                "its word is that of the command: {line}"
            );
        }
        assert_eq!(choice("6"), MenuItem::Exit);
        assert_eq!(choice("7"), MenuItem::Unknown);
    }
}
