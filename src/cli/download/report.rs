//! Prints the result of a download that is done, or that was left to the node.

use std::time::Duration;

use crate::{
    api::types::{Difference, Differences, DownloadStatus, Finished},
    cli::{
        context::Context,
        output::Printer,
        text::{bytes, count, escape, rate, time},
    },
};

/// Most differences of a folder that are printed.
const MAX_DIFFERENCES: usize = 20;

/// Prints a download that is done.
pub(super) fn finished(output: &Printer, finished: &Finished) -> anyhow::Result<()> {
    output.result(finished, || describe(finished))
}

/// Prints a download that was left to the node.
pub(super) fn detached(context: &Context, status: &DownloadStatus) -> anyhow::Result<()> {
    let output = &context.output;
    if output.quiet && !output.json {
        return Ok(());
    }
    output.result(status, || {
        format!(
            "the node downloads {}: `{}` shows its progress",
            escape(&status.name),
            context.command("downloads")
        )
    })
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
    let is_copied = finished.copied_bytes > 0;
    if finished.fetched_bytes == 0 && finished.sources == 0 && !is_copied {
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
    let copied = match finished.copied_bytes {
        0 => String::new(),
        copied => format!(", {} copied from what this node shares", bytes(copied)),
    };
    let fetched = match finished.sources {
        0 => String::new(),
        sources => {
            let rate = rate(finished.bytes_per_second);
            format!(", {rate} from {}", count(sources, "source"))
        }
    };
    format!("{path} ({size}) in {took}{fetched}{copied}{resumed}")
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
            copied_bytes: 0,
            fetched_bytes: 2 << 20,
            differences: None,
        };
        assert_eq!(
            describe(&finished),
            "/tmp/a\\u{202e}b (3.1 MB) in 1.50 s, 1.0 MB/s from 1 source, 1.0 MB were here already"
        );
        let copied = Finished {
            size: 2 << 20,
            copied_bytes: 2 << 20,
            resumed_bytes: 0,
            fetched_bytes: 0,
            sources: 0,
            ..finished.clone()
        };
        assert_eq!(
            describe(&copied),
            "/tmp/a\\u{202e}b (2.1 MB) in 1.50 s, 2.1 MB copied from what this node shares"
        );
        let here = Finished {
            fetched_bytes: 0,
            sources: 0,
            ..finished
        };
        assert_eq!(
            describe(&here),
            "/tmp/a\\u{202e}b (3.1 MB) was here already"
        );
    }
}
