//! `pelago man`: the manual pages, made from the definition of the command line.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;

use super::{
    output::{Exit, Printer},
    text::escape,
};

/// Where the pages go.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Write a page for each command into this folder, such as ~/.local/share/man/man1 [default:
    /// print the main page, which `pelago man | man -l -` shows]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn run(
    output: &Printer,
    args: &ManArgs,
    mut definition: Command,
) -> anyhow::Result<Exit> {
    // This adds the global flags and the full names to the commands.
    definition.build();
    match &args.output {
        None => print(output, definition),
        Some(folder) => write(output, &definition, folder),
    }
}

fn print(output: &Printer, command: Command) -> anyhow::Result<Exit> {
    let page = rendered(command)?;
    if output.json {
        output.result(&page, String::new)?;
    } else {
        output.raw(page.trim_end())?;
    }
    Ok(Exit::Done)
}

fn write(output: &Printer, command: &Command, folder: &Path) -> anyhow::Result<Exit> {
    fs::create_dir_all(folder)
        .with_context(|| format!("the folder {} cannot be created", folder.display()))?;
    let mut written = Vec::new();
    for verb in with_subcommands(command) {
        let man = Man::new(verb.clone());
        let path = folder.join(man.get_filename());
        fs::write(&path, rendered(verb.clone())?)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        written.push(path.to_string_lossy().into_owned());
    }
    let lines = written.iter().map(|path| format!("{}\n", escape(path)));
    output.result(&written, || lines.collect::<String>())?;
    Ok(Exit::Done)
}

/// A command, and all commands below it that need a page of their own.
fn with_subcommands(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands();
    let below = below.filter(|verb| verb.get_name() != "help" && !verb.is_hide_set());
    [command]
        .into_iter()
        .chain(below.flat_map(with_subcommands))
        .collect()
}

fn rendered(command: Command) -> anyhow::Result<String> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(String::from_utf8(page)?)
}
