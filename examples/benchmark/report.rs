//! The files that are written: a summary for people and a report for programs.

use std::{fs, num::NonZero, thread};

use serde_json::{Value, json};

use crate::{
    Arguments, Failure,
    figures::{Figures, Row},
};

const SUMMARY: &str = "benchmark_summary.txt";
const REPORT: &str = "benchmark_report.json";

pub(crate) fn write(arguments: &Arguments, all: &[Figures]) -> Result<(), Failure> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let head = format!(
        "pelago {}, {} {}, {cores} cores, {} of each figure{}\n\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        arguments.repeat,
        if arguments.short { ", short" } else { "" },
    );
    let body: String = all.iter().map(Figures::to_string).collect();
    fs::write(arguments.output.join(SUMMARY), head + &body)?;
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "cores": cores,
        "short": arguments.short,
        "repeat": arguments.repeat,
        "cases": all.iter().map(case).collect::<Vec<_>>(),
    });
    let report = serde_json::to_string_pretty(&report)?;
    Ok(fs::write(arguments.output.join(REPORT), report)?)
}

fn case(figures: &Figures) -> Value {
    json!({
        "case": figures.case,
        "title": figures.title,
        "rows": figures.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn row(row: &Row) -> Value {
    json!({
        "label": row.label,
        "bytes": row.bytes,
        "median_seconds": row.median().as_secs_f64(),
        "least_seconds": row.least().as_secs_f64(),
        "most_seconds": row.most().as_secs_f64(),
        "seconds": row.runs.iter().map(|run| run.as_secs_f64()).collect::<Vec<_>>(),
        "bytes_per_second": row.rate(row.median()),
        "note": row.note,
    })
}
