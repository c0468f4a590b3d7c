//! Uploads as a table, and as they change: on a terminal the table is redrawn; otherwise each change
//! of a state is a line, or with `--json` the whole list.

use std::time::Duration;

use console::Term;
use tokio::time::sleep;

use super::{
    context::Context,
    frame::Frame,
    output::Printer,
    signals::Signals,
    table::{Column, Table, truncate},
    text::{bytes, escape, rate},
};
use crate::api::{Client, types::Upload};

/// Time between two looks at the uploads.
const INTERVAL: Duration = Duration::from_millis(500);

/// Characters of a peer id that stand for a peer without a name: the last ones, as the first ones
/// are the same for all.
const SHOWN_ID: usize = 8;

/// Prints uploads, for people as a table.
pub(super) fn print(output: &Printer, uploads: &[Upload]) -> anyhow::Result<()> {
    output.result(uploads, || described(uploads, Printer::width()).join("\n"))
}

/// Shows the uploads as they change, until a signal arrives.
///
/// # Errors
///
/// The node has ended.
pub(super) async fn watch(
    context: &Context,
    client: &Client,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let mut view = View::new(&context.output, true);
    show(client, signals, |uploads| view.show(uploads)).await
}

/// Shows to a person what is sent from now on, until a signal arrives. Programs read
/// `pelago uploads --json`.
///
/// # Errors
///
/// The node has ended.
pub(super) async fn live(
    output: &Printer,
    client: &Client,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    if output.json {
        signals.next().await;
        return Ok(());
    }
    let earlier = client.uploads().await?;
    let mut view = View::new(output, false);
    show(client, signals, |mut uploads| {
        uploads.retain(|upload| {
            let known = earlier.iter().find(|known| is_same(known, upload));
            known.is_none_or(|known| known.sent_bytes != upload.sent_bytes)
        });
        view.show(uploads)
    })
    .await
}

async fn show(
    client: &Client,
    signals: &mut Signals,
    mut take: impl FnMut(Vec<Upload>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    loop {
        let uploads = tokio::select! {
            uploads = client.uploads() => uploads,
            () = signals.next() => return Ok(()),
        };
        take(uploads?)?;
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = signals.next() => return Ok(()),
        }
    }
}

/// How uploads are shown.
enum View {
    Table {
        frame: Frame,
        may_say_none: bool,
    },
    Lines {
        output: Printer,
        shown: Option<Vec<Upload>>,
    },
}

impl View {
    /// `may_say_none`: whether to say so if there are none.
    fn new(output: &Printer, may_say_none: bool) -> Self {
        let terminal = Term::buffered_stdout();
        if terminal.is_term() && !output.json {
            return Self::Table {
                frame: Frame::new(terminal),
                may_say_none: may_say_none && !output.quiet,
            };
        }
        let (output, shown) = (output.clone(), None);
        Self::Lines { output, shown }
    }

    fn show(&mut self, uploads: Vec<Upload>) -> anyhow::Result<()> {
        match self {
            Self::Table {
                frame,
                may_say_none,
            } => frame.draw(|rows, columns| match &uploads[..] {
                [] if *may_say_none => vec![truncate(
                    "no peer has taken anything yet; press Ctrl-C to leave",
                    columns,
                )],
                _ => fitted(&uploads, rows, columns),
            })?,
            Self::Lines { output, shown } => {
                let before = shown.as_deref();
                let news = news(before.unwrap_or_default(), &uploads);
                if !news.is_empty() || (before.is_none() && output.json) {
                    output.result(&uploads, || news.join("\n"))?;
                }
                *shown = Some(uploads);
            }
        }
        Ok(())
    }
}

/// The lines that fit into `rows`: live uploads and the newest ones, and the number of the others.
fn fitted(uploads: &[Upload], rows: usize, width: usize) -> Vec<String> {
    let lines = described(uploads, Some(width));
    if lines.len() <= rows {
        return lines;
    }
    let mut uploads: Vec<_> = uploads.to_vec();
    uploads.reverse();
    uploads.sort_by_key(|upload| upload.state != "sending");
    // One row has the headings, and one the number of those that are left out.
    let fit = rows.saturating_sub(2);
    let left = uploads.len().saturating_sub(fit);
    uploads.truncate(fit);
    let mut lines = described(&uploads, Some(width));
    lines.push(truncate(&format!("{left} more"), width));
    lines.truncate(rows);
    lines
}

fn described(uploads: &[Upload], width: Option<usize>) -> Vec<String> {
    if uploads.is_empty() {
        return Vec::new();
    }
    let columns = [
        Column::text("PEER").min_width(8),
        Column::text("STATE"),
        Column::number("HAS").drop_order(5),
        Column::number("SENT").drop_order(3),
        Column::number("SIZE").drop_order(2),
        Column::number("RATE").drop_order(1),
        Column::text("NAME").min_width(12),
    ];
    Table::new(columns, uploads.iter().map(row)).lines(width)
}

fn row(upload: &Upload) -> Vec<String> {
    let unknown = || "?".to_owned();
    vec![
        peer(upload),
        state(upload),
        held(upload).map_or_else(unknown, |percent| format!("{percent} %")),
        bytes(upload.sent_bytes),
        upload.size.map_or_else(unknown, bytes),
        match &*upload.state {
            "sending" => rate(upload.bytes_per_second),
            _ => String::new(),
        },
        name(upload),
    ]
}

/// The name of the peer; the end of its id if it has none.
fn peer(upload: &Upload) -> String {
    match upload.peer_name.as_deref() {
        Some(name) if !name.is_empty() => escape(name),
        _ => {
            let cut = upload.peer_id.len().saturating_sub(SHOWN_ID);
            format!("…{}", upload.peer_id.get(cut..).unwrap_or_default())
        }
    }
}

/// The name of the content; its hash if that is all that is known.
fn name(upload: &Upload) -> String {
    escape(upload.name.as_deref().unwrap_or(&upload.hash))
}

fn state(upload: &Upload) -> String {
    match (&*upload.state, held(upload)) {
        ("left", Some(percent)) => format!("left at {percent} %"),
        (state, _) => escape(state),
    }
}

/// How much of the content the peer has, in whole percents, by its own statement. 100 only if it has
/// all.
fn held(upload: &Upload) -> Option<u128> {
    let (held, size) = (upload.held_bytes?, upload.size?);
    if upload.state == "done" {
        return Some(100);
    }
    let percent = u128::from(held) * 100 / u128::from(size.max(1));
    Some(percent.min(99))
}

/// A line for each upload whose state has changed.
fn news(before: &[Upload], now: &[Upload]) -> Vec<String> {
    let changed = now.iter().filter(|upload| {
        let known = before.iter().find(|known| is_same(known, upload));
        known.is_none_or(|known| known.state != upload.state)
    });
    let line = |upload: &Upload| {
        let (name, peer, state) = (name(upload), peer(upload), state(upload));
        let sent = bytes(upload.sent_bytes);
        format!("{name} to {peer}: {state}, {sent} sent")
    };
    changed.map(line).collect()
}

fn is_same(one: &Upload, other: &Upload) -> bool {
    one.hash == other.hash && one.peer_id == other.peer_id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(state: &str, held: Option<u64>) -> Upload {
        Upload {
            hash: "ab".repeat(32),
            name: Some("a.bin".to_owned()),
            size: Some(1000),
            peer_id: "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq".to_owned(),
            peer_name: Some("anna".to_owned()),
            group: None,
            state: state.to_owned(),
            sent_bytes: 600,
            held_bytes: held,
            bytes_per_second: 0,
            began_unix_ms: 0,
            ended_unix_ms: None,
        }
    }

    #[test]
    fn only_a_peer_that_is_done_has_all() {
        let unnamed = Upload {
            peer_name: None,
            name: None,
            ..upload("sending", None)
        };
        let uploads = [
            upload("sending", Some(999)),
            upload("sending", Some(1000)),
            upload("left", Some(400)),
            upload("done", Some(1000)),
            unnamed,
        ];
        let lines = described(&uploads[..4], None);
        assert_eq!(
            lines,
            [
                "PEER  STATE           HAS   SENT    SIZE   RATE  NAME",
                "anna  sending        99 %  600 B  1.0 kB  0 B/s  a.bin",
                "anna  sending        99 %  600 B  1.0 kB  0 B/s  a.bin",
                "anna  left at 40 %   40 %  600 B  1.0 kB         a.bin",
                "anna  done          100 %  600 B  1.0 kB         a.bin",
            ]
        );
        assert!(row(&uploads[4])[0].ends_with("…Lr2NASuq"));
    }

    #[test]
    fn a_line_is_printed_when_a_state_changes() {
        let first = [upload("sending", None)];
        assert_eq!(news(&[], &first), ["a.bin to anna: sending, 600 B sent"]);
        assert_eq!(news(&first, &[upload("sending", Some(900))]), [""; 0]);
        assert_eq!(
            news(&first, &[upload("left", Some(900))]),
            ["a.bin to anna: left at 90 %, 600 B sent"]
        );
    }

    #[test]
    fn live_uploads_are_shown_before_those_that_are_over() {
        let uploads: Vec<_> = ["done", "sending", "left", "done"]
            .map(|state| upload(state, Some(1)))
            .to_vec();
        for rows in 0..6 {
            assert!(fitted(&uploads, rows, 80).len() <= rows);
        }
        let lines = fitted(&uploads, 4, 80);
        assert!(
            lines[1].contains("sending") && lines[3] == "2 more",
            "{lines:?}"
        );
    }
}
