//! `pelago pause`, `resume`, `cancel`, `remove` and `move`: what people do with the running node's
//! downloads.

use super::{
    attach, batch::Batch, context::Context, downloads::describe, output::Exit, text::harmless,
};
use crate::api::{
    CallError, Client,
    types::{DownloadStatus, Place},
};

/// Which downloads to pause, or to go on with.
#[derive(Debug, clap::Args)]
pub(super) struct PauseArgs {
    /// A hash, at least 6 of its first digits, or a name
    #[arg(value_name = "HASH|NAME", required_unless_present = "all")]
    what: Vec<String>,

    /// All of them
    #[arg(long, conflicts_with = "what")]
    all: bool,
}

/// Which downloads to give up.
#[derive(Debug, clap::Args)]
pub(super) struct CancelArgs {
    /// A hash, at least 6 of its first digits, or a name
    #[arg(value_name = "HASH|NAME", required = true)]
    what: Vec<String>,
}

/// Which downloads to take off the list.
#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    /// A hash, at least 6 of its first digits, or a name
    #[arg(value_name = "HASH|NAME", required = true)]
    what: Vec<String>,

    /// Remove what was downloaded, too, and share it no more
    #[arg(long)]
    with_data: bool,
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
    if args.all {
        return all(context, "paused", &client.pause_all().await?);
    }
    each(context, &args.what, "paused", async |what| {
        client.pause(what).await
    })
    .await
}

pub(super) async fn resume(context: &Context, args: &PauseArgs) -> anyhow::Result<Exit> {
    let client = attach::required(context).await?;
    if args.all {
        return all(context, "goes on", &client.resume_all().await?);
    }
    each(context, &args.what, "goes on", async |what| {
        client.resume(what).await
    })
    .await
}

pub(super) async fn cancel(context: &Context, args: &CancelArgs) -> anyhow::Result<Exit> {
    let client = attach::required(context).await?;
    each(context, &args.what, "cancelled", async |what| {
        client.cancel(what).await
    })
    .await
}

pub(super) async fn remove(context: &Context, args: &RemoveArgs) -> anyhow::Result<Exit> {
    let client: Client = attach::required(context).await?;
    let done = if args.with_data {
        "removed"
    } else {
        "no longer listed"
    };
    let remove = async |what: &str| client.remove(what, args.with_data).await;
    each(context, &args.what, done, remove).await
}

pub(super) async fn put(context: &Context, args: &MoveArgs) -> anyhow::Result<Exit> {
    let client = attach::required(context).await?;
    let downloads = client.put(&args.what, args.place.place()).await?;
    context.output.result(&downloads, || describe(&downloads))?;
    Ok(Exit::Done)
}

/// Does the same to one after another.
async fn each(
    context: &Context,
    what: &[String],
    done: &str,
    change: impl AsyncFn(&str) -> Result<DownloadStatus, CallError>,
) -> anyhow::Result<Exit> {
    let mut batch = Batch::new(&context.output);
    for what in what {
        let changed = change(what).await.map_err(Into::into);
        batch.add(what, changed, |download| line(done, download))?;
    }
    batch.finish()
}

fn all(context: &Context, done: &str, downloads: &[DownloadStatus]) -> anyhow::Result<Exit> {
    if downloads.is_empty() {
        context.output.note("there was nothing to do");
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
