//! Follows a download to its end: shows its progress, asks the person at the terminal, and pauses
//! it on Ctrl-C.

use super::report;
use crate::{
    api::{
        CallError, Client, Events,
        types::{
            DownloadEvent, DownloadRequest, DownloadStatus, ErrorInfo, Finished, Listed, Output,
            ResumeQuery, Waiting,
        },
    },
    cli::{
        attach::NodeHandle,
        choose::choose,
        context::Context,
        output::{Exit, error_info},
        progress::{Progress, Step},
        prompt,
        signals::Signals,
        text::{bytes, count, escape},
    },
    content::Link,
};

/// How following a download ended.
enum End {
    Finished(Finished),
    Detached(Box<DownloadStatus>),
    /// By Ctrl-C, and the node continues it.
    Unfollowed,
    /// By Ctrl-C, which paused it; with its status, if it had begun.
    Paused(Option<Box<DownloadStatus>>),
}

/// Downloads with `node`, then ends it. The command `again` resumes the download.
pub(in crate::cli) async fn fetch(
    context: &Context,
    node: NodeHandle,
    mut request: DownloadRequest,
    mut signals: Signals,
    again: &str,
) -> anyhow::Result<Exit> {
    match follow_chosen(context, &node, &mut request, &mut signals).await {
        Ok(End::Unfollowed) => {
            node.stop(signals).await;
            Err(detached(context).into())
        }
        Ok(End::Paused(status)) => {
            node.stop(signals).await;
            Err(paused(status.as_deref(), again).into())
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

/// Follows the download. If the target is ambiguous or the folder has very many entries, asks the
/// person at the terminal.
async fn follow_chosen(
    context: &Context,
    node: &NodeHandle,
    request: &mut DownloadRequest,
    signals: &mut Signals,
) -> anyhow::Result<End> {
    let mut shown = None;
    let refused = match follow(context, node, request, signals, &mut shown).await {
        Err(error) if prompt::is_interactive(&context.output) => error,
        end => return end,
    };
    let described = error_info(&refused);
    if described.code == "target-exists"
        && let Some(hash) = shown.map(|status| status.hash)
    {
        context.output.text(&refused)?;
        if !prompt::confirm("keep both, and save it under another name? [y/N] ").await? {
            return Err(refused);
        }
        let beside = ResumeQuery {
            output: None,
            beside: true,
        };
        let moved = node.client.resume_at(&hash, &beside).await?;
        if let Some(path) = moved.path {
            request.output = Output::At(path);
        }
        return follow(context, node, request, signals, &mut None).await;
    }
    if described.code == "folder-expands" {
        context.output.text(&refused)?;
        if prompt::confirm("download it anyway? [y/N] ").await? {
            request.may_expand = true;
            return follow(context, node, request, signals, &mut None).await;
        }
        return Err(refused);
    }
    let choices = described.choices;
    if choices.is_empty() {
        return Err(refused);
    }
    let name = escape(&request.target);
    let has_groups = choices.iter().any(|choice| choice.group.is_some());
    let is_incomplete = described.code == "incomplete-hash";
    context.output.text(match (is_incomplete, has_groups) {
        (true, _) => format!("{name} is the beginning of a hash that peers list:"),
        (false, true) => format!("{name} is shared in several places:"),
        (false, false) => format!("several contents are named {name}:"),
    })?;
    match choose(&context.output, choices).await? {
        Some(chosen) => {
            request.target = link_to(&chosen.listed)?;
            // A choice outside groups is one against them.
            request.public = chosen.group.is_none();
            request.group = chosen.group;
            follow(context, node, request, signals, &mut None).await
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

/// Follows the download to its end. `shown` becomes its latest status.
async fn follow(
    context: &Context,
    node: &NodeHandle,
    request: &DownloadRequest,
    signals: &mut Signals,
    shown: &mut Option<DownloadStatus>,
) -> anyhow::Result<End> {
    let mut events: Events<DownloadEvent> = tokio::select! {
        events = node.client.download(request) => events?,
        () = signals.next() => return Ok(End::Paused(None)),
    };
    let mut progress = Progress::new(&context.output);
    let mut noticed = None;
    loop {
        let event = tokio::select! {
            event = events.next() => event?,
            () = signals.next() => {
                return tokio::select! {
                    end = interrupted(&node.client, shown.take(), events) => end,
                    () = signals.next() => Err(interrupted_twice().into()),
                };
            }
        };
        if let Some(DownloadEvent::Searching { target, asked }) = event {
            let name = format!("looking for {target}");
            let state = format!("asked {}", count(asked, "peer"));
            progress.show(&Step {
                name: &name,
                state: &state,
                ..Step::default()
            });
        } else if let Some(DownloadEvent::Progress(status)) = event {
            // A node in this process logs it itself.
            if node.is_attached() && status.notice.is_some() && status.notice != noticed {
                progress.clear();
                noticed.clone_from(&status.notice);
                let notice = status.notice.as_deref().unwrap_or_default();
                context.output.note(notice);
            }
            if shown.is_none() && status.group.is_some() {
                progress.clear();
                note_group(context, node, request, &status).await;
            }
            progress.show(&step(&status));
            *shown = Some(status);
        } else if let Some(end) = end_in(event)? {
            if let End::Detached(status) = &end {
                note_group(context, node, request, status).await;
            }
            return Ok(end);
        }
    }
}

/// Says that the download is in a group which the request does not name.
async fn note_group(
    context: &Context,
    node: &NodeHandle,
    request: &DownloadRequest,
    status: &DownloadStatus,
) {
    let Some(group) = status.group.as_ref().filter(|_| request.group.is_none()) else {
        return;
    };
    let name = match node.client.group(group).await {
        Ok(group) => escape(&group.group.name),
        Err(_) => group.get(..8).unwrap_or(group).to_owned(),
    };
    context.output.note(format_args!(
        "this is known from the group {name}: only its members are asked for it, and get it from \
         this node. To ask all peers instead, cancel it and add --public"
    ));
}

/// How the download ended, if the event says that it did.
fn end_in(event: Option<DownloadEvent>) -> anyhow::Result<Option<End>> {
    match event {
        Some(DownloadEvent::Progress(_) | DownloadEvent::Searching { .. }) => Ok(None),
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
    shown: Option<DownloadStatus>,
    mut events: Events<DownloadEvent>,
) -> anyhow::Result<End> {
    let Some(shown) = shown else {
        return Ok(End::Paused(None));
    };
    if continues_without_us(client, &shown.hash).await {
        return Ok(End::Unfollowed);
    }
    match client.pause(&shown.hash).await {
        Ok(status) => Ok(End::Paused(Some(Box::new(status)))),
        Err(CallError::Refused(error)) if error.code == "download-ended" => loop {
            if let Some(end) = end_in(events.next().await?)? {
                return Ok(end);
            }
        },
        Err(CallError::Refused(error)) if error.code == "not-kept" => Err(error.into()),
        // The node pauses a download without followers itself.
        Err(_) => Ok(End::Paused(Some(Box::new(shown)))),
    }
}

/// Whether the node continues a download when this command, which follows it, ends.
async fn continues_without_us(client: &Client, hash: &str) -> bool {
    let followers = client.followers(hash).await;
    followers.is_ok_and(|followers| followers.detached || followers.followers > 1)
}

/// The progress of a download, or of its removal.
pub(in crate::cli) fn step(status: &DownloadStatus) -> Step<'_> {
    let fetches = status.state != "removing";
    let (state, is_waiting) = match (&*status.state, &status.waits) {
        (_, Some(Waiting::Turn { .. })) => ("queued", true),
        (state @ "finding-sources", Some(Waiting::Source { .. })) => (state, true),
        (_, Some(Waiting::Source { .. })) => ("waiting for a source", true),
        (state, Some(Waiting::Pause { .. })) => (state, true),
        // Some of it may arrive meanwhile.
        (state, Some(Waiting::Data { .. } | Waiting::Limit { .. }) | None) => (state, false),
    };
    Step {
        name: &status.name,
        state,
        done: status.verified_bytes.unwrap_or(0),
        size: status.size.filter(|_| fetches),
        bytes_per_second: Some(status.bytes_per_second),
        sources: fetches.then_some(status.sources),
        is_waiting,
        why: status.why.as_deref(),
    }
}

/// The error of a command whose download was paused.
fn paused(status: Option<&DownloadStatus>, again: &str) -> ErrorInfo {
    let message = match status.map(|status| (status.verified_bytes, status.size)) {
        None | Some((Some(0), _)) => "paused: nothing was downloaded yet".to_owned(),
        Some((Some(done), Some(size))) => format!(
            "paused at {} of {}: verified data is kept",
            bytes(done),
            bytes(size)
        ),
        // Data of earlier runs that was not verified again yet is kept as well.
        Some(_) => "paused: verified data is kept".to_owned(),
    };
    ErrorInfo::new("paused", message).with_hint(format!("to resume: {again}"))
}

/// The error of a command that stopped following a download that continues.
fn detached(context: &Context) -> ErrorInfo {
    let message = "the node continues the download, which this command no longer follows";
    ErrorInfo::new("detached", message).with_hint(format!(
        "`{}` shows its progress, `{}` pauses it",
        context.command("downloads --watch"),
        context.command("pause NAME")
    ))
}

fn report(context: &Context, end: &End) -> anyhow::Result<()> {
    match end {
        End::Finished(finished) => report::finished(&context.output, finished),
        End::Detached(status) => report::detached(context, status),
        End::Unfollowed | End::Paused(_) => Ok(()),
    }
}
