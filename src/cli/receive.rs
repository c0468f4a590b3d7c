//! `pelago receive`: receives files from people without Pelago, by their browsers.

use std::path::{Path, PathBuf};

use tokio::time::sleep;

use super::{
    attach::NodeHandle,
    context::Context,
    headings::SHARING,
    output::Exit,
    paths,
    signals::Signals,
    text::{bytes, escape},
    value_parsers::{lifetime, size},
    web_link,
};
use crate::api::{
    CallError,
    types::{WebLink, WebLinkRequest},
};

/// The folder for files of others, in the current folder.
const FOLDER: &str = "received";

/// Time between two looks at what has arrived.
const INTERVAL: std::time::Duration = std::time::Duration::from_millis(500);

/// What to receive, and for how long.
#[derive(Debug, clap::Args)]
pub(super) struct ReceiveArgs {
    /// Receive by a web page: prints its address, which a friend opens in a browser on the same network
    #[arg(long, required = true, help_heading = SHARING)]
    web: bool,

    /// Folder for the files, which must not be shared [default: ./received]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,

    /// How long to receive, such as 30m, 2h or 1d [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = lifetime, help_heading = SHARING)]
    lasts: Option<u64>,

    /// Size of all files together, at most, such as 500MB or 20GB [default: 10GB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,

    /// How many files, at most: 1 to 1000 [default: 100]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=1000))]
    max_files: Option<u64>,

    /// Draw the address as a QR code, too
    #[arg(long)]
    qr: bool,
}

/// Receives until a signal arrives or the time is over. The node of another process continues, but
/// the link ends with this command.
pub(super) async fn run(context: &Context, args: &ReceiveArgs) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    let node = NodeHandle::open(context).await?;
    let received = receive(context, args, &node, &mut signals).await;
    node.stop(signals).await;
    received
}

async fn receive(
    context: &Context,
    args: &ReceiveArgs,
    node: &NodeHandle,
    signals: &mut Signals,
) -> anyhow::Result<Exit> {
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => FOLDER.into(),
    };
    let request = WebLinkRequest::Receive {
        folder: paths::absolute(&folder)?,
        for_seconds: args.lasts,
        max_bytes: args.max_size,
        max_files: args.max_files,
    };
    let link = node.client.add_web_link(&request).await?;
    let output = &context.output;
    if args.qr {
        web_link::draw(output, &link)?;
    }
    let shown = link.folder.as_deref().unwrap_or_default();
    output.result(&link, || {
        let (shown, lines) = (escape(shown), web_link::lines(&link));
        format!("receiving into {shown}{lines}")
    })?;
    let does = format!(
        "send {} files of {} together into this folder",
        link.files_left.unwrap_or_default(),
        bytes(link.bytes_left.unwrap_or_default())
    );
    output.note(web_link::exposure(&link, &does, "until Ctrl-C"));
    let mut seen = 0;
    loop {
        let links = tokio::select! {
            links = node.client.web_links() => links?,
            () = signals.next() => break,
        };
        let Some(now) = links.into_iter().find(|now| now.id == link.id) else {
            output.note("the time is over: nothing is received any more");
            return Ok(Exit::Done);
        };
        show_new(context, &now, &mut seen)?;
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = signals.next() => break,
        }
    }
    match node.client.remove_web_link(&link.id).await {
        Ok(last) => show_new(context, &last, &mut seen)?,
        // It has ended meanwhile.
        Err(CallError::Refused(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Done)
}

/// Prints the files that have arrived since the last look.
fn show_new(context: &Context, link: &WebLink, seen: &mut usize) -> anyhow::Result<()> {
    for file in link.received.iter().skip(*seen) {
        let name = Path::new(&file.path).file_name().unwrap_or_default();
        let (name, size) = (escape(&name.to_string_lossy()), bytes(file.size));
        context
            .output
            .result(file, || format!("received {name} ({size})"))?;
    }
    *seen = link.received.len();
    Ok(())
}
