//! `pelago resume`: resumes downloads that were paused or have failed.

use super::{
    attach,
    context::Context,
    output::Exit,
    selection::{self, WhichArgs},
};

/// Which downloads to resume.
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    which: WhichArgs,
}

pub(super) async fn run(context: &Context, args: &ResumeArgs) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    if args.which.all {
        return selection::report(context, "resumed", &client.resume_all().await?);
    }
    selection::each(context, &args.which.what, "resumed", async |what| {
        client.resume(what).await
    })
    .await
}
