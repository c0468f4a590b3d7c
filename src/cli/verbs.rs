//! Verbs that people type or choose one after another: each a process of its own.
//!
//! What a verb starts ends with its process, and Ctrl-C reaches the process and not us; so a verb
//! does here what it does when it is typed in a terminal, and nothing else.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::{self, Stdio},
};

use anyhow::Context as _;
use clap::{ArgMatches, CommandFactory, parser::ValueSource};

use super::{
    args::Args,
    context::Context,
    global::Global,
    output::{self, Exit},
    process_args,
};
use crate::api::types::ErrorInfo;

/// How to run verbs on one data folder, with one set of global flags.
#[derive(Clone, Debug)]
pub(super) struct Verbs {
    program: PathBuf,
    /// What people called the program, so that hints repeat it.
    called: OsString,
    data_folder: PathBuf,
    global: Global,
}

/// What makes no sense where verbs are typed one after another. Who types it nevertheless gets it.
const HIDDEN: [&str; 4] = ["start", "shell", "completions", "man"];

/// Leaves the shell; its other name is `exit`.
const LEAVE: &str = "quit";

/// The verbs where they are typed one after another: no program's name goes before them.
pub(super) fn definition() -> clap::Command {
    let hide = |root: clap::Command, verb| root.mut_subcommand(verb, |verb| verb.hide(true));
    let leave = clap::Command::new(LEAVE)
        .visible_alias("exit")
        .about("Leave the shell, as Ctrl-D does");
    let root = HIDDEN.into_iter().fold(Args::command(), hide);
    root.subcommand(leave)
        .name("")
        .no_binary_name(true)
        .override_usage("VERB [OPTIONS]; `help` has the verbs, `help VERB` says what one takes")
        .subcommand_help_heading("Verbs")
}

impl Verbs {
    /// Verbs that run as this command does.
    pub(super) fn new(context: &Context) -> anyhow::Result<Self> {
        let program = env::current_exe().context("this program's own file is not known")?;
        let called = env::args_os().next();
        Ok(Self {
            called: called.unwrap_or_else(|| program.clone().into_os_string()),
            program,
            data_folder: context.data_folder.clone(),
            global: context.global.clone(),
        })
    }

    /// Runs the verb that `words` are, to its end; what it has to say it says itself.
    ///
    /// # Errors
    ///
    /// The verb is the shell, or its process cannot be started.
    pub(super) fn run<W: AsRef<OsStr>>(&self, words: &[W]) -> anyhow::Result<Exit> {
        let words = self.without_own_name(words);
        let parsed = definition().try_get_matches_from(words.iter().map(AsRef::as_ref));
        let given = match parsed {
            Ok(given) => given,
            Err(error) => return Ok(output::usage(&error, self.is_json(words))),
        };
        if given.subcommand_name() == Some("shell") {
            return Err(ErrorInfo::new("usage", "this is the shell already").into());
        }
        let mut command = process::Command::new(&self.program);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(&mut command, &self.called);
        command.args(self.inherited(&given));
        process_args::give(&mut command, words);
        if !io::stdin().is_terminal() {
            // What is to be read there are the next verbs.
            command.stdin(Stdio::null());
        }
        let ended = command.status();
        let ended =
            ended.with_context(|| format!("{} cannot be started", self.program.display()))?;
        Ok(Exit::from_code(ended.code()))
    }

    /// A line that was copied from a hint begins with the program.
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

    /// Our own global flags, but for those that the verb was `given`.
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
    fn help_is_about_what_is_typed_here() {
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
            let told = parsed(line).unwrap_err().to_string();
            assert!(
                !told.contains("pelago [") && !told.contains("Usage: pelago"),
                "{told}"
            );
        }
        let told = parsed("help share").unwrap_err().to_string();
        assert!(told.contains("Usage: share [OPTIONS] <PATH>"), "{told}");
    }

    #[test]
    fn a_verb_has_the_shells_flags_unless_it_is_given_its_own() {
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
    fn a_line_from_a_hint_can_be_given_as_it_is() {
        let verbs = verbs();
        assert_eq!(verbs.without_own_name(&["pelago", "list"]), ["list"]);
        assert_eq!(verbs.without_own_name(&["./pelago", "list"]), ["list"]);
        assert_eq!(
            verbs.without_own_name(&["list", "pelago"]),
            ["list", "pelago"]
        );
    }
}
