//! `pelago download`: downloads content by its hash, link or name.
//!
//! | file | owns |
//! |---|---|
//! | `follow` | following a download to its end |
//! | `report` | what is printed at the end |

mod follow;
mod report;

use std::path::PathBuf;

use super::{
    attach::{self, NodeHandle},
    context::Context,
    headings::{FOLDERS, NETWORK, SHARING},
    output::Exit,
    pasted::{self, target},
    paths, process_args,
    signals::Signals,
    text::command,
    value_parsers::{peer_address, peer_choice, seconds},
};
use crate::{
    api::types::{DownloadRequest, LinkPolicy, Output},
    content::{Hash, HashError},
};
pub(super) use follow::{fetch, step};

/// What to download, from where and to where.
#[derive(Debug, Default, clap::Args)]
pub(super) struct DownloadArgs {
    /// A hash (64 hex digits), a link (pelago:...), or a name under which a reachable peer shares
    /// it [default, and with `-`: asked for, or the first line of stdin, as other users of this
    /// machine can see arguments]
    #[arg(value_name = "HASH|LINK|NAME", value_parser = target)]
    target: Option<String>,

    /// The same as HASH, and never read as a name
    #[arg(long, conflicts_with = "target", value_parser = hash)]
    hash: Option<String>,

    /// Path of the download; with an existing folder, a path in that folder [default: the current
    /// folder; what this node shares already stays where it is]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,

    /// Also ask the node at this address: host:port or a multiaddr
    #[arg(long, value_name = "ADDR", value_parser = peer_address, help_heading = NETWORK)]
    peer: Vec<String>,

    /// Ask only this peer: a peer id, or the name of a node; repeatable. A name belongs to the first
    /// peer that it was used for; NAME=ID gives it to another
    #[arg(long, value_name = "PEER", value_parser = peer_choice, help_heading = NETWORK)]
    from: Vec<String>,

    /// Ask only the members of this group, and share the download only with them
    #[arg(
        long, value_name = "GROUP", conflicts_with_all = ["listed", "unlisted"],
        help_heading = SHARING
    )]
    group: Option<String>,

    /// Ask all peers, even if the content is known in a group
    #[arg(long, conflicts_with = "group", help_heading = SHARING)]
    public: bool,

    /// Any node that you know, by which to join the network: host:port or a multiaddr
    #[arg(short, long, value_name = "ADDR", value_parser = peer_address, help_heading = NETWORK)]
    bootstrap: Vec<String>,

    /// Give up after this time without progress [default: 30; a running node waits for a source]
    #[arg(
        long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true,
        help_heading = NETWORK
    )]
    timeout: Option<f64>,

    /// Download only those files of a folder whose path matches, such as 'docs/**' or '*.jpg';
    /// repeatable
    #[arg(long, value_name = "GLOB", help_heading = FOLDERS)]
    only: Vec<String>,

    /// Replace other content at the target path
    #[arg(long)]
    overwrite: bool,

    /// Symbolic links of a folder to create: those that stay inside the folder, all, or none
    #[arg(long, value_name = "WHICH", value_enum, default_value_t, help_heading = FOLDERS)]
    links: LinksArg,

    /// Refuse a folder with names that the target file system cannot hold, instead of changing the
    /// names
    #[arg(long, help_heading = FOLDERS)]
    strict_names: bool,

    /// Download a folder even if it has more than 100,000 entries
    #[arg(long, help_heading = FOLDERS)]
    allow_expansion: bool,

    /// Do not wait until the download would survive a power cut, and do not share it
    #[arg(long)]
    no_sync: bool,

    /// Do not share the download (without a running node, it is shared only while the command runs)
    #[arg(long, help_heading = SHARING)]
    no_seed: bool,

    /// List and announce the shared download, even if its link is marked as unlisted
    #[arg(long, conflicts_with = "unlisted", help_heading = SHARING)]
    listed: bool,

    /// Share the download only with peers that have the hash [default: unless a source lists it]
    #[arg(long, help_heading = SHARING)]
    unlisted: bool,

    /// Leave the download to the running node, and return immediately
    #[arg(long)]
    detach: bool,
}

/// Which symbolic links of a folder are created.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum LinksArg {
    /// Those that stay inside the folder
    #[default]
    Inside,
    /// All, even those that lead elsewhere
    All,
    /// None
    None,
}

impl From<LinksArg> for LinkPolicy {
    fn from(from: LinksArg) -> Self {
        match from {
            LinksArg::Inside => Self::Inside,
            LinksArg::All => Self::All,
            LinksArg::None => Self::None,
        }
    }
}

/// A valid hash, as it was given.
fn hash(text: &str) -> Result<String, HashError> {
    text.parse::<Hash>().map(|_| text.to_owned())
}

impl DownloadArgs {
    /// The arguments that say where to look for content, and the defaults for all else.
    pub(super) fn looking(
        (group, public): (Option<String>, bool),
        peer: &[String],
        bootstrap: &[String],
        timeout: Option<f64>,
    ) -> Self {
        Self {
            group,
            public,
            peer: peer.to_vec(),
            bootstrap: bootstrap.to_vec(),
            timeout,
            ..Self::default()
        }
    }
}

pub(super) async fn run(context: &Context, args: &DownloadArgs) -> anyhow::Result<Exit> {
    let target = match &args.hash {
        Some(hash) => hash.clone(),
        None => pasted::given_or_asked(context, args.target.as_deref()).await?,
    };
    let request = request(context, args, target)?;
    let signals = Signals::listen()?;
    let node = if args.detach {
        NodeHandle::attach(attach::require_running(context).await?)
    } else {
        NodeHandle::open(context).await?
    };
    // A node in this process logs them itself.
    if node.is_attached() {
        pasted::note_invalid_peers(&context.output, &request.target);
    }
    let words = process_args::given().map(|word| word.to_string_lossy().into_owned());
    fetch(context, node, request, signals, &command(words)).await
}

pub(super) fn request(
    context: &Context,
    args: &DownloadArgs,
    target: String,
) -> anyhow::Result<DownloadRequest> {
    let transfer = &context.config.transfer;
    Ok(DownloadRequest {
        target,
        output: match &args.output {
            Some(path) => Output::At(paths::absolute(path)?),
            None => Output::Into(paths::current()?),
        },
        in_place: args.output.is_none() && !args.overwrite,
        peers: args.peer.clone(),
        from: args.from.clone(),
        group: args.group.clone(),
        public: args.public,
        bootstrap: args.bootstrap.clone(),
        timeout_seconds: context.seconds_without_source(args.timeout),
        // With a time-out, the download fails instead of waiting for a source.
        wait: args.timeout.is_none(),
        only: args.only.clone(),
        overwrite: args.overwrite,
        links: args.links.into(),
        strict_names: args.strict_names,
        may_expand: args.allow_expansion,
        no_sync: args.no_sync,
        seed: transfer.seed && !args.no_seed,
        listed: match (args.listed, args.unlisted) {
            (false, false) => None,
            (is_listed, _) => Some(is_listed),
        },
        detach: args.detach,
    })
}
