//! How fast files travel: nodes in one process, over real loopback sockets, with their data and files on
//! a real disk. Every copy is compared with the original, outside the clock. Writes a summary, a
//! report for machines and a plot a case.
//!
//! ```text
//! cargo run --release --example benchmark
//! cargo run --release --example benchmark -- --short --output /tmp/benchmark sizes sources
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `cases` | what is measured, one function a case |
//! | `resilience` | the case in which sources die and come back |
//! | `api` | the case in which the local API answers while a download runs |
//! | `dead` | the case in which most of those who are said to have it are gone |
//! | `peers` | nodes with folders of their own, and timed downloads |
//! | `figures` | what came of it: runs, median and spread |
//! | `report`, `plots` | how it is written down |

mod api;
mod cases;
mod dead;
mod figures;
mod peers;
mod plots;
mod report;
mod resilience;

use std::{error::Error, fs, path::PathBuf};

use clap::{Parser, ValueEnum};

use crate::{figures::Figures, peers::Place};

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Clone, Parser)]
struct Arguments {
    /// What to measure; everything if nothing is named.
    cases: Vec<Case>,
    /// Where the report goes; the copies, too, until they are compared.
    #[arg(long, default_value = "benchmark")]
    output: PathBuf,
    /// How often each figure is taken.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Small files, and few of them: seconds in all, and no figures to be proud of.
    #[arg(long)]
    short: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Case {
    /// One large file from one source.
    Single,
    /// Files of 1 KB to 1 GiB.
    Sizes,
    /// One file from 1, 2, 4 and 8 sources.
    Sources,
    /// Many downloads of one node, one after another and at once.
    Concurrent,
    /// Sources that die and come back while a file is fetched.
    Resilience,
    /// A few sources among many that are dead.
    Dead,
    /// A folder of many small files.
    Folder,
    /// The local API, while a download runs.
    Api,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.output)?;
    // Beside the report: whoever says where that goes chooses the disk.
    let place = Place::new(&arguments.output)?;
    let scale = if arguments.short {
        cases::SHORT
    } else {
        cases::FULL
    };
    let cases = match &arguments.cases[..] {
        [] => Case::value_variants(),
        named => named,
    };
    let mut all = Vec::new();
    for case in cases {
        let figures = measure(*case, &place, &scale, arguments.repeat).await?;
        print!("{figures}");
        all.push(figures);
    }
    report::write(&arguments, &all)?;
    for figures in &all {
        plots::draw(figures, &arguments.output)?;
    }
    println!("written down in {}", arguments.output.display());
    Ok(())
}

async fn measure(
    case: Case,
    place: &Place,
    scale: &cases::Scale,
    repeat: u32,
) -> Result<Figures, Failure> {
    match case {
        Case::Single => cases::single(place, scale, repeat).await,
        Case::Sizes => cases::sizes(place, scale, repeat).await,
        Case::Sources => cases::sources(place, scale, repeat).await,
        Case::Concurrent => cases::concurrent(place, scale, repeat).await,
        Case::Resilience => resilience::measure(place, scale, repeat).await,
        Case::Dead => dead::measure(place, scale, repeat).await,
        Case::Api => api::measure(place, scale, repeat).await,
        Case::Folder => cases::folder(place, scale, repeat).await,
    }
}
