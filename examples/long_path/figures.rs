//! Runs, their medians, and the table of them.

use std::{fmt::Write as _, time::Duration};

use crate::{Way, line::Line, programs::Ended, router::Carried};

/// One measurement.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) ended: Ended,
    pub(crate) carried: Carried,
}

impl Run {
    /// The bytes a second of its middle; of all of it if it was stopped.
    fn steady(&self) -> f64 {
        match self.ended.is_stopped {
            true => self.carried.bytes as f64 / self.ended.took.as_secs_f64(),
            false => self.carried.steady(),
        }
    }
}

/// A table, with ratios to the last plain connection.
#[derive(Default)]
pub(crate) struct Table {
    /// The bytes a second that a plain connection has delivered in the median: in all, and steadily.
    plain: Option<(f64, f64)>,
}

impl Table {
    pub(crate) const HEAD: &str = "\
| line, loss | way | all of it, s | Mbit/s | to plain | in its middle, of the line | to plain | memory, MiB | carried, times its size | lost, refused of packets | router late, ms |
|---|---|---|---|---|---|---|---|---|---|---|";

    /// A row of runs that each moved `bytes`, and at once the reference of later rows if it is of
    /// plain connections.
    pub(crate) fn row(
        &mut self,
        what: &str,
        way: Way,
        line: &Line,
        bytes: u64,
        runs: &[Run],
    ) -> String {
        let is_complete = runs.iter().all(|run| !run.ended.is_stopped);
        let took = runs.iter().map(|run| run.ended.took.as_secs_f64());
        let seconds = spread(took.collect());
        let whole = bytes as f64 / seconds.median;
        let full = line.bytes_in(Duration::from_secs(1)) as f64;
        let steady = spread(runs.iter().map(Run::steady).collect());
        if way == Way::Plain {
            self.plain = Some((whole, steady.median));
        }
        let mut row = format!("| {what} | {way} |");
        let ratio = |value: f64, plain: Option<f64>| {
            plain.map_or_else(String::new, |plain| format!("{:.2}", value / plain))
        };
        let plain = self.plain.filter(|_| way != Way::Plain);
        // Writing to a text never fails.
        let _ = match is_complete {
            true => write!(
                row,
                " {:.2} ({:.2} to {:.2}) | {:.0} | {} |",
                seconds.median,
                seconds.least,
                seconds.most,
                whole * 8e-6,
                ratio(whole, plain.map(|plain| plain.0)),
            ),
            false => write!(row, " stopped | | |"),
        };
        let sum = |of: fn(&Carried) -> u64| runs.iter().map(|run| of(&run.carried)).sum::<u64>();
        let (lost, refused) = (sum(|c| c.lost), sum(|c| c.refused));
        let all = (sum(|c| c.packets) + lost + refused).max(1) as f64;
        let late = runs.iter().map(|run| run.carried.late).max();
        let _ = write!(
            row,
            " {:.1} % ({:.1} to {:.1}) | {} | {} | {:.2} | {:.2} %, {:.2} % | {:.1} |",
            steady.median / full * 100.0,
            steady.least / full * 100.0,
            steady.most / full * 100.0,
            ratio(steady.median, plain.map(|plain| plain.1)),
            runs.iter().map(|run| run.ended.memory).max().unwrap_or(0),
            sum(|c| c.bytes) as f64 / (bytes * runs.len() as u64) as f64,
            lost as f64 / all * 100.0,
            refused as f64 / all * 100.0,
            late.unwrap_or_default().as_secs_f64() * 1e3,
        );
        row
    }
}

struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

fn spread(mut values: Vec<f64>) -> Spread {
    values.sort_unstable_by(f64::total_cmp);
    let at = |at: usize| values.get(at).copied().unwrap_or(f64::NAN);
    Spread {
        least: at(0),
        median: at(values.len() / 2),
        most: at(values.len().saturating_sub(1)),
    }
}
