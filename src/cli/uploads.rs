//! `pelago uploads`: lists what the running node sends to peers.

use super::{attach, context::Context, output::Exit, signals::Signals, uploads_view};

/// How to list uploads.
#[derive(Debug, clap::Args)]
pub(super) struct UploadsArgs {
    /// Show uploads as they change, until Ctrl-C; as lines without a terminal or with --json
    #[arg(short, long)]
    watch: bool,
}

pub(super) async fn run(context: &Context, args: &UploadsArgs) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    if args.watch {
        let mut signals = Signals::listen()?;
        uploads_view::watch(context, &client, &mut signals).await?;
        return Ok(Exit::Done);
    }
    let uploads = client.uploads().await?;
    if uploads.is_empty() {
        context
            .output
            .note("no peer has taken anything from this node yet");
    }
    uploads_view::print(&context.output, &uploads)?;
    Ok(Exit::Done)
}
