//! `pelago unshare`: stops sharing.

use super::{
    attach::{self, Found},
    context::Context,
    open,
    output::Exit,
    text::harmless,
};
use crate::api::types::Shared;

/// What to stop sharing.
#[derive(Debug, clap::Args)]
pub(super) struct UnshareArgs {
    /// Its hash, at least 6 of the first digits, or its name
    #[arg(value_name = "HASH|NAME")]
    what: String,
}

pub(super) async fn run(context: &Context, args: &UnshareArgs) -> anyhow::Result<Exit> {
    let unshared = match attach::find(&context.data_folder).await? {
        Found::Running(client) => client.unshare(&args.what).await?,
        Found::Free(folder) => open::unshare(&folder, &args.what)?,
    };
    let unshared: Vec<_> = unshared.into_iter().map(Shared::without_path).collect();
    let line = |shared: &Shared| {
        format!(
            "no longer shared: {}  {}\n",
            shared.hash,
            harmless(&shared.name)
        )
    };
    let text = || unshared.iter().map(line).collect::<String>();
    context.output.result(&unshared, text)?;
    Ok(Exit::Done)
}
