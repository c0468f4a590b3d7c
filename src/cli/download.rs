//! `pelago download`: downloads content by its hash, link or name.

use std::{path::PathBuf, time::Duration};

use super::{
    attach::{self, NodeHandle},
    choose::choose,
    context::Context,
    output::{Exit, describe as describe_error},
    paths, process_args,
    progress::{Progress, Step},
    prompt,
    signals::Signals,
    text::{bytes, command, count, escape, rate, time},
    value_parsers::{peer_address, seconds},
};
use crate::{
    api::{
        CallError, Client, Events,
        types::{
            Difference, Differences, DownloadEvent, DownloadRequest, DownloadStatus, ErrorInfo,
            Finished, Links, Listed, Output,
        },
    },
    content::{Hash, HashError, Link},
    node::{DamagedPeers, InvalidTarget, Target},
};

/// Most differences of a folder that are printed.
const MAX_DIFFERENCES: usize = 20;

/// What to download, from where and to where.
#[derive(Debug, Default, clap::Args)]
pub(super) struct DownloadArgs {
    /// A hash (64 hex digits), a link (pelago:...), or a name under which a reachable peer shares
    /// it
    #[arg(value_name = "HASH|LINK|NAME", value_parser = target, required_unless_present = "hash")]
    target: Option<String>,

    /// The hash
    #[arg(long, conflicts_with = "target", value_parser = hash)]
    hash: Option<String>,

    /// Path of the download; with an existing folder, a path in that folder [default: the current
    /// folder]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,

    /// Also ask the peer at this address
    #[arg(long, value_name = "ADDR", value_parser = peer_address)]
    peer: Vec<String>,

    /// Ask only this peer: a peer id, or the name of a node; repeatable. A name stands for the peer
    /// for which it was first used; NAME=ID makes it stand for another
    #[arg(long, value_name = "PEER")]
    from: Vec<String>,

    /// Node by which to join the network: host:port or a multiaddr
    #[arg(short, long, value_name = "ADDR", value_parser = peer_address)]
    bootstrap: Vec<String>,

    /// Give up after this time without progress [default: 30; a running node waits for a source]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    timeout: Option<f64>,

    /// Download only those files of a folder whose path matches, such as 'docs/**' or '*.jpg';
    /// repeatable
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,

    /// Replace other content at the target path
    #[arg(long)]
    overwrite: bool,

    /// Symbolic links of a folder to create: those that stay inside the folder, all, or none
    #[arg(long, value_name = "WHICH", value_enum, default_value_t)]
    links: LinksArg,

    /// Refuse a folder with names that the target file system cannot hold, instead of changing the
    /// names
    #[arg(long)]
    strict_names: bool,

    /// Download a folder that has far more entries than its manifests account for
    #[arg(long)]
    allow_expansion: bool,

    /// Do not wait until the download would survive a power cut, and do not share it
    #[arg(long)]
    no_sync: bool,

    /// Do not share the download
    #[arg(long)]
    no_seed: bool,

    /// List and announce the shared download, even if its link is marked as unlisted
    #[arg(long, conflicts_with = "unlisted")]
    listed: bool,

    /// Share the download only with peers that have the hash [default: unless a source lists it]
    #[arg(long)]
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

impl From<LinksArg> for Links {
    fn from(from: LinksArg) -> Self {
        match from {
            LinksArg::Inside => Self::Inside,
            LinksArg::All => Self::All,
            LinksArg::None => Self::None,
        }
    }
}

/// A valid target, as it was given.
fn target(text: &str) -> Result<String, InvalidTarget> {
    text.parse::<Target>().map(|_| text.to_owned())
}

/// A valid hash, as it was given.
fn hash(text: &str) -> Result<String, HashError> {
    text.parse::<Hash>().map(|_| text.to_owned())
}

/// How following a download ended.
enum End {
    Finished(Finished),
    Detached(Box<DownloadStatus>),
    /// By Ctrl-C.
    Interrupted {
        /// Whether the node continues the download.
        continues: bool,
    },
}

impl DownloadArgs {
    /// The arguments for a valid target, and the defaults for all else.
    pub(super) fn for_target(
        target: &str,
        peer: &[String],
        bootstrap: &[String],
        timeout: Option<f64>,
    ) -> Self {
        Self {
            target: Some(target.to_owned()),
            peer: peer.to_vec(),
            bootstrap: bootstrap.to_vec(),
            timeout,
            ..Self::default()
        }
    }
}

pub(super) async fn run(context: &Context, args: &DownloadArgs) -> anyhow::Result<Exit> {
    let request = request(context, args)?;
    let signals = Signals::listen()?;
    let node = if args.detach {
        NodeHandle::attach(attach::require_running(context).await?)
    } else {
        NodeHandle::open(context).await?
    };
    note_damaged_peers(context, &node, &request.target);
    let words = process_args::given().map(|word| word.to_string_lossy().into_owned());
    fetch(context, node, request, signals, &command(words)).await
}

/// Warns of peers in a link that are truncated or damaged. A node in this process logs them itself.
pub(super) fn note_damaged_peers(context: &Context, node: &NodeHandle, target: &str) {
    let link = target.parse::<Link>().ok();
    let damaged = link.as_ref().and_then(DamagedPeers::of);
    if let Some(damaged) = damaged.filter(|_| node.is_attached()) {
        context.output.note(damaged);
    }
}

/// Downloads with `node`, then ends it. The command `again` resumes the download.
pub(super) async fn fetch(
    context: &Context,
    node: NodeHandle,
    mut request: DownloadRequest,
    mut signals: Signals,
    again: &str,
) -> anyhow::Result<Exit> {
    match follow_chosen(context, &node, &mut request, &mut signals).await {
        Ok(End::Interrupted { continues }) => {
            node.stop(signals).await;
            Err(if continues { detached() } else { paused(again) }.into())
        }
        Ok(end) => {
            report(context, &end)?;
            node.end(&context.output, &mut signals).await;
            Ok(Exit::Done)
        }
        Err(error) => {
            node.end(&context.output, &mut signals).await;
            Err(error)
        }
    }
}

pub(super) fn request(context: &Context, args: &DownloadArgs) -> anyhow::Result<DownloadRequest> {
    let transfer = &context.config.transfer;
    Ok(DownloadRequest {
        target: args
            .target
            .clone()
            .or_else(|| args.hash.clone())
            .unwrap_or_default(),
        output: match &args.output {
            Some(path) => Output::At(paths::absolute(path)?),
            None => Output::Into(paths::current()?),
        },
        peers: args.peer.clone(),
        from: args.from.clone(),
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

/// Follows the download. If the target is ambiguous or the folder expands a lot, asks the person at
/// the terminal.
async fn follow_chosen(
    context: &Context,
    node: &NodeHandle,
    request: &mut DownloadRequest,
    signals: &mut Signals,
) -> anyhow::Result<End> {
    let refused = match follow(context, node, request, signals).await {
        Err(error) if prompt::is_interactive(&context.output) => error,
        end => return end,
    };
    let described = describe_error(&refused);
    if described.code == "folder-expands" {
        context.output.text(&refused)?;
        if prompt::confirm("download it anyway? [y/N] ").await? {
            request.may_expand = true;
            return follow(context, node, request, signals).await;
        }
        return Err(refused);
    }
    let choices = described.choices;
    if choices.is_empty() {
        return Err(refused);
    }
    let name = escape(&request.target);
    context
        .output
        .text(format_args!("several contents are named {name}:"))?;
    match choose(&context.output, choices).await? {
        Some(chosen) => {
            request.target = link_to(&chosen)?;
            follow(context, node, request, signals).await
        }
        None => Err(refused),
    }
}

/// The chosen content as a link, which keeps the name that a bare hash lacks.
fn link_to(listed: &Listed) -> anyhow::Result<String> {
    let mut link = Link::new(listed.hash.parse()?);
    link.name = Some(listed.name.clone());
    link.size = Some(listed.size);
    Ok(link.to_string())
}

async fn follow(
    context: &Context,
    node: &NodeHandle,
    request: &DownloadRequest,
    signals: &mut Signals,
) -> anyhow::Result<End> {
    let mut events: Events<DownloadEvent> = tokio::select! {
        events = node.client.download(request) => events?,
        () = signals.next() => return Ok(End::Interrupted { continues: false }),
    };
    let mut progress = Progress::new(&context.output);
    let mut hash = None;
    let mut noticed = None;
    loop {
        let event = tokio::select! {
            event = events.next() => event?,
            () = signals.next() => {
                return tokio::select! {
                    end = interrupted(&node.client, hash.as_deref(), events) => end,
                    () = signals.next() => Err(interrupted_twice().into()),
                };
            }
        };
        if let Some(DownloadEvent::Progress(status)) = event {
            // A node in this process logs it itself.
            if node.is_attached() && status.notice.is_some() && status.notice != noticed {
                progress.clear();
                noticed.clone_from(&status.notice);
                let notice = status.notice.as_deref().unwrap_or_default();
                context.output.note(notice);
            }
            progress.show(&step(&status));
            hash = Some(status.hash);
        } else if let Some(end) = end_in(event)? {
            return Ok(end);
        }
    }
}

/// How the download ended, if the event says that it did.
fn end_in(event: Option<DownloadEvent>) -> anyhow::Result<Option<End>> {
    match event {
        Some(DownloadEvent::Progress(_)) => Ok(None),
        Some(DownloadEvent::Done(finished)) => Ok(Some(End::Finished(finished))),
        Some(DownloadEvent::Detached(status)) => Ok(Some(End::Detached(Box::new(status)))),
        Some(DownloadEvent::Error { error }) => Err(error.into()),
        None => {
            let message = "the node ended before the download did; verified data is kept";
            Err(ErrorInfo::new("node-unreachable", message).into())
        }
    }
}

/// The error of a command that was interrupted while it stopped the download.
fn interrupted_twice() -> ErrorInfo {
    let message = "interrupted again while the download was being stopped";
    ErrorInfo::new("interrupted", message)
        .with_hint("repeat the command: it resumes the download, or reports that it is done")
}

/// Pauses the download that a person interrupted, unless others follow it as well. A download whose
/// content is already being moved to its place is done, and not paused.
async fn interrupted(
    client: &Client,
    hash: Option<&str>,
    mut events: Events<DownloadEvent>,
) -> anyhow::Result<End> {
    let Some(hash) = hash else {
        return Ok(End::Interrupted { continues: false });
    };
    if continues_without_us(client, hash).await {
        return Ok(End::Interrupted { continues: true });
    }
    match client.pause(hash).await {
        Ok(_) => Ok(End::Interrupted { continues: false }),
        Err(CallError::Refused(error)) if error.code == "download-ended" => loop {
            if let Some(end) = end_in(events.next().await?)? {
                return Ok(end);
            }
        },
        Err(CallError::Refused(error)) if error.code == "not-kept" => Err(error.into()),
        // The node pauses a download without followers itself.
        Err(_) => Ok(End::Interrupted { continues: false }),
    }
}

/// Whether the node continues a download when this command, which follows it, ends.
async fn continues_without_us(client: &Client, hash: &str) -> bool {
    let followers = client.followers(hash).await;
    followers.is_ok_and(|followers| followers.detached || followers.followers > 1)
}

/// The progress of a download.
pub(super) fn step(status: &DownloadStatus) -> Step<'_> {
    Step {
        name: &status.name,
        state: &status.state,
        done: status.verified_bytes.unwrap_or(0),
        size: status.size,
        bytes_per_second: Some(status.bytes_per_second),
        sources: Some(status.sources),
        why: status.why.as_deref(),
    }
}

/// The error of a command whose download was paused.
fn paused(again: &str) -> ErrorInfo {
    ErrorInfo::new("paused", "paused: verified data is kept")
        .with_hint(format!("to resume: {again}"))
}

/// The error of a command that stopped following a download that continues.
fn detached() -> ErrorInfo {
    let message = "no longer followed: the node continues the download";
    ErrorInfo::new("detached", message)
        .with_hint("`pelago downloads --watch` shows its progress, `pelago pause` pauses it")
}

fn report(context: &Context, end: &End) -> anyhow::Result<()> {
    match end {
        End::Finished(finished) => context.output.result(finished, || describe(finished)),
        End::Detached(_) if context.output.quiet && !context.output.json => Ok(()),
        End::Detached(status) => context.output.result(status, || {
            format!(
                "the node downloads {}: `pelago downloads` shows its progress",
                escape(&status.name)
            )
        }),
        End::Interrupted { .. } => Ok(()),
    }
}

fn describe(finished: &Finished) -> String {
    let mut text = describe_content(finished);
    if let Some(differences) = &finished.differences {
        text += &describe_differences(differences);
    }
    text
}

/// How the folder here differs from the shared one: a line for each of the first differences, and a
/// count of the others.
fn describe_differences(differences: &Differences) -> String {
    let mut text = String::new();
    for difference in differences.listed.iter().take(MAX_DIFFERENCES) {
        text += &match difference {
            Difference::Renamed { path, name } => {
                format!("\n  {} is called {} here", escape(path), escape(name))
            }
            Difference::LinkLeftOut { path, target, why } => {
                let (path, target) = (escape(path), escape(target));
                format!("\n  the link {path} -> {target} is left out: {why}")
            }
        };
    }
    let all = differences.renamed + differences.links_left_out;
    let others = all.saturating_sub(MAX_DIFFERENCES as u64);
    if others > 0 {
        text += &format!("\n  and {others} more: --json lists them");
    }
    text
}

fn describe_content(finished: &Finished) -> String {
    let (path, size) = (escape(&finished.path), bytes(finished.size));
    if finished.fetched_bytes == 0 && finished.sources == 0 {
        return format!("{path} ({size}) was here already");
    }
    let took = match finished.seconds {
        seconds if seconds < 10.0 => format!("{seconds:.2} s"),
        seconds => time(Duration::from_secs_f64(seconds)),
    };
    let resumed = match finished.resumed_bytes {
        0 => String::new(),
        resumed => format!(", {} were here already", bytes(resumed)),
    };
    let (rate, sources) = (
        rate(finished.bytes_per_second),
        count(finished.sources, "source"),
    );
    format!("{path} ({size}) in {took}, {rate} from {sources}{resumed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_says_what_came_from_where() {
        let finished = Finished {
            hash: String::new(),
            path: "/tmp/a\u{202e}b".to_owned(),
            size: 3 << 20,
            seconds: 1.5,
            bytes_per_second: 1 << 20,
            sources: 1,
            resumed_bytes: 1 << 20,
            fetched_bytes: 2 << 20,
            differences: None,
        };
        assert_eq!(
            describe(&finished),
            "/tmp/a\\u{202e}b (3.0 MiB) in 1.50 s, 1.0 MB/s from 1 source, 1.0 MiB were here already"
        );
        let here = Finished {
            fetched_bytes: 0,
            sources: 0,
            ..finished
        };
        assert_eq!(
            describe(&here),
            "/tmp/a\\u{202e}b (3.0 MiB) was here already"
        );
    }
}
