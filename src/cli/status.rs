//! `pelago status`: shows the running node, what it relies on, and its notices.

use std::time::Duration;

use serde::Serialize;

use super::{
    attach,
    context::Context,
    health,
    output::Exit,
    text::{bytes, count, escape, time},
    user,
};
use crate::api::types::{Health, Reach, Status, UserState, UserStatus};

/// The state of the node, for programs.
#[derive(Serialize)]
struct StatusReport {
    #[serde(flatten)]
    status: Status,
    user: UserStatus,
    health: Health,
}

/// The state of a node whose user is logged out, for programs.
#[derive(Serialize)]
struct LockedReport {
    user: UserStatus,
}

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    let user = client.user().await?;
    if user.state == UserState::Locked && client.status().await.is_err() {
        let report = LockedReport { user };
        let text = || {
            let line = user::line(&report.user);
            format!(
                "user       {line}: log in with `{}`",
                context.command("login")
            )
        };
        context.output.result(&report, text)?;
        return Ok(Exit::Done);
    }
    let report = StatusReport {
        user,
        status: client.status().await?,
        health: client.health().await?,
    };
    context.output.result(&report, || describe(&report))?;
    Ok(Exit::Done)
}

/// The network of the node.
fn network(status: &Status) -> String {
    let name = escape(&status.network);
    match &status.network_key {
        Some(key) => format!("{name}, private: key {key}"),
        None => name.to_string(),
    }
}

fn describe(
    StatusReport {
        status,
        user,
        health,
    }: &StatusReport,
) -> String {
    let uptime = Duration::try_from_secs_f64(status.uptime_seconds).unwrap_or_default();
    let mut lines = vec![
        format!("node       {} ({})", status.peer_id, escape(&status.name)),
        format!("user       {}", user::line(user)),
        format!("network    {}", network(status)),
        format!("version    {}", escape(&status.version)),
        format!("running    {}", time(uptime)),
        format!("shares     {}", status.shares),
        format!("downloads  {} unfinished", status.downloads),
        format!("peers      {}", status.peers),
        format!("reach      {}", reach(&status.reach)),
        format!(
            "moved      {} sent, {} received in all",
            bytes(status.sent_bytes),
            bytes(status.received_bytes)
        ),
        format!("api        {}", status.api.as_deref().unwrap_or("off")),
        format!("gateway    {}", status.gateway.as_deref().unwrap_or("off")),
    ];
    let listen = status.listen.iter();
    lines.extend(listen.map(|address| format!("listening  {address}")));
    let rows = health::rows(health).into_iter();
    lines.extend(rows.map(|row| format!("{:10} {}", row.name, row.line)));
    for notice in &health.notices {
        let state = if notice.problem { "problem" } else { "warning" };
        lines.push(format!("{state:10} {}", health::notice(notice)));
        let remedy = notice.remedy.as_deref().map(escape);
        lines.extend(remedy.map(|remedy| format!("{:10} {remedy}", "")));
    }
    lines.join("\n")
}

/// How others reach the node, and whether it helps others.
fn reach(reach: &Reach) -> String {
    let mut line = escape(&reach.summary);
    if reach.relay {
        let circuits = count(reach.circuits, "connection");
        line += &format!("; relays {circuits} for others");
    }
    line
}
