//! `pelago remove`: removes ended downloads from the list.

use super::{
    attach,
    context::Context,
    output::Exit,
    selection::{self, WhichArgs},
};
use crate::api::types::DownloadStatus;

/// Which downloads to remove.
#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    which: WhichArgs,

    /// Also remove the downloaded files, and stop sharing them
    #[arg(long, conflicts_with = "all")]
    with_data: bool,
}

pub(super) async fn run(context: &Context, args: &RemoveArgs) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    let done = if args.with_data {
        "removed"
    } else {
        "no longer listed"
    };
    if args.which.all {
        let is_meant = |download: &DownloadStatus| download.state == "done";
        let remove = async |what: &str| client.remove(what, false).await;
        return selection::all(context, &client, done, is_meant, remove).await;
    }
    let remove = async |what: &str| {
        let removal = client.remove(what, args.with_data);
        selection::removed(context, &client, what, removal).await
    };
    selection::each(context, &args.which.what, done, remove).await
}
