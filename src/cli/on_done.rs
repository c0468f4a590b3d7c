//! The command of `transfer.on_done`: the node gives it to the shell for each download that is done.

use std::{
    process::{Command, Stdio},
    sync::Arc,
};

use tokio::{
    sync::{Semaphore, broadcast::error::RecvError},
    task::spawn_blocking,
};

use crate::node::{Finished, Node};

/// Commands that run at the same time, at most. The others wait; of many that wait, the first ones are
/// left out.
const AT_A_TIME: usize = 4;

/// Runs `command` for each download of `node` that is done from now on, if it is not empty.
pub(super) fn run(node: &Node, command: &str) {
    if command.is_empty() {
        return;
    }
    let (node, command) = (node.clone(), Arc::<str>::from(command));
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    node.clone().duties().run("on-done", move || {
        let (mut finished, command) = (node.finished(), Arc::clone(&command));
        let permits = Arc::clone(&permits);
        async move {
            loop {
                let finished = match finished.recv().await {
                    Ok(finished) => finished,
                    Err(RecvError::Lagged(count)) => {
                        tracing::warn!(count, "transfer.on_done did not run for some downloads");
                        continue;
                    }
                    Err(RecvError::Closed) => return Ok(()),
                };
                let permit = Arc::clone(&permits).acquire_owned().await?;
                let command = Arc::clone(&command);
                spawn_blocking(move || {
                    run_for(&command, &finished);
                    drop(permit);
                });
            }
        }
    });
}

/// Runs the command for one download, and waits for its end. Blocks.
fn run_for(command: &str, finished: &Finished) {
    let (shell, flag) = if cfg!(windows) {
        ("cmd", "/C")
    } else {
        ("/bin/sh", "-c")
    };
    let ended = Command::new(shell)
        .args([flag, command])
        .env("PELAGO_HASH", finished.hash.to_string())
        // A variable cannot hold the character that ends it.
        .env("PELAGO_NAME", finished.name.replace('\0', "\u{fffd}"))
        .env("PELAGO_PATH", &finished.path)
        .env("PELAGO_SIZE", finished.size.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match ended {
        Ok(status) if status.success() => {}
        Ok(status) => tracing::warn!(command, %status, "the command of transfer.on_done failed"),
        Err(error) => {
            tracing::warn!(command, %error, "the command of transfer.on_done cannot be started");
        }
    }
}
