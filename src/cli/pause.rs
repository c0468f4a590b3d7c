//! `pelago pause`: pauses downloads of the running node.

use super::{
    attach,
    context::Context,
    output::Exit,
    selection::{self, WhichArgs},
};

/// Which downloads to pause.
#[derive(Debug, clap::Args)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    which: WhichArgs,
}

pub(super) async fn run(context: &Context, args: &PauseArgs) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    if args.which.all {
        return selection::report(context, "paused", &client.pause_all().await?);
    }
    selection::each(context, &args.which.what, "paused", async |what| {
        client.pause(what).await
    })
    .await
}
