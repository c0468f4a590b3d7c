//! `pelago downloads`: the downloads that the running node knows, in the order of their turns.

use super::{attach, context::Context, downloads_table, output::Exit, watch};

/// How to list them.
#[derive(Debug, clap::Args)]
pub(super) struct DownloadsArgs {
    /// Show them as they change, until Ctrl-C; without a terminal, or with --json, as lines
    #[arg(short, long)]
    watch: bool,
}

pub(super) async fn run(context: &Context, args: &DownloadsArgs) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    if args.watch {
        return watch::run(context, &client).await;
    }
    let downloads = client.downloads().await?;
    if downloads.is_empty() {
        context.output.note("the node downloads nothing");
    }
    downloads_table::print(&context.output, &downloads)?;
    Ok(Exit::Done)
}
