//! Asking to join groups.

use std::{
    io::{self, BufRead, Read},
    time::Duration,
};

use anyhow::Context as _;
use pelago_groups::{GroupLink, InviteMode};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::names::{note_if_alike, short};
use crate::{
    api::{
        Client, seconds,
        types::{ErrorInfo, Join, JoinRequest, JoinStatus},
    },
    cli::{
        attach,
        context::Context,
        output::Exit,
        prompt,
        text::{escape, quoted},
        value_parsers,
    },
};

/// Bytes that are read from stdin to find a link: the longest one, and a line or two before it.
const MAX_INPUT: u64 = 2 * GroupLink::MAX_LEN as u64;

/// Why a link that joins without asking did not.
const AUTO_ASKS: &str = "a link like this admits people while the node of its owner runs; about people \
     who were in the group before, an owner decides";

/// Why a link is of no use to anyone.
const REVOKED: &str = "its link is not valid any more: it was revoked, has expired, or has admitted as many as it may";

/// Why a link is of no use to this user.
const USED: &str = "its link has admitted you before, and admits each user once";

const ASK_AGAIN: &str = "ask an owner for another link";

/// How often the node is asked what became of a request.
const INTERVAL: Duration = Duration::from_millis(250);

/// Which group to join.
#[derive(Debug, clap::Args)]
pub(super) struct JoinArgs {
    /// The link [default: asked for, or the first line of stdin]. A link that joins without asking is
    /// not accepted here, as other users of this machine can see arguments
    #[arg(value_name = "LINK")]
    link: Option<String>,

    /// A message to the owners, at most 256 bytes: who you are
    #[arg(long, value_name = "TEXT", default_value = "")]
    message: String,

    /// Wait until the request is answered, for at most this time
    #[arg(long, value_name = "SECONDS", value_parser = value_parsers::seconds)]
    wait: Option<f64>,
}

/// The request to withdraw.
#[derive(Debug, clap::Args)]
pub(super) struct WithdrawArgs {
    /// The group, as `group joins` shows it
    #[arg(value_name = "GROUP")]
    group: String,
}

pub(super) async fn join(context: &Context, args: &JoinArgs) -> anyhow::Result<Exit> {
    let link = match &args.link {
        Some(link) => given(link)?,
        None => {
            let is_interactive = prompt::is_interactive(&context.output);
            spawn_blocking(move || read(is_interactive)).await??
        }
    };
    let client = attach::require_running(context).await?;
    let deadline = args.wait.map(seconds::duration).transpose()?;
    let deadline = deadline.map(|wait| Instant::now() + wait);
    let request = JoinRequest {
        link: link.to_string(),
        message: args.message.clone(),
    };
    let mut join = client.join_group(&request).await?;
    if let Some(deadline) = deadline {
        join = answer(&client, join, deadline).await?;
    }
    if let Some(error) = failure(context, &join, args.wait) {
        return Err(error.into());
    }
    context.output.result(&join, || describe(&join))?;
    if join.status == JoinStatus::Accepted {
        let group = quoted(
            &join
                .name
                .clone()
                .unwrap_or_else(|| short(&join.group).to_owned()),
        );
        let list = context.command(&format!("list --group {group}"));
        context.output.note(format_args!("its files: `{list}`"));
        note_if_alike(context, &client.group(&join.group).await?);
    } else if link.mode == InviteMode::Auto {
        context.output.note(AUTO_ASKS);
    }
    Ok(Exit::Done)
}

pub(super) async fn withdraw(
    context: &Context,
    client: &Client,
    args: &WithdrawArgs,
) -> anyhow::Result<Exit> {
    let withdrawn = client.withdraw_join(&args.group).await?;
    let text = || match withdrawn.status {
        JoinStatus::Pending | JoinStatus::Full => {
            format!("withdrew the request to join {}", name(&withdrawn))
        }
        _ => format!("forgot the request to join {}", name(&withdrawn)),
    };
    context.output.result(&withdrawn, text)?;
    Ok(Exit::Done)
}

pub(super) async fn list(context: &Context, client: &Client) -> anyhow::Result<Exit> {
    let joins = client.joins().await?;
    if joins.is_empty() {
        context.output.note("you have not asked to join a group");
    }
    let lines = joins.iter().map(|join| describe(join) + "\n");
    context
        .output
        .result(&joins, || lines.collect::<String>())?;
    Ok(Exit::Done)
}

/// A request to join, in a line.
pub(super) fn describe(join: &Join) -> String {
    let name = name(join);
    match join.status {
        JoinStatus::Pending => format!("asked to join {name}: no owner has answered yet"),
        JoinStatus::Accepted => format!("joined {name}"),
        JoinStatus::Rejected => format!("not in {name}: an owner rejected the request"),
        JoinStatus::Full => format!("not in {name}: the group is full"),
        JoinStatus::Revoked => format!("not in {name}: {REVOKED}"),
        JoinStatus::Used => format!("not in {name}: {USED}"),
        JoinStatus::Removed => format!("not in {name}: an owner removed you"),
    }
}

fn name(join: &Join) -> String {
    let id = short(&join.group).to_owned();
    join.name.as_deref().map_or(id, escape)
}

/// A link among the arguments, which has to be one that an owner answers.
fn given(text: &str) -> Result<GroupLink, ErrorInfo> {
    let link = parsed(text)?;
    if link.mode == InviteMode::Auto {
        let message = "this link joins without asking, and other users of this machine can see \
             arguments";
        let hint = "run `pelago group join` and paste the link, or pass it on stdin";
        return Err(ErrorInfo::new("usage", message).with_hint(hint));
    }
    Ok(link)
}

/// Reads a link from the person at the terminal, or from stdin.
fn read(is_interactive: bool) -> anyhow::Result<GroupLink> {
    if is_interactive {
        return Ok(parsed(&prompt::ask("link: ")?.unwrap_or_default())?);
    }
    let lines = io::stdin().lock().take(MAX_INPUT).lines();
    for line in lines {
        let line = line.context("the link cannot be read from stdin")?;
        if !line.trim().is_empty() {
            return Ok(parsed(&line)?);
        }
    }
    let message = "there is no link: pass it on stdin, or as an argument";
    Err(ErrorInfo::new("usage", message).into())
}

fn parsed(text: &str) -> Result<GroupLink, ErrorInfo> {
    let parsed = text.trim().parse::<GroupLink>();
    parsed.map_err(|error| ErrorInfo::new("bad-link", error.to_string()))
}

/// What became of `join` until `deadline`.
async fn answer(client: &Client, mut join: Join, deadline: Instant) -> anyhow::Result<Join> {
    while join.status == JoinStatus::Pending && Instant::now() < deadline {
        sleep(INTERVAL).await;
        let joins = client.joins().await?;
        let now = joins.into_iter().find(|other| other.group == join.group);
        join.status = now.map_or(join.status, |now| now.status);
    }
    if join.status == JoinStatus::Accepted {
        // The name in the link was a hint.
        join.name = Some(client.group(&join.group).await?.group.name);
    }
    Ok(join)
}

/// Why the command failed, if it did.
fn failure(context: &Context, join: &Join, wait: Option<f64>) -> Option<ErrorInfo> {
    let name = name(join);
    let error = match (join.status, wait) {
        (JoinStatus::Accepted, _) | (JoinStatus::Pending, None) => return None,
        (JoinStatus::Pending, Some(wait)) => {
            let message = format!("no owner of {name} answered the request within {wait} s");
            let joins = context.command("group joins");
            let hint = format!("the node repeats the request until it is answered: `{joins}`");
            ErrorInfo::new("join-pending", message).with_hint(hint)
        }
        (JoinStatus::Rejected | JoinStatus::Removed, _) => {
            let message = format!("an owner of {name} rejected the request, or removed you");
            ErrorInfo::new("join-rejected", message).with_hint(ASK_AGAIN)
        }
        (JoinStatus::Revoked, _) => {
            let message = format!("cannot join {name}: {REVOKED}");
            ErrorInfo::new("invite-revoked", message).with_hint(ASK_AGAIN)
        }
        (JoinStatus::Used, _) => {
            let message = format!("cannot join {name}: {USED}");
            ErrorInfo::new("invite-used", message).with_hint(ASK_AGAIN)
        }
        (JoinStatus::Full, _) => {
            let message = format!("{name} is full");
            ErrorInfo::new("group-full", message).with_hint("an owner has to remove a member first")
        }
    };
    Some(error)
}
