//! `pelago resume`: resumes downloads that were paused or have failed.

use std::path::PathBuf;

use super::{
    attach,
    context::Context,
    output::Exit,
    paths,
    selection::{self, WhichArgs},
};
use crate::api::types::{ErrorInfo, ResumeQuery};

/// Which downloads to resume.
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    which: WhichArgs,

    /// Move the download to this path; if that is an existing folder, inside it. Its verified data
    /// moves with it; to another disk, it is fetched again
    #[arg(short, long, value_name = "PATH", conflicts_with = "all")]
    output: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, args: &ResumeArgs) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    if args.which.all {
        return selection::report(context, "resumed", &client.resume_all().await?);
    }
    let output = args.output.as_deref().map(paths::absolute).transpose()?;
    if output.is_some() && args.which.what.len() > 1 {
        let message = "several downloads cannot have one path: give one download with -o";
        return Err(ErrorInfo::new("usage", message).into());
    }
    let query = ResumeQuery {
        output,
        beside: false,
    };
    selection::each(
        context,
        &args.which.what,
        "resumed",
        async |what| match query.output {
            Some(_) => client.resume_at(what, &query).await,
            None => client.resume(what).await,
        },
    )
    .await
}
