//! `pelago user passphrase`: changes the passphrase of the user.

use std::path::PathBuf;

use super::{report::report, target::Target};
use crate::{
    api::types::PassphraseChange,
    cli::{
        context::Context,
        output::Exit,
        passphrase::{self, NewPassphrase},
    },
};

/// The new passphrase. Files that were exported before keep the old one.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PassphraseArgs {
    /// Read the passphrase so far from a file, instead of the terminal or the first line of stdin
    #[arg(long, value_name = "FILE")]
    current_file: Option<PathBuf>,

    #[command(flatten)]
    new: NewPassphrase,
}

pub(super) async fn run(context: &Context, args: &PassphraseArgs) -> anyhow::Result<Exit> {
    let target = Target::open(context).await?;
    let now = target.status().await?;
    let current = match now.user {
        Some(user) if user.has_passphrase => {
            let file = args.current_file.as_deref();
            Some(passphrase::current(file, "passphrase so far: ").await?)
        }
        _ => None,
    };
    let new = args.new.ask().await?;
    let change = PassphraseChange {
        current: current.map(|text| text.to_string()),
        new: new.map(|text| text.to_string()),
    };
    target.client.change_passphrase(&change).await?;
    report(context, &target.status().await?)
}
