//! `pelago ui`: opens the page of the running node.

use std::{io, path::Path};

use anyhow::Context as _;
use serde::Serialize;

use super::{attach, context::Context, output::Exit};
use crate::api::{Client, types::ErrorInfo};

/// How to open the page.
#[derive(Debug, clap::Args)]
pub(super) struct UiArgs {
    /// Only print the URL, which is valid once and for a minute. Paste it into a browser that runs in
    /// a sandbox (snap, flatpak), which cannot read the file that opens the page
    #[arg(long)]
    no_open: bool,
}

#[derive(Serialize)]
struct Page<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    elsewhere: &'a [String],
}

pub(super) async fn run(context: &Context, args: &UiArgs) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    let page = client.page(!args.no_open).await?;
    let page = page.ok_or_else(|| ErrorInfo::new("no-page", "this node has no page"))?;
    let (url, elsewhere) = (page.url.as_str(), page.elsewhere.as_slice());
    let text = || {
        [std::slice::from_ref(&page.url), elsewhere]
            .concat()
            .join("\n")
    };
    context.output.result(&Page { url, elsewhere }, text)?;
    if !args.no_open
        && let Err(error) = open_file(page.file.as_deref())
    {
        let text = format_args!("no browser could be opened ({error}): open the URL in a browser");
        context.output.note(text);
    }
    Ok(Exit::Done)
}

/// Opens the page in a browser.
///
/// # Errors
///
/// The node has no page, or no browser can be opened.
pub(super) async fn open_page(client: &Client) -> anyhow::Result<()> {
    let page = client.page(true).await?.context("this node has no page")?;
    Ok(open_file(page.file.as_deref())?)
}

/// Opens a file that leads to the URL in the browser. The URL itself is not passed, as all users of
/// the machine can read the arguments of a process.
fn open_file(file: Option<&Path>) -> io::Result<()> {
    let file = file.ok_or_else(|| io::Error::other("the node has no folder for the file"))?;
    open::that_detached(file)
}
