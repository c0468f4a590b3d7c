//! `pelago link`: prints the links of shared content.

use std::io::{self, IsTerminal};

use super::{
    attach::{self, NodeState},
    context::Context,
    headings::SHARING,
    local,
    output::{Exit, Printer},
    qr,
};
use crate::{
    api::{QrCode, types::Shared},
    content::Link,
};

/// Which links to print.
#[derive(Debug, clap::Args)]
pub(super) struct LinkArgs {
    /// A hash, at least 6 of its first digits, or a name [default: all shares]
    #[arg(value_name = "HASH|NAME")]
    what: Option<String>,

    /// Print the links of what is shared with this group, for its members
    #[arg(long, value_name = "GROUP", conflicts_with = "http", help_heading = SHARING)]
    group: Option<String>,

    /// Draw each link as a QR code, too
    #[arg(long)]
    qr: bool,

    /// Print the URL at which browsers and players on this machine can read the content while the
    /// node runs, and those for other machines if the gateway listens beyond loopback; also for a hash
    /// or link of content that is not here
    #[arg(long, requires = "what")]
    http: bool,
}

pub(super) async fn run(context: &Context, args: &LinkArgs) -> anyhow::Result<Exit> {
    let (output, what) = (&context.output, args.what.as_deref());
    if let Some(what) = what.filter(|_| args.http) {
        let gateway = attach::require_running(context)
            .await?
            .gateway(what)
            .await?;
        gateway.notes.iter().for_each(|note| output.note(note));
        let elsewhere = &gateway.urls_elsewhere;
        if args.qr {
            // A camera belongs to another device.
            let url = elsewhere.first().unwrap_or(&gateway.url);
            print_code(output, &QrCode::of_text(url)?)?;
        }
        let urls = || {
            let all = [&gateway.url].into_iter().chain(elsewhere);
            all.map(String::as_str).collect::<Vec<_>>().join("\n")
        };
        output.result(&gateway, urls)?;
        if !elsewhere.is_empty() {
            output.note(
                "the gateway listens beyond this machine: everyone who learns one of these URLs can \
                 read the content, unencrypted",
            );
        }
        return Ok(Exit::Done);
    }
    let group = args.group.as_deref();
    let node = match &group {
        // Only a node knows the groups of its user.
        Some(_) => NodeState::Running(attach::require_running(context).await?),
        None => attach::find_or_lock(&context.data_folder).await?,
    };
    let links = match node {
        NodeState::Running(client) => client.links(what, group).await?,
        NodeState::Absent(folder) => {
            let links = local::links(&folder, what)?;
            output.note(format_args!(
                "no node is running: the link does not contain the address of this node (`{}` \
                 first, or the receiver needs --bootstrap)",
                context.command("start")
            ));
            links
        }
    };
    if links.is_empty() {
        output.note(format_args!(
            "nothing is shared: share something with `{}`",
            context.command("share PATH")
        ));
    }
    for shared in &links {
        if args.qr {
            draw(output, shared)?;
        }
        output.text(&shared.link)?;
    }
    if output.json {
        let links: Vec<_> = links.into_iter().map(Shared::without_path).collect();
        output.result(&links, String::new)?;
    }
    Ok(Exit::Done)
}

/// Draws the link of `shared` as a QR code, for people.
pub(super) fn draw(output: &Printer, shared: &Shared) -> anyhow::Result<()> {
    if output.json {
        return Ok(());
    }
    let code = QrCode::of(&shared.link.parse::<Link>()?)?;
    print_code(output, &code)?;
    if code.left_out > 0 {
        output.note(format_args!(
            "{} of the addresses in the link did not fit into the QR code",
            code.left_out
        ));
    }
    Ok(())
}

/// Draws a QR code, for people.
pub(super) fn print_code(output: &Printer, code: &QrCode) -> anyhow::Result<()> {
    // Without colours, some terminals show a code that cannot be read: so NO_COLOR is ignored.
    output.raw(&qr::drawn(code, io::stdout().is_terminal()))
}
