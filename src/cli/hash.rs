//! `pelago hash`: prints the hashes of files and folders, without a node.

use std::path::{Path, PathBuf};

use super::{
    context::Context, headings::FOLDERS, local, outcomes::Outcomes, output::Exit,
    progress::hashing, text::escape,
};
use crate::api::types::Hashed;

/// What to hash.
#[derive(Debug, clap::Args)]
pub(super) struct HashArgs {
    /// Files and folders to hash
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Leave out entries of a folder that cannot be shared: unreadable ones, and names that are not
    /// UTF-8
    #[arg(long, help_heading = FOLDERS)]
    skip_unsupported: bool,
}

pub(super) fn run(context: &Context, args: &HashArgs) -> anyhow::Result<Exit> {
    let mut outcomes = Outcomes::new(&context.output);
    for path in &args.paths {
        let result = hash(context, path, args.skip_unsupported);
        let notes = result.as_ref().map_or(&[][..], |hashed| &hashed.notes);
        notes.iter().for_each(|note| context.output.note(note));
        let name = path.to_string_lossy();
        outcomes.add(&name, result, |hashed| {
            format!("{}  {}", hashed.hash, escape(&name))
        })?;
    }
    outcomes.finish()
}

fn hash(context: &Context, path: &Path, skip_unsupported: bool) -> anyhow::Result<Hashed> {
    let progress = hashing(&context.output, path);
    local::hash(&context.data_folder, path, skip_unsupported, &progress)
}
