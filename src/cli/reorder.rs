//! `pelago move`: changes the order of queued downloads.

use super::{attach, context::Context, downloads_table, output::Exit};
use crate::api::types::QueuePosition;

/// Which download to move, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct MoveArgs {
    /// A hash, at least 6 of its first digits, or a name
    #[arg(value_name = "HASH|NAME")]
    what: String,

    #[command(flatten)]
    position: PositionArgs,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct PositionArgs {
    /// Before all other downloads
    #[arg(long)]
    first: bool,

    /// After all other downloads
    #[arg(long)]
    last: bool,

    /// Directly before this download
    #[arg(long, value_name = "HASH|NAME")]
    before: Option<String>,
}

impl PositionArgs {
    fn position(&self) -> QueuePosition {
        match &self.before {
            Some(other) => QueuePosition::Before(other.clone()),
            None if self.first => QueuePosition::First,
            None => QueuePosition::Last,
        }
    }
}

pub(super) async fn run(context: &Context, args: &MoveArgs) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    let downloads = client.reorder(&args.what, args.position.position()).await?;
    downloads_table::print(&context.output, &downloads)?;
    Ok(Exit::Done)
}
