//! Lays siege to Pelago: real nodes share, download, are killed and restart, while strangers attack them in
//! all the ways that docs/SECURITY.md names, at the same time. Compares every download, and watches memory and
//! open files.
//!
//! ```text
//! cargo run --release --example siege -- --short
//! cargo run --release --example siege -- --minutes 60 --seed 7 --output siege.json
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `town` | the nodes, and the commands of their users |
//! | `attackers` | the attacks of strangers |
//! | `raw` | a connection on which an attacker writes any bytes |
//! | `watch` | memory and open files of the nodes |
//! | `pelago`, `content` | processes of the real program, and content; shared with `examples/torture` |

mod attackers;
#[allow(dead_code, reason = "torture uses all of it")]
#[path = "../torture/content.rs"]
mod content;
#[allow(dead_code, reason = "torture uses all of it")]
#[path = "../torture/pelago.rs"]
mod pelago;
mod raw;
mod town;
mod watch;

use std::{
    error::Error,
    fs,
    path::PathBuf,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::json;

use crate::{attackers::Attack, town::Town, watch::Watch};

type Failure = Box<dyn Error + Send + Sync>;

/// Memory that a node may hold beside the budget for its connections, in MiB (docs/SECURITY.md).
const BESIDE_BUDGET: u64 = 100;

/// Memory in MiB that a node may keep a minute after the attack, beyond a fifth more than before and the
/// records of the DHT: the ends of its heaps, and what its own downloads take at that moment.
const KEPT: u64 = 16;

/// Open files that may be left a minute after the attack.
const KEPT_FILES: u64 = 32;

#[derive(Parser)]
struct Arguments {
    /// Run for a minute in total.
    #[arg(long)]
    short: bool,
    /// The seed from which the commands of the users follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long the attack lasts.
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// network.memory_budget_mib of each node.
    #[arg(long, default_value_t = 64)]
    budget: u64,
    /// The program to attack; without it, the one of this package is built.
    #[arg(long, value_name = "PATH")]
    pelago: Option<PathBuf>,
    /// Write the figures to this file, as JSON.
    #[arg(long)]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the siege; whether all promises held.
fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let (attack, rest) = match arguments.short {
        true => (Duration::from_secs(20), Duration::from_secs(40)),
        false => (
            Duration::from_secs_f64(arguments.minutes * 60.0),
            Duration::from_secs(90),
        ),
    };
    let folder = tempfile::tempdir()?;
    let binary = match &arguments.pelago {
        Some(path) => fs::canonicalize(path)?,
        None => build()?,
    };
    let mut town = Town::open(&binary, folder.path(), arguments.seed, arguments.budget)?;
    let watch = Watch::start(town.pids());
    calm(&mut town, rest)?;
    let before = watch.now();
    println!("before: {before}");

    let end = Instant::now() + attack;
    let strangers = Attack::begin(town.targets(), town.network(), &town.bait())?;
    while Instant::now() < end {
        town.round(true)?;
    }
    let met = strangers.end();
    let most = watch.most();
    println!("at most: {most}");
    calm(&mut town, rest)?;
    let after = watch.now();
    let records = town.records_mib()?;
    println!("after: {after}, {records} MiB at most for records of the DHT");
    println!("{}", town.figures);
    println!("attackers: {met}");

    let bound = arguments.budget + BESIDE_BUDGET;
    let mut wrong = town.figures.wrong.clone();
    if most.mib > bound {
        wrong.push(format!(
            "a node held {} MiB, over the bound of {bound} MiB",
            most.mib
        ));
    }
    if after.mib > before.mib + before.mib / 5 + records + KEPT {
        wrong.push(format!(
            "a node kept {} MiB after the attack, {} MiB before",
            after.mib, before.mib
        ));
    }
    if after.files > before.files + KEPT_FILES {
        wrong.push(format!(
            "{} open files are left after the attack, {} before",
            after.files, before.files
        ));
    }
    wrong.iter().for_each(|what| println!("VIOLATION: {what}"));
    if let Some(path) = &arguments.output {
        let figures = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "seed": arguments.seed,
            "seconds": attack.as_secs(),
            "mib": { "before": before.mib, "most": most.mib, "after": after.mib },
            "records_mib": records,
            "own_mib": { "before": before.own_mib, "most": most.own_mib, "after": after.own_mib },
            "files": { "before": before.files, "most": most.files, "after": after.files },
            "town": town.figures.json(),
            "violations": wrong,
        });
        fs::write(path, serde_json::to_vec_pretty(&figures)?)?;
    }
    Ok(wrong.is_empty())
}

/// Lets the town be at peace, so that its nodes do before the attack what they do after it.
fn calm(town: &mut Town, time: Duration) -> Result<(), Failure> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        town.round(false)?;
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

/// Builds the program of this package, in the profile of this example.
fn build() -> Result<PathBuf, Failure> {
    let mut arguments = vec!["build", "--bin", "pelago"];
    if !cfg!(debug_assertions) {
        arguments.push("--release");
    }
    let status = Command::new(env!("CARGO")).args(&arguments).status()?;
    if !status.success() {
        return Err("the binary cannot be built".into());
    }
    let example = std::env::current_exe()?;
    let folder = example.parent().and_then(std::path::Path::parent);
    Ok(folder.ok_or("the example is in no folder")?.join("pelago"))
}
