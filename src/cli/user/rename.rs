//! `pelago user rename`: changes the name of the user.

use super::{report::report, target::Target};
use crate::cli::{context::Context, output::Exit};

/// The new name. Members of groups see it once their nodes meet this one.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RenameArgs {
    /// The new name
    #[arg(value_name = "USER_NAME")]
    name: String,
}

pub(super) async fn run(context: &Context, args: &RenameArgs) -> anyhow::Result<Exit> {
    let target = Target::open(context).await?;
    target.client.rename_user(&args.name).await?;
    report(context, &target.status().await?)
}
