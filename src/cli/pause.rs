//! `pelago pause`: pauses downloads of the running node.

use super::{
    attach,
    context::Context,
    output::Exit,
    selection::{self, WhichArgs},
    value_parsers::lifetime,
};
use crate::api::types::PauseQuery;

/// Which downloads to pause.
#[derive(Debug, clap::Args)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    which: WhichArgs,

    /// Resume them by themselves after this time, such as 30m, 2h or 1d
    #[arg(long = "for", value_name = "TIME", value_parser = lifetime)]
    time: Option<u64>,
}

pub(super) async fn run(context: &Context, args: &PauseArgs) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    let query = PauseQuery {
        for_seconds: args.time.map(|seconds| seconds as f64),
    };
    if args.which.all {
        return selection::report(context, "paused", &client.pause_all_for(&query).await?);
    }
    selection::each(context, &args.which.what, "paused", async |what| {
        client.pause_for(what, &query).await
    })
    .await
}
