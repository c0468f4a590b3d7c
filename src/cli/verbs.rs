//! Runs commands for the shell and the menu, each as a process of its own.
//!
//! A node that a command starts ends with the process, and Ctrl-C reaches the process but not the
//! shell. So a command does exactly what it does when it is typed in a terminal.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::{self, Stdio},
};

use anyhow::Context as _;
use clap::{ArgMatches, parser::ValueSource};

use super::{
    args::Args,
    context::Context,
    global::Global,
    output::{self, Exit},
    process_args,
};
use crate::api::types::ErrorInfo;

/// How to run commands on one data folder, with one set of global flags.
#[derive(Clone, Debug)]
pub(super) struct Verbs {
    program: PathBuf,
    /// The name by which the program was started, which hints repeat.
    called: OsString,
    data_folder: PathBuf,
    global: Global,
}

/// Commands that are hidden in the shell, as they are of little use there. They still run if typed.
const HIDDEN: [&str; 4] = ["start", "shell", "completions", "man"];

/// The command that leaves the shell; its other name is `exit`.
const LEAVE: &str = "quit";

/// The definition of the command line for the shell, where no program name comes first.
pub(super) fn definition() -> clap::Command {
    let hide = |root: clap::Command, verb| root.mut_subcommand(verb, |verb| verb.hide(true));
    let leave = clap::Command::new(LEAVE)
        .visible_alias("exit")
        .about("Leave the shell, as Ctrl-D does");
    let root = HIDDEN.into_iter().fold(Args::definition(), hide);
    root.subcommand(leave)
        .name("")
        .no_binary_name(true)
        .override_usage(
            "COMMAND [OPTIONS]; `help` lists all commands, `help COMMAND` shows the options of one",
        )
        .subcommand_help_heading("Commands")
}

impl Verbs {
    /// Runs commands with the global flags of `context`.
    pub(super) fn new(context: &Context) -> anyhow::Result<Self> {
        let program = env::current_exe().context("the path of this program is unknown")?;
        let called = env::args_os().next();
        Ok(Self {
            called: called.unwrap_or_else(|| program.clone().into_os_string()),
            program,
            data_folder: context.data_folder.clone(),
            global: context.global.clone(),
        })
    }

    /// Runs the command that `words` form, and waits for its end. The command prints its output
    /// itself.
    ///
    /// # Errors
    ///
    /// The command is the shell, or its process cannot be started.
    pub(super) fn run<W: AsRef<OsStr>>(&self, words: &[W]) -> anyhow::Result<Exit> {
        let words = self.without_own_name(words);
        let parsed = definition().try_get_matches_from(words.iter().map(AsRef::as_ref));
        let given = match parsed {
            Ok(given) => given,
            Err(error) => return Ok(output::usage(&error, self.is_json(words))),
        };
        if given.subcommand_name() == Some("shell") {
            return Err(ErrorInfo::new("usage", "this is already the shell").into());
        }
        let mut command = process::Command::new(&self.program);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(&mut command, &self.called);
        command.args(self.inherited(&given));
        process_args::give(&mut command, words);
        if !io::stdin().is_terminal() {
            // Stdin holds the next commands, which this one must not read.
            command.stdin(Stdio::null());
        }
        let ended = command.status();
        let ended =
            ended.with_context(|| format!("{} cannot be started", self.program.display()))?;
        Ok(Exit::from_code(ended.code()))
    }

    /// The words without the name of the program, which lines copied from hints begin with.
    fn without_own_name<'a, W: AsRef<OsStr>>(&self, words: &'a [W]) -> &'a [W] {
        match words {
            [first, rest @ ..] if first.as_ref() == "pelago" || first.as_ref() == self.called => {
                rest
            }
            words => words,
        }
    }

    fn is_json<W: AsRef<OsStr>>(&self, words: &[W]) -> bool {
        self.global.json || words.iter().any(|word| word.as_ref() == "--json")
    }

    /// The global flags of this process, except those that were `given` to the command.
    fn inherited(&self, given: &ArgMatches) -> Vec<OsString> {
        let is_given = |flag| given.value_source(flag) == Some(ValueSource::CommandLine);
        let mut flags = Vec::new();
        let mut add = |flag: &str, value: Option<&Path>| {
            flags.push(OsString::from(flag));
            flags.extend(value.map(|value| value.as_os_str().to_owned()));
        };
        if !is_given("data_dir") {
            add("--data-dir", Some(&self.data_folder));
        }
        if let Some(config) = self
            .global
            .config
            .as_deref()
            .filter(|_| !is_given("config"))
        {
            add("--config", Some(config));
        }
        if self.global.json && !is_given("json") {
            add("--json", None);
        }
        if !is_given("verbose") && !is_given("quiet") {
            (0..self.global.verbose).for_each(|_| add("--verbose", None));
            if self.global.quiet {
                add("--quiet", None);
            }
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbs() -> Verbs {
        Verbs {
            program: "/usr/bin/pelago".into(),
            called: "./pelago".into(),
            data_folder: "/data".into(),
            global: Global {
                data_dir: None,
                config: Some("/config".into()),
                json: true,
                verbose: 2,
                quiet: false,
            },
        }
    }

    fn parsed(line: &str) -> Result<ArgMatches, clap::Error> {
        definition().try_get_matches_from(line.split(' '))
    }

    fn inherited(line: &str) -> Vec<OsString> {
        verbs().inherited(&parsed(line).unwrap())
    }

    #[test]
    fn help_is_about_the_shell() {
        definition().debug_assert();
        let help = parsed("help").unwrap_err().to_string();
        for verb in ["share", "quit", "exit"] {
            assert!(help.contains(verb), "{verb}: {help}");
        }
        for hidden in HIDDEN {
            assert!(!help.contains(&format!("\n  {hidden}")), "{hidden}: {help}");
            assert!(parsed(&format!("help {hidden}")).is_err());
        }
        for line in ["help", "fly", "help share", "pause", "list --fly"] {
            let message = parsed(line).unwrap_err().to_string();
            assert!(
                !message.contains("pelago [") && !message.contains("Usage: pelago"),
                "{message}"
            );
        }
        let message = parsed("help share").unwrap_err().to_string();
        assert!(
            message.contains("Usage: share [OPTIONS] <PATH>"),
            "{message}"
        );
    }

    #[test]
    fn a_command_inherits_the_flags_of_the_shell_unless_it_has_its_own() {
        assert_eq!(
            inherited("list"),
            [
                "--data-dir",
                "/data",
                "--config",
                "/config",
                "--json",
                "--verbose",
                "--verbose"
            ]
        );
        assert_eq!(inherited("list --data-dir x --config y --json -q"), [""; 0]);
    }

    #[test]
    fn a_line_from_a_hint_can_be_pasted() {
        let verbs = verbs();
        assert_eq!(verbs.without_own_name(&["pelago", "list"]), ["list"]);
        assert_eq!(verbs.without_own_name(&["./pelago", "list"]), ["list"]);
        assert_eq!(
            verbs.without_own_name(&["list", "pelago"]),
            ["list", "pelago"]
        );
    }
}
