//! `pelago ui`: the running node's page.

use serde::Serialize;

use super::{attach, context::Context, output::Exit};
use crate::api::types::ErrorInfo;

/// How to show the page.
#[derive(Debug, clap::Args)]
pub(super) struct UiArgs {
    /// Print the URL only; it is good for a minute, and once
    #[arg(long)]
    no_open: bool,
}

#[derive(Serialize)]
struct Page<'a> {
    url: &'a str,
}

pub(super) async fn run(context: &Context, args: &UiArgs) -> anyhow::Result<Exit> {
    let url = attach::required(context).await?.page_url().await?;
    let url = url.ok_or_else(|| ErrorInfo::new("no-page", "this node has no page"))?;
    context.output.result(&Page { url: &url }, || &url)?;
    if !args.no_open
        && let Err(error) = open::that_detached(&url)
    {
        let text = format_args!("no browser was opened ({error}): open that URL in one");
        context.output.note(text);
    }
    Ok(Exit::Done)
}
