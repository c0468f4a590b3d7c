//! `pelago completions`: prints a script with which a person's shell completes commands and flags.

use clap_complete::{Shell, generate};
use serde::Serialize;

use super::output::{Exit, Printer};

/// The shell that the script is for.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell, such as bash: pelago completions bash >
    /// ~/.local/share/bash-completion/completions/pelago
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

#[derive(Serialize)]
struct Script {
    shell: String,
    script: String,
}

pub(super) fn run(
    output: &Printer,
    args: &CompletionsArgs,
    mut definition: clap::Command,
) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    generate(args.shell, &mut definition, "pelago", &mut script);
    let script = String::from_utf8(script)?;
    if output.json {
        let shell = args.shell.to_string();
        output.result(&Script { shell, script }, String::new)?;
    } else {
        output.raw(script.trim_end())?;
    }
    Ok(Exit::Done)
}
