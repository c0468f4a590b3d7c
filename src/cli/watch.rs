//! `pelago downloads --watch`: shows downloads as they change. On a terminal, it redraws a table;
//! otherwise it prints a line for each change, or with `--json` the whole list.

use std::time::Duration;

use console::Term;
use tokio::time::{sleep, timeout};

use super::{
    context::Context,
    download::step,
    downloads_table::fitted,
    frame::Frame,
    output::{Exit, Printer},
    signals::Signals,
    table::truncate,
};
use crate::api::{
    CallError, Client,
    types::{DownloadStatus, ErrorInfo, Waiting},
};

/// Time between two updates on a terminal, at least.
const REDRAW_INTERVAL: Duration = Duration::from_millis(250);

/// Time between two updates without a terminal, where lines accumulate, at least.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Time after which an update shows how long downloads have waited, of which no event tells.
const WAIT_INTERVAL: Duration = Duration::from_secs(1);

/// Shows the downloads until a signal arrives. It is an error if the node ends.
pub(super) async fn run(context: &Context, client: &Client) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    let mut view = View::new(&context.output);
    let mut changes = client.changes("downloads").await?;
    loop {
        let downloads = tokio::select! {
            downloads = client.downloads() => downloads,
            () = signals.next() => return Ok(Exit::Done),
        };
        let downloads = downloads.map_err(|error| gone(context, error))?;
        let are_waiting = downloads.iter().any(|download| download.waits.is_some());
        view.show(downloads)?;
        let news = async {
            sleep(view.interval()).await;
            // After the end of the stream, the next call says why.
            _ = timeout_unless(!are_waiting, changes.next()).await;
        };
        tokio::select! {
            () = news => {}
            () = signals.next() => return Ok(Exit::Done),
        }
    }
}

/// Waits for `news`; for some time only, unless that `lasts`.
async fn timeout_unless<T>(lasts: bool, news: impl Future<Output = T>) -> Option<T> {
    match lasts {
        true => Some(news.await),
        false => timeout(WAIT_INTERVAL, news).await.ok(),
    }
}

/// The error of a node that no longer answers.
fn gone(context: &Context, error: CallError) -> anyhow::Error {
    match error {
        CallError::Connect(_) | CallError::Broken(_) => {
            let message = "the node has ended; verified data is kept";
            let hint = format!("`{}` resumes its downloads", context.command("start"));
            ErrorInfo::new("node-unreachable", message)
                .with_hint(hint)
                .into()
        }
        error => error.into(),
    }
}

/// How downloads are shown.
enum View {
    /// Redrawn in place. With `true`, nothing is drawn if there are no downloads.
    Table(Frame, bool),
    Lines {
        output: Printer,
        shown: Option<Vec<DownloadStatus>>,
    },
}

impl View {
    fn new(output: &Printer) -> Self {
        let terminal = Term::buffered_stdout();
        if terminal.is_term() && !output.json {
            return Self::Table(Frame::new(terminal), output.quiet);
        }
        let output = output.clone();
        Self::Lines {
            output,
            shown: None,
        }
    }

    fn interval(&self) -> Duration {
        match self {
            Self::Table(..) => REDRAW_INTERVAL,
            Self::Lines { .. } => LINE_INTERVAL,
        }
    }

    fn show(&mut self, downloads: Vec<DownloadStatus>) -> anyhow::Result<()> {
        match self {
            Self::Table(frame, is_quiet) => frame.draw(|rows, columns| match &downloads[..] {
                [] if *is_quiet => Vec::new(),
                [] => vec![truncate(
                    "there are no downloads; press Ctrl-C to leave",
                    columns,
                )],
                _ => fitted(&downloads, rows, columns),
            })?,
            Self::Lines { output, shown } => {
                let before = shown.as_deref();
                let news = news(before.unwrap_or_default(), &downloads);
                if before.is_none() || !news.is_empty() {
                    output.result(&downloads, || news.join("\n"))?;
                }
                *shown = Some(downloads);
            }
        }
        Ok(())
    }
}

/// A line for each download that changed in more than the time it waits.
fn news(before: &[DownloadStatus], now: &[DownloadStatus]) -> Vec<String> {
    let of = |list: &[DownloadStatus], hash: &str| {
        let mut same = list.iter().filter(|other| other.hash == hash);
        same.next().map(without_time)
    };
    let line = |download: &DownloadStatus| format!("{}: {}", download.name, step(download));
    let changed = now
        .iter()
        .filter(|download| of(before, &download.hash) != Some(without_time(download)));
    let gone = before
        .iter()
        .filter(|download| of(now, &download.hash).is_none());
    let gone = gone.map(|download| format!("{}: no longer listed", download.name));
    changed.map(line).chain(gone).collect()
}

/// The download without the time that it waits, which changes every second.
fn without_time(download: &DownloadStatus) -> DownloadStatus {
    let mut download = download.clone();
    if let Some(Waiting::Source { seconds, .. } | Waiting::Data { seconds, .. }) =
        &mut download.waits
    {
        *seconds = 0.0;
        download.why = None;
    }
    download
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(seconds: f64) -> DownloadStatus {
        DownloadStatus {
            hash: "ab".repeat(32),
            name: "a".to_owned(),
            path: None,
            position: None,
            group: None,
            state: "finding-sources".to_owned(),
            size: None,
            verified_bytes: Some(0),
            bytes_per_second: 0,
            sources: 0,
            waits: Some(Waiting::Source {
                seconds,
                tried: String::new(),
            }),
            notice: None,
            why: Some(format!("no source for {seconds} s")),
            error: None,
            differences: None,
        }
    }

    #[test]
    fn only_changes_are_printed() {
        let first = news(&[], &[waiting(1.0)]);
        assert_eq!(first, ["a: finding-sources, no source for 1 s"]);
        assert_eq!(news(&[waiting(1.0)], &[waiting(2.0)]), [""; 0]);
        let done = DownloadStatus {
            state: "done".to_owned(),
            waits: None,
            why: None,
            ..waiting(2.0)
        };
        assert_eq!(
            news(&[waiting(1.0)], std::slice::from_ref(&done)),
            ["a: done, 0 sources"]
        );
        assert_eq!(news(&[done], &[]), ["a: no longer listed"]);
    }
}
