//! `pelago open`: shows what a link or hash stands for, without downloading it.

use std::{pin::pin, time::Duration};

use tokio::time::timeout;

use super::{
    attach::NodeHandle,
    context::Context,
    download::{self, DownloadArgs},
    headings::{NETWORK, SHARING},
    output::{Exit, Printer},
    pasted, prompt,
    signals::Signals,
    text::{bytes, command, count, escape},
    value_parsers::{peer_address, seconds},
};
use crate::{
    api::{
        CallError, Client,
        types::{ContentInfo, Holder, Kind, OpenRequest},
    },
    node::Target,
};

/// Time after which the command says that it is looking for peers: finding one usually takes less.
const UNEXPLAINED: Duration = Duration::from_secs(2);

/// What to open, and which peers to ask.
#[derive(Debug, clap::Args)]
pub(super) struct OpenArgs {
    /// A link (pelago:...) or a hash (64 hex digits) [default, and with `-`: asked for, or the first
    /// line of stdin, as other users of this machine can see arguments]
    #[arg(value_name = "LINK|HASH", value_parser = target)]
    target: Option<String>,

    /// Also ask the node at this address: host:port or a multiaddr
    #[arg(long, value_name = "ADDR", value_parser = peer_address, help_heading = NETWORK)]
    peer: Vec<String>,

    /// Ask only the members of this group
    #[arg(long, value_name = "GROUP", help_heading = SHARING)]
    group: Option<String>,

    /// Ask all peers, even if the content is known in a group
    #[arg(long, conflicts_with = "group", help_heading = SHARING)]
    public: bool,

    /// Any node that you know, by which to join the network: host:port or a multiaddr
    #[arg(short, long, value_name = "ADDR", value_parser = peer_address, help_heading = NETWORK)]
    bootstrap: Vec<String>,

    /// Give up if no peer with the content is found in this time [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true, help_heading = NETWORK)]
    timeout: Option<f64>,
}

/// A valid link or hash, as it was given.
fn target(text: &str) -> Result<String, String> {
    match text.parse::<Target>() {
        Ok(Target::Name(name)) if name == pasted::STDIN => Ok(name),
        Ok(Target::Name(_)) => {
            Err("neither a hash of 64 digits nor a link (pelago:...)".to_owned())
        }
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) async fn run(context: &Context, args: &OpenArgs) -> anyhow::Result<Exit> {
    let target = pasted::given_or_asked(context, args.target.as_deref()).await?;
    let request = OpenRequest {
        target: target.clone(),
        peers: args.peer.clone(),
        group: args.group.clone(),
        public: args.public,
        bootstrap: args.bootstrap.clone(),
        timeout_seconds: context.seconds_without_source(args.timeout),
        until_asked: args.timeout.is_none(),
    };
    let mut signals = Signals::listen()?;
    let node = NodeHandle::open(context).await?;
    // A node in this process logs them itself.
    if node.is_attached() {
        pasted::note_invalid_peers(&context.output, &target);
    }
    let looked = tokio::select! {
        looked = look(&node.client, &request, &context.output) => looked,
        () = signals.next() => {
            node.stop(signals).await;
            return Ok(Exit::Failed);
        }
    };
    let output = &context.output;
    let content = match looked {
        Ok(content) => content,
        Err(error) => {
            node.end(output, &mut signals).await;
            return Err(error.into());
        }
    };
    let again = download_command(args);
    output.result(&content, || {
        format!("{}\nto download it: {again}", describe(&content))
    })?;
    if prompt::is_interactive(output) && prompt::confirm("download it now? [y/N] ").await? {
        let asked = (args.group.clone(), args.public);
        let (peer, bootstrap) = (&args.peer, &args.bootstrap);
        let args = DownloadArgs::looking(asked, peer, bootstrap, args.timeout);
        let request = download::request(context, &args, target)?;
        return download::fetch(context, node, request, signals, &again).await;
    }
    node.end(output, &mut signals).await;
    Ok(Exit::Done)
}

/// Opens the content, and tells the person if that takes a while.
async fn look(
    client: &Client,
    request: &OpenRequest,
    output: &Printer,
) -> Result<ContentInfo, CallError> {
    let mut looked = pin!(client.open(request));
    match timeout(UNEXPLAINED, &mut looked).await {
        Ok(looked) => looked,
        Err(_) => {
            let most = request.timeout_seconds;
            output.note(format_args!(
                "looking for peers that have it, for at most {most} s"
            ));
            looked.await
        }
    }
}

fn download_command(args: &OpenArgs) -> String {
    let mut words = vec!["pelago", "download"];
    // The next command asks for a link that was pasted, too.
    words.extend(args.target.as_deref());
    words.extend(args.public.then_some("--public"));
    words.extend(args.group.iter().flat_map(|group| ["--group", group]));
    let flags = [("--peer", &args.peer), ("--bootstrap", &args.bootstrap)];
    for (flag, values) in flags {
        words.extend(values.iter().flat_map(|value| [flag, value]));
    }
    command(words.into_iter().map(str::to_owned))
}

fn describe(content: &ContentInfo) -> String {
    let kind = match (content.kind, content.files) {
        (Kind::File, _) => "file".to_owned(),
        (Kind::Folder, Some(files)) => match content.subfolders {
            None | Some(0) => format!("folder of {}", count(files, "file")),
            Some(folders) => {
                let folders = count(folders, "sub-folder");
                format!("folder of {} and {folders}", count(files, "file"))
            }
        },
        (Kind::Folder, None) => "folder of many files or sub-folders".to_owned(),
    };
    let unknown = "unknown until it is downloaded".to_owned();
    let mut lines = vec![
        format!(
            "name   {}",
            escape(content.name.as_deref().unwrap_or("(unknown)"))
        ),
        format!("kind   {kind}"),
        format!("size   {}", content.size.map_or(unknown, bytes)),
        format!("hash   {}", content.hash),
    ];
    if content.shared {
        lines.push("here   shared by this node".to_owned());
    }
    if let Some(group) = &content.group {
        let group = group.get(..8).unwrap_or(group);
        lines.push(format!("group  {group}, whose members alone were asked"));
    }
    let holders = content.holders.iter();
    lines.extend(holders.map(|holder| format!("peer   {}", describe_holder(holder, content.size))));
    if content.holders.is_empty() {
        lines.push("peer   none of the asked peers has it".to_owned());
    }
    lines.join("\n")
}

/// A peer and how much it has, in whole percents that are rounded down.
fn describe_holder(holder: &Holder, size: Option<u64>) -> String {
    let name = holder.name.as_deref().map(escape).unwrap_or_default();
    let has = match size {
        Some(size) if holder.bytes >= size => "all of it".to_owned(),
        Some(size) => {
            let percent = u128::from(holder.bytes) * 100 / u128::from(size.max(1));
            format!("{} ({percent} %)", bytes(holder.bytes))
        }
        None => bytes(holder.bytes),
    };
    [holder.peer_id.as_str(), name.as_str(), has.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> ContentInfo {
        let holder = |name: Option<&str>, bytes| Holder {
            peer_id: "12D3".to_owned(),
            name: name.map(str::to_owned),
            bytes,
        };
        ContentInfo {
            hash: "ab".to_owned(),
            name: Some("a\u{1b}[2J\u{202e}b".to_owned()),
            kind: Kind::Folder,
            size: Some(3000),
            files: Some(2),
            subfolders: Some(1),
            shared: true,
            group: None,
            holders: vec![holder(Some("an\u{7}na"), 3000), holder(None, 2999)],
        }
    }

    #[test]
    fn names_in_the_description_are_escaped() {
        assert_eq!(
            describe(&content()),
            "name   a\\u{1b}[2J\\u{202e}b\n\
             kind   folder of 2 files and 1 sub-folder\n\
             size   3.0 kB\n\
             hash   ab\n\
             here   shared by this node\n\
             peer   12D3  an\\u{7}na  all of it\n\
             peer   12D3  3.0 kB (99 %)"
        );
    }

    #[test]
    fn unknown_values_are_not_guessed() {
        let unknown = ContentInfo {
            name: None,
            size: None,
            files: None,
            subfolders: None,
            shared: false,
            holders: Vec::new(),
            ..content()
        };
        assert_eq!(
            describe(&unknown),
            "name   (unknown)\n\
             kind   folder of many files or sub-folders\n\
             size   unknown until it is downloaded\n\
             hash   ab\n\
             peer   none of the asked peers has it"
        );
    }
}
