//! The downloads that a command changes, and the same change to each of them.

use std::{pin::pin, time::Duration};

use futures::{StreamExt, stream};
use tokio::time::sleep;

use super::{
    context::Context, download::step, outcomes::Outcomes, output::Exit, progress::Progress,
    text::escape,
};
use crate::api::{CallError, Client, types::DownloadStatus};

/// Time between two looks at how far a removal is.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How many downloads are changed at a time. The node saves the changes that come together in one
/// write.
const CHANGED_AT_A_TIME: usize = 64;

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(super) struct WhichArgs {
    /// A hash, at least 6 of its first digits, or a name
    #[arg(value_name = "HASH|NAME")]
    pub(super) what: Vec<String>,

    /// All downloads to which the command applies
    #[arg(long, conflicts_with = "what")]
    pub(super) all: bool,
}

/// Applies `change` to one download after another.
pub(super) async fn each(
    context: &Context,
    what: &[String],
    done: &str,
    change: impl AsyncFn(&str) -> Result<DownloadStatus, CallError>,
) -> anyhow::Result<Exit> {
    let mut outcomes = Outcomes::new(&context.output);
    for what in what {
        let changed = change(what)
            .await
            .inspect(|download| print_notice(context, download));
        let changed = changed.map_err(Into::into);
        outcomes.add(what, changed, |download| line(done, download))?;
    }
    outcomes.finish()
}

/// Applies `change` to all downloads for which `is_meant` holds, except those that ended or were
/// removed in the meantime.
pub(super) async fn all(
    context: &Context,
    client: &Client,
    done: &str,
    is_meant: impl Fn(&DownloadStatus) -> bool,
    change: impl AsyncFn(&str) -> Result<DownloadStatus, CallError>,
) -> anyhow::Result<Exit> {
    let listed = client.downloads().await?;
    let mut outcomes = Outcomes::new(&context.output);
    let meant = listed.iter().filter(|download| is_meant(download));
    let changes = meant.map(|download| {
        let changed = change(&download.hash);
        async move { (download, changed.await) }
    });
    let mut changes = pin!(stream::iter(changes).buffered(CHANGED_AT_A_TIME));
    while let Some((download, changed)) = changes.next().await {
        match changed.inspect(|download| print_notice(context, download)) {
            Err(CallError::Refused(error)) if ENDED.contains(&error.code.as_str()) => {}
            changed => outcomes.add(&download.hash, changed.map_err(Into::into), |download| {
                line(done, download)
            })?,
        }
    }
    if outcomes.is_empty() {
        context.output.note(NOTHING_TO_DO);
    }
    outcomes.finish_list()
}

/// Waits for the removal of a download with its data, and shows how far it is. The node completes
/// it even if this command ends before.
pub(super) async fn removed(
    context: &Context,
    client: &Client,
    what: &str,
    removal: impl Future<Output = Result<DownloadStatus, CallError>>,
) -> Result<DownloadStatus, CallError> {
    let mut removal = pin!(removal);
    let mut progress = Progress::new(&context.output);
    loop {
        tokio::select! {
            removed = &mut removal => return removed,
            () = sleep(LOOK_INTERVAL) => {}
        }
        tokio::select! {
            removed = &mut removal => return removed,
            status = client.download_status(what) => {
                if let Ok(status) = status && status.state == "removing" {
                    progress.show(&step(&status));
                }
            }
        }
    }
}

/// Prints the notice of the node about a change.
fn print_notice(context: &Context, download: &DownloadStatus) {
    if let Some(notice) = &download.notice {
        context.output.note(escape(notice));
    }
}

/// Error codes of downloads that ended or were removed before their turn.
const ENDED: [&str; 2] = ["download-ended", "not-downloading"];

const NOTHING_TO_DO: &str = "there was nothing to do";

/// Prints the downloads that were changed.
pub(super) fn report(
    context: &Context,
    done: &str,
    downloads: &[DownloadStatus],
) -> anyhow::Result<Exit> {
    if downloads.is_empty() {
        context.output.note(NOTHING_TO_DO);
    }
    let lines = || downloads.iter().map(|download| line(done, download) + "\n");
    context
        .output
        .result(downloads, || lines().collect::<String>())?;
    Ok(Exit::Done)
}

fn line(done: &str, download: &DownloadStatus) -> String {
    format!("{done}: {}  {}", download.hash, escape(&download.name))
}
