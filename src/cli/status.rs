//! `pelago status`: the running node.

use std::time::Duration;

use super::{
    attach,
    context::Context,
    output::Exit,
    text::{harmless, time},
};
use crate::api::types::Status;

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let status = attach::required(context).await?.status().await?;
    context.output.result(&status, || describe(&status))?;
    Ok(Exit::Done)
}

fn describe(status: &Status) -> String {
    let uptime = Duration::try_from_secs_f64(status.uptime_seconds).unwrap_or_default();
    let mut lines = vec![
        format!("node       {} ({})", status.peer_id, harmless(&status.name)),
        format!("version    {}", harmless(&status.version)),
        format!("running    {}", time(uptime)),
        format!("shares     {}", status.shares),
        format!("downloads  {} running", status.downloads),
        format!("peers      {}", status.peers),
        format!("api        {}", status.api.as_deref().unwrap_or("off")),
        format!("gateway    {}", status.gateway.as_deref().unwrap_or("off")),
    ];
    lines.extend(
        status
            .listen
            .iter()
            .map(|address| format!("listening  {address}")),
    );
    lines.join("\n")
}
