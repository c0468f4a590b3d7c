//! `pelago pause`, `resume`, `cancel`, `remove` and `move`: what people do with the running node's
//! downloads.

use super::{
    attach, context::Context, downloads, outcomes::Outcomes, output::Exit, text::harmless,
};
use crate::api::{
    CallError, Client,
    types::{DownloadStatus, Place},
};

/// Which downloads to pause, or to go on with.
#[derive(Debug, clap::Args)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    which: WhichArgs,
}

/// Which downloads to give up.
#[derive(Debug, clap::Args)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    which: WhichArgs,
}

/// Which downloads to take off the list.
#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    which: WhichArgs,

    /// Remove what was downloaded, too, and share it no more
    #[arg(long, conflicts_with = "all")]
    with_data: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct WhichArgs {
    /// A hash, at least 6 of its first digits, or a name
    #[arg(value_name = "HASH|NAME")]
    what: Vec<String>,

    /// All; which, each verb says
    #[arg(long, conflicts_with = "what")]
    all: bool,
}

/// Which download to put where.
#[derive(Debug, clap::Args)]
pub(super) struct MoveArgs {
    /// A hash, at least 6 of its first digits, or a name
    #[arg(value_name = "HASH|NAME")]
    what: String,

    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct PlaceArgs {
    /// Before all others
    #[arg(long)]
    first: bool,

    /// After all others
    #[arg(long)]
    last: bool,

    /// Just before this one
    #[arg(long, value_name = "HASH|NAME")]
    before: Option<String>,
}

impl PlaceArgs {
    fn place(&self) -> Place {
        match &self.before {
            Some(other) => Place::Before(other.clone()),
            None if self.first => Place::First,
            None => Place::Last,
        }
    }
}

pub(super) async fn pause(context: &Context, args: &PauseArgs) -> anyhow::Result<Exit> {
    let client = attach::required(context).await?;
    if args.which.all {
        return report(context, "paused", &client.pause_all().await?);
    }
    each(context, &args.which.what, "paused", async |what| {
        client.pause(what).await
    })
    .await
}

pub(super) async fn resume(context: &Context, args: &PauseArgs) -> anyhow::Result<Exit> {
    let client = attach::required(context).await?;
    if args.which.all {
        return report(context, "goes on", &client.resume_all().await?);
    }
    each(context, &args.which.what, "goes on", async |what| {
        client.resume(what).await
    })
    .await
}

pub(super) async fn cancel(context: &Context, args: &CancelArgs) -> anyhow::Result<Exit> {
    let client = attach::required(context).await?;
    let cancel = async |what: &str| client.cancel(what).await;
    if args.which.all {
        let is_meant = |download: &DownloadStatus| download.state != "done";
        return all(context, &client, "cancelled", is_meant, cancel).await;
    }
    each(context, &args.which.what, "cancelled", cancel).await
}

pub(super) async fn remove(context: &Context, args: &RemoveArgs) -> anyhow::Result<Exit> {
    let client = attach::required(context).await?;
    let done = if args.with_data {
        "removed"
    } else {
        "no longer listed"
    };
    let remove = async |what: &str| client.remove(what, args.with_data).await;
    if args.which.all {
        let is_meant = |download: &DownloadStatus| download.state == "done";
        return all(context, &client, done, is_meant, remove).await;
    }
    each(context, &args.which.what, done, remove).await
}

pub(super) async fn put(context: &Context, args: &MoveArgs) -> anyhow::Result<Exit> {
    let client = attach::required(context).await?;
    let downloads = client.put(&args.what, args.place.place()).await?;
    downloads::print(&context.output, &downloads)?;
    Ok(Exit::Done)
}

/// Does the same to one after another.
async fn each(
    context: &Context,
    what: &[String],
    done: &str,
    change: impl AsyncFn(&str) -> Result<DownloadStatus, CallError>,
) -> anyhow::Result<Exit> {
    let mut outcomes = Outcomes::new(&context.output);
    for what in what {
        let changed = change(what)
            .await
            .inspect(|download| tell(context, download));
        let changed = changed.map_err(Into::into);
        outcomes.add(what, changed, |download| line(done, download))?;
    }
    outcomes.finish()
}

/// Does the same to all that are meant; those that ended or went meanwhile are not.
async fn all(
    context: &Context,
    client: &Client,
    done: &str,
    is_meant: impl Fn(&DownloadStatus) -> bool,
    change: impl AsyncFn(&str) -> Result<DownloadStatus, CallError>,
) -> anyhow::Result<Exit> {
    let listed = client.downloads().await?;
    let mut outcomes = Outcomes::new(&context.output);
    for download in listed.iter().filter(|download| is_meant(download)) {
        let changed = change(&download.hash).await;
        match changed.inspect(|download| tell(context, download)) {
            Err(CallError::Refused(error)) if PAST.contains(&error.code.as_str()) => {}
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

/// Passes on what the node has to say of a change.
fn tell(context: &Context, download: &DownloadStatus) {
    if let Some(notice) = &download.notice {
        context.output.note(harmless(notice));
    }
}

/// Why something is not done to one of all: it ended or went just before.
const PAST: [&str; 2] = ["download-ended", "not-downloading"];

const NOTHING_TO_DO: &str = "there was nothing to do";

/// Says what was done to all.
fn report(context: &Context, done: &str, downloads: &[DownloadStatus]) -> anyhow::Result<Exit> {
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
    format!("{done}: {}  {}", download.hash, harmless(&download.name))
}
