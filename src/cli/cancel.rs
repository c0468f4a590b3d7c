//! `pelago cancel`: stops downloads and removes their data.

use super::{
    attach,
    context::Context,
    output::Exit,
    selection::{self, WhichArgs},
};
use crate::api::types::DownloadStatus;

/// Which downloads to cancel.
#[derive(Debug, clap::Args)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    which: WhichArgs,
}

pub(super) async fn run(context: &Context, args: &CancelArgs) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    if args.which.all {
        let is_meant = |download: &DownloadStatus| download.state != "done";
        // Many at a time: `pelago downloads` shows how far the removal of each is.
        let cancel = async |what: &str| client.cancel(what).await;
        return selection::all(context, &client, "cancelled", is_meant, cancel).await;
    }
    let cancel =
        async |what: &str| selection::removed(context, &client, what, client.cancel(what)).await;
    selection::each(context, &args.which.what, "cancelled", cancel).await
}
