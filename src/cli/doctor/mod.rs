//! `pelago doctor`: finds problems of this node and its machine, and shows how to fix them.
//!
//! Changes nothing. Prints one line for each [`Finding`], and asks a running node for what only the
//! node knows. No message of a peer carries the time, so the clock is compared with files of this
//! node.
//!
//! | file | owns |
//! |---|---|
//! | `finding`, `node_report` | the result of a check; the state of a running node |
//! | `data` | the database, damaged files that were set aside, lost shares |
//! | `machine` | data folder, disk, file descriptors, clock |
//! | `node` | what the running node relies on, its limits, and its notices |
//! | `network` | ports, whether peers reach the node, mDNS, bootstrap and DHT |
//! | `shares`, `check_shares` | whether shares are available; whether they hold the listed content |

mod check_shares;
mod data;
mod finding;
mod machine;
mod mdns;
mod network;
mod node;
mod node_report;
mod shares;

use super::{
    context::Context,
    local,
    output::{self, Exit},
    text::escape,
};
use crate::api::types::{ErrorInfo, Setting};
use finding::{Finding, Severity};

/// Which checks to run.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Read all shared files, and report those that do not hold the listed content; takes as long
    /// as reading them
    #[arg(long)]
    check_shares: bool,
}

pub(super) async fn run(context: &Context, args: &DoctorArgs) -> anyhow::Result<Exit> {
    let mut findings = vec![check_settings(context)];
    findings.extend(machine::examine(&context.data_folder));
    // On an error, the node is asked below, which reports the error.
    let is_running = local::is_running(&context.data_folder).unwrap_or(true);
    let data = match context.data_folder.is_file() {
        // There is nothing in it.
        true => Vec::new(),
        false => data::examine(&context.data_folder, is_running),
    };
    let is_sound = data.iter().all(|found| found.state != Severity::Problem);
    findings.extend(data);
    let settings = context.settings.list().into_iter();
    let mut settings: Vec<Setting> = settings.map(Into::into).collect();
    match node_report::ask(context).await {
        Ok(Some(running)) => {
            findings.extend(shares::states(running.status.shares, &running.unavailable));
            findings.extend(network::of_node(&running));
            findings.extend(node::examine(&running.health));
            settings = running.settings;
        }
        Ok(None) => {
            // Opening a damaged database replaces it, and the doctor changes nothing.
            if is_sound {
                findings.extend(shares::without_node(context));
            }
            // A running node reports the limits of its own process.
            findings.extend(machine::limits());
            findings.extend(network::without_node(context));
        }
        Err(error) => {
            let ErrorInfo { message, hint, .. } = output::error_info(&error);
            let hint = hint.unwrap_or_else(|| "restart the node".to_owned());
            findings.push(Finding::problem("node", message, hint));
        }
    }
    findings.push(mdns::discovery(&settings));
    if args.check_shares {
        findings.extend(check_shares::examine(context).await?);
    }
    context.output.result(&findings, || describe(&findings))?;
    let is_bad = findings
        .iter()
        .any(|finding| finding.state == Severity::Problem);
    Ok(if is_bad { Exit::Failed } else { Exit::Done })
}

fn check_settings(context: &Context) -> Finding {
    const CHECK: &str = "settings";
    match (&context.settings_error, &context.ignored[..]) {
        (None, []) => Finding::ok(CHECK, "all settings are valid"),
        (None, [ignored, ..]) => {
            let hint = "remove settings of earlier versions from the file or the environment";
            Finding::warning(CHECK, ignored.to_string(), hint)
        }
        (Some(error), _) => Finding::problem(
            CHECK,
            error.clone(),
            "correct it there: until then no other command works; the following checks use the \
             default settings",
        ),
    }
}

fn describe(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let state = match finding.state {
            Severity::Ok => "ok",
            Severity::Warning => "warning",
            Severity::Problem => "problem",
        };
        let hint = finding.hint.as_deref().map(escape);
        let hint = hint.map_or_else(String::new, |hint| format!("\n{:21}{hint}", ""));
        format!(
            "{state:8} {:11} {}{hint}",
            finding.check,
            escape(&finding.message)
        )
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_a_line_with_its_remedy() {
        let findings = [
            Finding::ok("disk", "44.0 GB are free"),
            Finding::problem(
                "data folder",
                "others may enter /a\u{1b}[2J",
                "chmod 700 /a",
            ),
        ];
        assert_eq!(
            describe(&findings),
            "ok       disk        44.0 GB are free\n\
             problem  data folder others may enter /a\\u{1b}[2J\n\
             \x20                    chmod 700 /a"
        );
        let json = serde_json::to_value(&findings[1]).unwrap();
        assert_eq!(json["state"], "problem");
    }
}
