//! `pelago user export`: writes the sealed keys to a file.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Serialize;

use crate::{
    api::types::ErrorInfo,
    cli::{context::Context, output::Exit, text::quoted},
    node::UserFileError,
    store::{UserFile, durable},
};

/// Where to write the keys. The passphrase of the user opens them.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExportArgs {
    /// The new file, which only its owner can read
    file: PathBuf,
}

#[derive(Serialize)]
struct Exported<'a> {
    file: &'a Path,
}

/// The file is sealed, so that no node has to be asked.
pub(super) fn run(context: &Context, args: &ExportArgs) -> anyhow::Result<Exit> {
    let user = UserFile::in_folder(&context.data_folder);
    let sealed = user
        .read()
        .and_then(|sealed| sealed.ok_or(UserFileError::NoUser));
    let sealed = sealed.map_err(ErrorInfo::from)?;
    let bytes = user.export().map_err(ErrorInfo::from)?;
    write(&args.file, &bytes)
        .with_context(|| format!("the keys cannot be written to {}", args.file.display()))?;
    let file = args.file.as_path();
    context
        .output
        .result(&Exported { file }, || file.display().to_string())?;
    if !sealed.has_passphrase() {
        let command = context.command("user passphrase");
        context.output.note(format_args!(
            "this user has no passphrase: everyone who reads {} can act as {}; seal the keys with \
             `{command}`, and export them again",
            quoted(&file.to_string_lossy()),
            sealed.name()
        ));
    }
    Ok(Exit::Done)
}

/// Writes a new file durably. An existing one may be the only copy of other keys.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = durable::private().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    durable::sync_folder_of(path)
}
