//! `pelago user import`: makes an exported user the user of this node.

use std::{fs::File, io::Read as _, path::PathBuf};

use anyhow::Context as _;

use super::{report::report, target::Target};
use crate::{
    api::types::{ErrorInfo, UserState},
    cli::{context::Context, output::Exit, passphrase},
    store::SealedUser,
};

/// Bytes that are read of the file, more than any exported user has.
const MAX_LEN: u64 = 16 * 1024;

/// The exported user. A running node restarts under its key, logged in. Import a user in one place:
/// two nodes with one key keep each other from being reached.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ImportArgs {
    /// The file that `pelago user export` wrote
    file: PathBuf,

    /// Read the passphrase from a file, instead of the terminal or the first line of stdin
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, args: &ImportArgs) -> anyhow::Result<Exit> {
    let mut bytes = Vec::new();
    let read = File::open(&args.file).and_then(|file| file.take(MAX_LEN).read_to_end(&mut bytes));
    read.with_context(|| format!("{} cannot be read", args.file.display()))?;
    let sealed = SealedUser::exported(&bytes).map_err(ErrorInfo::from)?;
    let passphrase = match sealed.has_passphrase() {
        true => {
            let file = args.passphrase_file.as_deref();
            Some(passphrase::current(file, "passphrase: ").await?.to_string())
        }
        false => None,
    };
    let target = Target::open(context).await?;
    target.client.import_user(&bytes, passphrase).await?;
    report(context, &target.status_once(UserState::Unlocked).await?)
}
