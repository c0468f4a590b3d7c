//! `pelago doctor`: what is wrong with this node and its machine, and how to mend it.
//!
//! Looks, and changes nothing. Every [`Finding`] is a line; a node that runs is asked for what only it
//! can know. No message of ours carries the time, so the clock is compared with what was written here.
//!
//! | file | owns |
//! |---|---|
//! | `data` | the database, what was set aside as damaged, what is lost |
//! | `machine` | data folder, disk, file descriptors, clock |
//! | `node` | what the running node relies on, its limits, and what is wrong with it |
//! | `network` | ports, whether others reach us, mDNS, bootstrap and DHT |
//! | `shares` | whether all that is shared is there, and is what is listed |

mod data;
mod machine;
mod network;
mod node;
mod shares;

use serde::Serialize;

pub(super) use self::shares::DoctorArgs;
use super::{
    attach,
    context::Context,
    local,
    output::{self, Exit},
    text::harmless,
};
use crate::api::types::{ErrorInfo, Health, Status, UnavailableShares};

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// It works, but for something that may be wanted.
    Warning,
    /// It does not work, or is not safe.
    Problem,
}

/// What came of looking at one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    message: String,
    /// How to mend it.
    hint: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            message: message.into(),
            hint: None,
        }
    }

    fn warning(check: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            state: State::Warning,
            hint: Some(hint.into()),
            ..Self::ok(check, message)
        }
    }

    fn problem(check: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            state: State::Problem,
            ..Self::warning(check, message, hint)
        }
    }
}

/// What a running node says of itself.
struct Running {
    status: Status,
    health: Health,
    unavailable: UnavailableShares,
}

pub(super) async fn run(context: &Context, args: &DoctorArgs) -> anyhow::Result<Exit> {
    let mut findings = vec![settings(context)];
    findings.extend(machine::examine(&context.data_folder));
    // Where that cannot be told, the node is asked below and says why.
    let is_running = local::is_running(&context.data_folder).unwrap_or(true);
    let data = data::examine(&context.data_folder, is_running);
    let is_sound = data.iter().all(|found| found.state != State::Problem);
    findings.extend(data);
    match ask(context).await {
        Ok(Some(running)) => {
            findings.extend(shares::states(running.status.shares, &running.unavailable));
            findings.extend(network::of_node(&running));
            findings.extend(node::examine(&running.health));
        }
        Ok(None) => {
            // Opening a damaged database replaces it, and this changes nothing.
            if is_sound {
                findings.extend(shares::without_node(context));
            }
            // A running node says what its own process may do.
            findings.extend(machine::limits());
            findings.extend(network::without_node(context));
        }
        Err(error) => {
            let ErrorInfo { message, hint, .. } = output::describe(&error);
            let hint = hint.unwrap_or_else(|| "end it, and start it again".to_owned());
            findings.push(Finding::problem("node", message, hint));
        }
    }
    findings.push(network::mdns(&context.config));
    if args.check_shares {
        findings.extend(shares::examine(context).await?);
    }
    context.output.result(&findings, || describe(&findings))?;
    let is_bad = findings
        .iter()
        .any(|finding| finding.state == State::Problem);
    Ok(if is_bad { Exit::Failed } else { Exit::Done })
}

fn settings(context: &Context) -> Finding {
    match &context.settings_error {
        None => Finding::ok("settings", "every setting is understood"),
        Some(error) => Finding::problem(
            "settings",
            error.clone(),
            "mend it there; until then no command works, and what follows is for the defaults",
        ),
    }
}

/// The node that runs on the data folder, if one does.
async fn ask(context: &Context) -> anyhow::Result<Option<Running>> {
    let Some(client) = attach::running(&context.data_folder).await? else {
        return Ok(None);
    };
    Ok(Some(Running {
        status: client.status().await?,
        health: client.health().await?,
        // A node of an older version does not know.
        unavailable: client.unavailable().await.unwrap_or_default(),
    }))
}

fn describe(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let state = match finding.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Problem => "problem",
        };
        let hint = finding.hint.as_deref().map(harmless);
        let hint = hint.map_or_else(String::new, |hint| format!("\n{:21}{hint}", ""));
        format!(
            "{state:8} {:11} {}{hint}",
            finding.check,
            harmless(&finding.message)
        )
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_a_line_and_how_to_mend_it() {
        let findings = [
            Finding::ok("disk", "44.0 GiB are free"),
            Finding::problem(
                "data folder",
                "others may enter /a\u{1b}[2J",
                "chmod 700 /a",
            ),
        ];
        assert_eq!(
            describe(&findings),
            "ok       disk        44.0 GiB are free\n\
             problem  data folder others may enter /a\\u{1b}[2J\n\
             \x20                    chmod 700 /a"
        );
        let json = serde_json::to_value(&findings[1]).unwrap();
        assert_eq!(json["state"], "problem");
    }
}
