//! `pelago downloads`: the downloads that the running node knows, in the order of their turns.

use std::time::Duration;

use super::{
    attach,
    context::Context,
    output::Exit,
    text::{bytes, harmless, table, time},
    watch,
};
use crate::api::types::DownloadStatus;

/// Digits of a hash that are shown; the verbs take at least 6.
const SHOWN_DIGITS: usize = 8;

/// How to list them.
#[derive(Debug, clap::Args)]
pub(super) struct DownloadsArgs {
    /// Show them as they change, until Ctrl-C; without a terminal, or with --json, as lines
    #[arg(short, long)]
    watch: bool,
}

pub(super) async fn run(context: &Context, args: &DownloadsArgs) -> anyhow::Result<Exit> {
    let client = attach::required(context).await?;
    if args.watch {
        return watch::run(context, &client).await;
    }
    let downloads = client.downloads().await?;
    if downloads.is_empty() {
        context.output.note("the node downloads nothing");
    }
    context.output.result(&downloads, || describe(&downloads))?;
    Ok(Exit::Done)
}

/// A table, with a line below each download that says why it waits or failed, if it does.
pub(super) fn describe(downloads: &[DownloadStatus]) -> String {
    if downloads.is_empty() {
        return String::new();
    }
    let headings = [
        "HASH",
        "STATE",
        " DONE",
        " VERIFIED",
        " SIZE",
        " RATE",
        " LEFT",
        " SOURCES",
        "NAME",
    ];
    let mut rows = vec![headings.map(str::to_owned).to_vec()];
    rows.extend(downloads.iter().map(row));
    let table = table(&rows);
    let mut lines: Vec<_> = table.lines().take(1).map(str::to_owned).collect();
    for (line, download) in table.lines().skip(1).zip(downloads) {
        lines.push(line.to_owned());
        let hint = download
            .error
            .as_ref()
            .and_then(|error| error.hint.as_ref());
        let told = download.why.iter().chain(hint);
        lines.extend(told.map(|text| format!("  {}", harmless(text))));
    }
    lines.join("\n")
}

fn row(download: &DownloadStatus) -> Vec<String> {
    let unknown = || "?".to_owned();
    vec![
        download.hash.chars().take(SHOWN_DIGITS).collect(),
        harmless(&download.state),
        done(download),
        download.verified_bytes.map_or_else(unknown, bytes),
        download.size.map_or_else(unknown, bytes),
        format!("{}/s", bytes(download.bytes_per_second)),
        left(download).map_or_else(String::new, time),
        download.sources.to_string(),
        harmless(&download.name),
    ]
}

/// Whole percents, never rounded up to 100.
fn done(download: &DownloadStatus) -> String {
    match (download.size, download.verified_bytes) {
        (Some(0), _) => "100 %".to_owned(),
        (Some(size), Some(verified)) => {
            format!("{} %", u128::from(verified) * 100 / u128::from(size))
        }
        _ => "?".to_owned(),
    }
}

/// How long it takes at its present rate, if it has one.
fn left(download: &DownloadStatus) -> Option<Duration> {
    let missing = download.size?.checked_sub(download.verified_bytes?)?;
    let seconds = missing.checked_div(download.bytes_per_second)?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::ErrorInfo;

    fn download() -> DownloadStatus {
        DownloadStatus {
            hash: "ab".repeat(32),
            name: "a.bin".to_owned(),
            path: None,
            position: None,
            state: "downloading".to_owned(),
            size: Some(1000),
            verified_bytes: Some(999),
            bytes_per_second: 0,
            sources: 2,
            waits: None,
            why: None,
            error: None,
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let unknown = DownloadStatus {
            size: None,
            verified_bytes: None,
            ..download()
        };
        let fast = DownloadStatus {
            size: Some(10 << 10),
            verified_bytes: Some(0),
            bytes_per_second: 2048,
            ..download()
        };
        assert_eq!(
            describe(&[download(), unknown, fast]),
            "HASH      STATE        DONE  VERIFIED      SIZE       RATE  LEFT  SOURCES  NAME\n\
             abababab  downloading  99 %     999 B    1000 B      0 B/s              2  a.bin\n\
             abababab  downloading     ?         ?         ?      0 B/s              2  a.bin\n\
             abababab  downloading   0 %       0 B  10.0 KiB  2.0 KiB/s   5 s        2  a.bin"
        );
    }

    #[test]
    fn below_a_download_it_says_why_and_what_to_do() {
        let failed = DownloadStatus {
            why: Some("the disk is full".to_owned()),
            error: Some(ErrorInfo::new("write-failed", "the disk is full").with_hint("make room")),
            ..download()
        };
        let told = describe(&[failed, download()]);
        let lines: Vec<_> = told.lines().collect();
        assert_eq!((lines[2], lines[3]), ("  the disk is full", "  make room"));
        assert_eq!(lines.len(), 5);
    }
}
