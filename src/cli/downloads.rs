//! `pelago downloads`: lists the downloads of the running node, in their order.

use super::{attach, context::Context, downloads_table, output::Exit, watch};

/// How to list downloads.
#[derive(Debug, clap::Args)]
pub(super) struct DownloadsArgs {
    /// Show downloads as they change, until Ctrl-C; as lines without a terminal or with --json
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
        context.output.note("there are no downloads");
    }
    downloads_table::print(&context.output, &downloads)?;
    Ok(Exit::Done)
}
