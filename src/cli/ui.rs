//! `pelago ui`: the running node's page.

use std::{io, path::Path};

use serde::Serialize;

use super::{attach, context::Context, output::Exit};
use crate::api::types::ErrorInfo;

/// How to show the page.
#[derive(Debug, clap::Args)]
pub(super) struct UiArgs {
    /// Print the URL only; it is good for a minute, and once. A browser in a sandbox (snap, flatpak) cannot
    /// read the file that would open it: paste the URL there
    #[arg(long)]
    no_open: bool,
}

#[derive(Serialize)]
struct Page<'a> {
    url: &'a str,
}

pub(super) async fn run(context: &Context, args: &UiArgs) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    let page = client.page(!args.no_open).await?;
    let page = page.ok_or_else(|| ErrorInfo::new("no-page", "this node has no page"))?;
    let url = page.url.as_str();
    context.output.result(&Page { url }, || url)?;
    if !args.no_open
        && let Err(error) = open_file(page.file.as_deref())
    {
        let text = format_args!("no browser was opened ({error}): open that URL in one");
        context.output.note(text);
    }
    Ok(Exit::Done)
}

/// Has the browser open a file that leads to the URL: what programs are started with, everyone on this
/// machine can see.
fn open_file(file: Option<&Path>) -> io::Result<()> {
    let file = file.ok_or_else(|| io::Error::other("the node has no folder for the file"))?;
    open::that_detached(file)
}
