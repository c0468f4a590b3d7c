//! `pelago stop`: ends the running node.

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{
    attach::{self, RETRY_INTERVAL, SHUTDOWN_TIMEOUT},
    context::Context,
    local,
    output::Exit,
};
use crate::api::types::ErrorInfo;

#[derive(Serialize)]
struct Stopped {
    event: &'static str,
}

/// Ends the node, and returns once its data folder is free.
pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    client.stop().await?;
    let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
    while local::is_running(&context.data_folder)? {
        if Instant::now() >= deadline {
            let message =
                "the node is still ending: it moves the content of a download to its place";
            let hint = format!("`{}` shows when it has ended", context.command("status"));
            return Err(ErrorInfo::new("still-ending", message)
                .with_hint(hint)
                .into());
        }
        sleep(RETRY_INTERVAL).await;
    }
    let stopped = Stopped { event: "stopped" };
    context.output.result(&stopped, || "the node has ended")?;
    Ok(Exit::Done)
}
