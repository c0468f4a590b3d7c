//! How fast files travel: nodes in one process, over real loopback sockets, with their data and files on
//! a real disk. Compares every copy with the original, outside the clock. Writes a summary, a report
//! for programs, and a plot for each case.
//!
//! ```text
//! cargo run --release --example benchmark
//! cargo run --release --example benchmark -- --short --output /tmp/benchmark sizes sources
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `cases` | the cases, one function each |
//! | `resilience` | the case in which sources die and restart |
//! | `api` | the case in which the local API answers while a download runs |
//! | `groups` | the cases of groups |
//! | `dead` | the case in which most of the named sources are gone |
//! | `peers` | nodes with folders of their own, and timed downloads |
//! | `figures` | results: runs, median and spread |
//! | `report`, `plots` | the files that are written |

mod api;
mod cases;
mod dead;
mod figures;
mod groups;
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
    /// The cases to run; all if none is named.
    cases: Vec<Case>,
    /// The folder of the report, and of the copies until they are compared.
    #[arg(long, default_value = "benchmark")]
    output: PathBuf,
    /// How often each measurement is taken.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Few and small files: takes seconds; the figures mean little.
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
    /// Many downloads of one node, one after another and concurrently.
    Concurrent,
    /// Sources that die and restart while a file is fetched.
    Resilience,
    /// A few sources among many dead ones.
    Dead,
    /// A folder of many small files.
    Folder,
    /// The local API, while a download runs.
    Api,
    /// A member of a group who is admitted, and removed.
    Groups,
    /// One file for everyone, and one in a group.
    Access,
    /// Changes of many groups.
    Changes,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.output)?;
    // Beside the report: its path chooses the disk.
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
    println!("the report is in {}", arguments.output.display());
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
        Case::Groups => groups::measure(place, scale, repeat).await,
        Case::Access => groups::access(place, scale, repeat).await,
        Case::Changes => groups::changes(place, repeat).await,
        Case::Folder => cases::folder(place, scale, repeat).await,
    }
}
