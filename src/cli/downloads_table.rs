//! Downloads as a table: a line for each and, below it, why it waits or failed.

use std::time::Duration;

use console::Style;

use super::{
    output::Printer,
    table::{Column, Table, truncate, wrap},
    text::{bytes, escape, rate, time},
};
use crate::api::types::DownloadStatus;

/// Digits of a hash that are shown; commands take at least 6.
const SHOWN_DIGITS: usize = 8;

/// Prints downloads, for people as a table.
pub(super) fn print(output: &Printer, downloads: &[DownloadStatus]) -> anyhow::Result<()> {
    // Cells and reasons are escaped already.
    output.styled(downloads, || {
        described(downloads, Printer::width()).join("\n")
    })
}

/// The lines that fit into `rows`: complete downloads with their reasons, and the number of the
/// others. Ended downloads are left out first.
pub(super) fn fitted(downloads: &[DownloadStatus], rows: usize, width: usize) -> Vec<String> {
    let lines = described(downloads, Some(width));
    if lines.len() <= rows {
        return lines;
    }
    let mut downloads = downloads.to_vec();
    downloads.sort_by_key(|download| is_ended(&download.state));
    let mut lines = Vec::new();
    let mut left = downloads.len();
    let mut blocks = blocks(&downloads, Some(width)).into_iter();
    lines.extend(blocks.next().into_iter().flatten());
    for block in blocks {
        // One row is for the number of those that are left out.
        if lines.len() + block.len() >= rows {
            break;
        }
        lines.extend(block);
        left -= 1;
    }
    lines.push(truncate(&format!("{left} more"), width));
    lines.truncate(rows);
    lines
}

/// Whether the node does nothing for a download in this state.
pub(super) fn is_ended(state: &str) -> bool {
    matches!(state, "done" | "failed" | "paused")
}

fn described(downloads: &[DownloadStatus], width: Option<usize>) -> Vec<String> {
    if downloads.is_empty() {
        return Vec::new();
    }
    blocks(downloads, width).into_iter().flatten().collect()
}

/// The style of a state.
fn style(state: &str) -> Style {
    match state {
        "done" => Style::new().green(),
        "failed" => Style::new().red(),
        "downloading" => Style::new().cyan(),
        _ => Style::new().yellow(),
    }
}

/// The headings, then for each download its line and, if it waits or failed, why.
fn blocks(downloads: &[DownloadStatus], width: Option<usize>) -> Vec<Vec<String>> {
    let columns = [
        Column::text("HASH").drop_order(6),
        Column::text("STATE").styled(style),
        Column::number("DONE"),
        Column::number("VERIFIED").drop_order(1),
        Column::number("SIZE").drop_order(3),
        Column::number("RATE").drop_order(5),
        Column::number("LEFT").drop_order(4),
        Column::number("SOURCES").drop_order(2),
        Column::text("NAME").min_width(16),
    ];
    let table = Table::new(columns, downloads.iter().map(row)).lines(width);
    let mut blocks: Vec<_> = table.into_iter().map(|line| vec![line]).collect();
    for (block, download) in blocks.iter_mut().skip(1).zip(downloads) {
        block.extend(reason(download, width));
    }
    blocks
}

/// Why a download waits or failed, and what to do.
fn reason(download: &DownloadStatus, width: Option<usize>) -> Vec<String> {
    const INDENT: &str = "  ";
    let hint = download
        .error
        .as_ref()
        .and_then(|error| error.hint.as_ref());
    let texts = download.why.iter().chain(hint).map(|text| escape(text));
    let lines = texts.flat_map(|text| match width {
        Some(width) => wrap(&text, width.saturating_sub(INDENT.len())),
        None => vec![text],
    });
    lines.map(|line| format!("{INDENT}{line}")).collect()
}

fn row(download: &DownloadStatus) -> Vec<String> {
    let unknown = || "?".to_owned();
    vec![
        download.hash.chars().take(SHOWN_DIGITS).collect(),
        escape(&download.state),
        done(download),
        download.verified_bytes.map_or_else(unknown, bytes),
        download.size.map_or_else(unknown, bytes),
        rate(download.bytes_per_second),
        left(download).map_or_else(String::new, time),
        download.sources.to_string(),
        escape(&download.name),
    ]
}

/// Whole percents, never rounded up to 100. What has no bytes is done when all of it is.
fn done(download: &DownloadStatus) -> String {
    match (download.size, download.verified_bytes) {
        _ if download.state == "done" => "100 %".to_owned(),
        (Some(0), _) => "0 %".to_owned(),
        (Some(size), Some(verified)) => {
            format!("{} %", u128::from(verified) * 100 / u128::from(size))
        }
        _ => "?".to_owned(),
    }
}

/// The time left at the current rate; none without a rate.
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
            group: None,
            state: "downloading".to_owned(),
            size: Some(1000),
            verified_bytes: Some(999),
            bytes_per_second: 0,
            sources: 2,
            waits: None,
            notice: None,
            why: None,
            error: None,
            differences: None,
        }
    }

    #[test]
    fn unknown_values_are_not_guessed() {
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
        // A folder that holds only folders has no bytes.
        let empty = |state: &str| DownloadStatus {
            state: state.to_owned(),
            size: Some(0),
            verified_bytes: Some(0),
            ..download()
        };
        assert_eq!(done(&empty("downloading")), "0 %");
        assert_eq!(done(&empty("done")), "100 %");
        let downloads = [download(), unknown, fast];
        assert_eq!(
            described(&downloads, None).join("\n"),
            "HASH      STATE        DONE  VERIFIED     SIZE      RATE  LEFT  SOURCES  NAME\n\
             abababab  downloading  99 %     999 B   1.0 kB     0 B/s              2  a.bin\n\
             abababab  downloading     ?         ?        ?     0 B/s              2  a.bin\n\
             abababab  downloading   0 %       0 B  10.2 kB  2.0 kB/s   5 s        2  a.bin"
        );
        assert_eq!(
            described(&downloads, Some(60)),
            [
                "HASH      STATE        DONE     SIZE      RATE  LEFT  NAME",
                "abababab  downloading  99 %   1.0 kB     0 B/s        a.bin",
                "abababab  downloading     ?        ?     0 B/s        a.bin",
                "abababab  downloading   0 %  10.2 kB  2.0 kB/s   5 s  a.bin",
            ]
        );
    }

    #[test]
    fn downloads_that_do_not_fit_are_counted_and_ended_ones_left_out_first() {
        let called = |name: &str, state: &str, why: Option<&str>| DownloadStatus {
            name: name.to_owned(),
            state: state.to_owned(),
            why: why.map(str::to_owned),
            ..download()
        };
        let downloads = [
            called("first", "done", None),
            called("second", "downloading", None),
            called("third", "queued", Some("two go before it")),
            called("fourth", "queued", None),
        ];
        let shown = |rows| {
            let lines = fitted(&downloads, rows, 80);
            assert!(lines.len() <= rows, "{lines:?}");
            let last = |line: &String| line.rsplit("  ").next().unwrap().to_owned();
            lines[1..].iter().map(last).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(6),
            ["first", "second", "third", "two go before it", "fourth"]
        );
        assert_eq!(shown(5), ["second", "third", "two go before it", "2 more"]);
        assert_eq!(
            shown(4),
            ["second", "3 more"],
            "a reason stays with its download"
        );
        assert_eq!(fitted(&[], 5, 80), [""; 0]);
        for rows in 0..4 {
            assert!(fitted(&downloads, rows, 80).len() <= rows);
        }
    }

    #[test]
    fn a_reason_and_a_hint_follow_their_download() {
        let failed = DownloadStatus {
            why: Some("the disk is full".to_owned()),
            error: Some(ErrorInfo::new("write-failed", "the disk is full").with_hint("make width")),
            ..download()
        };
        let lines = described(&[failed.clone(), download()], None);
        assert_eq!(lines[2..4], ["  the disk is full", "  make width"]);
        assert_eq!(lines.len(), 5);
        let lines = described(&[failed], Some(14));
        assert_eq!(lines[2..], ["  the disk is", "  full", "  make width"]);
    }
}
