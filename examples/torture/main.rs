//! Tortures Pelago: random commands, other programs at the same files, `kill -9`, power cuts, I/O errors and
//! full disks. After each round it compares all promises. It drives the real program, and all of its actions
//! follow from a seed. docs/TORTURE.md explains its output.
//!
//! ```text
//! cargo run --release --example torture -- --short
//! cargo run --release --example torture -- --minutes 60 --seed 7 --kinds kills,power --output torture.json
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `model` | the promises and the owner of each file; pure. Its table lists each promise |
//! | `rounds` | the kinds of torture: the steps of a round, and what happens meanwhile |
//! | `verbs` | the commands, and what their answers promise |
//! | `strangers` | the actions of other programs |
//! | `checks` | the comparison of promises with lists, disk, and another node's downloads |
//! | `world` | one victim with everything around it |
//! | `library` | the node that the victim downloads from |
//! | `pelago` | processes of the real program |
//! | `ground` | the victim's disk, which loses power, fails, or is full |
//! | `tools`, `helper.c`, `shim.c` | calls that safe Rust lacks, compiled at run time |
//! | `content`, `figures` | content that follows from a seed; results |

mod checks;
mod content;
mod figures;
mod ground;
mod library;
mod model;
mod pelago;
mod rounds;
mod strangers;
mod tools;
mod verbs;
mod world;

use std::{
    collections::BTreeMap,
    error::Error,
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    figures::{Figures, Summary},
    ground::{Faults, Sort},
    library::Library,
    strangers::Deed,
    tools::Tools,
    world::{LOGGED, World},
};

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
struct Arguments {
    /// Run a few rounds of each kind, for about a minute in total.
    #[arg(long)]
    short: bool,
    /// The seed from which all decisions follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long new episodes begin.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// The program to torture; without it, the one of this package is built.
    #[arg(long, value_name = "PATH")]
    pelago: Option<PathBuf>,
    /// The kinds of torture.
    #[arg(long, value_delimiter = ',', default_values_t = Kind::value_variants().to_vec())]
    kinds: Vec<Kind>,
    /// Actions that other programs leave out.
    #[arg(long, value_delimiter = ',', value_name = "DEEDS")]
    without: Vec<Deed>,
    /// Further options to mount disks with. With `sync` a power cut loses nothing that was written: a violation
    /// then has another cause than a missing sync.
    #[arg(long, default_value = "", value_name = "OPTIONS")]
    mount: String,
    /// Run only this episode of each kind, such as one with a violation.
    #[arg(long)]
    episode: Option<usize>,
    /// Work below this folder instead of the folder for temporary files.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Keep that folder.
    #[arg(long)]
    keep: bool,
    /// Stop at the first violation.
    #[arg(long)]
    fail_fast: bool,
    /// Print each step.
    #[arg(long)]
    verbose: bool,
    /// Write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Kind {
    /// Random commands, and other programs at the same files.
    Verbs,
    /// `kill -9` of nodes and commands.
    Kills,
    /// Power cuts; as root only.
    Power,
    /// I/O errors: failing calls and, as root, a failing disk.
    Faults,
    /// Full disks; as root only.
    Full,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("none is hidden");
        f.pad(value.get_name())
    }
}

fn main() -> Result<ExitCode, Failure> {
    let arguments = Arguments::parse();
    let binary = match &arguments.pelago {
        Some(path) => path
            .canonicalize()
            .map_err(|error| format!("{}: {error}", path.display()))?,
        None => build()?,
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix("pelago-torture-");
    let mut folder = match &arguments.folder {
        Some(within) => builder.tempdir_in(within)?,
        None => builder.tempdir()?,
    };
    folder.disable_cleanup(arguments.keep);
    let figures = torture(&arguments, &binary, &folder.path().canonicalize()?)?;
    let summary = Summary {
        seed: arguments.seed,
        kinds: &figures,
    };
    print!("{summary}");
    if let Some(output) = &arguments.output {
        fs::write(output, serde_json::to_string_pretty(&summary.json())?)?;
    }
    if arguments.keep {
        println!("everything is in {}", folder.path().display());
    }
    let is_clean = figures.values().all(|figures| figures.violated() == 0);
    Ok(if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Builds the program in the profile of this example, and returns its path.
fn build() -> Result<PathBuf, Failure> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--bin", "pelago", "--manifest-path"]);
    cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    if !cargo.status()?.success() {
        return Err("cannot build pelago: name a binary with --pelago".into());
    }
    let example = std::env::current_exe()?;
    let profile = example
        .parent()
        .and_then(Path::parent)
        .ok_or("examples are in a folder")?;
    Ok(profile.join("pelago"))
}

fn torture(
    arguments: &Arguments,
    binary: &Path,
    folder: &Path,
) -> Result<BTreeMap<Kind, Figures>, Failure> {
    let began = Instant::now();
    let tools = Tools::compile(folder)?;
    let mut library = Library::open(binary, &folder.join("library"), arguments.seed)?;
    let mut figures = BTreeMap::new();
    let mut kinds = arguments.kinds.clone();
    if !ground::is_root() {
        let takes_root = |kind: &Kind| matches!(kind, Kind::Power | Kind::Full);
        for kind in kinds.extract_if(.., |kind| takes_root(kind)) {
            eprintln!("skipped: {kind} needs root");
        }
    }
    eprintln!("the library is ready after {} s", began.elapsed().as_secs());
    let began = Instant::now();
    let end = Duration::from_secs_f64(arguments.minutes * 60.0);
    for episode in arguments.episode.unwrap_or(0).. {
        for kind in &kinds {
            if !arguments.short && arguments.episode.is_none() && began.elapsed() > end {
                return Ok(figures);
            }
            let of_kind = figures.entry(*kind).or_default();
            let began = Instant::now();
            let mut is_clean = true;
            // A short run includes both sorts of faults.
            let is_double = arguments.short && *kind == Kind::Faults && arguments.episode.is_none();
            for number in episode..=episode + usize::from(is_double) {
                is_clean &= Episode {
                    arguments,
                    binary,
                    folder: &folder.join(format!("{kind}-{number}")),
                    kind: *kind,
                    number,
                }
                .run(&tools, &mut library, of_kind)?;
            }
            of_kind.time += began.elapsed();
            if !is_clean && arguments.fail_fast {
                return Ok(figures);
            }
        }
        if arguments.short || arguments.episode.is_some() {
            break;
        }
        eprintln!(
            "episode {episode} of each kind, {} s",
            began.elapsed().as_secs()
        );
    }
    Ok(figures)
}

/// Some rounds with one victim.
struct Episode<'a> {
    arguments: &'a Arguments,
    binary: &'a Path,
    folder: &'a Path,
    kind: Kind,
    number: usize,
}

impl Episode<'_> {
    /// Runs it up to the first violation; whether there was none.
    fn run(
        &self,
        tools: &Tools,
        library: &mut Library,
        figures: &mut Figures,
    ) -> Result<bool, Failure> {
        let mut sort = rounds::ground_of(self.kind, self.number);
        if sort == Sort::Failing && !ground::is_root() {
            eprintln!("skipped: a failing disk needs root; failing calls do not");
            sort = Sort::Folder;
        }
        let disk = (sort, &*self.arguments.mount);
        let mut world = World::new(self.binary, self.folder, disk, tools, library, figures)?;
        world.without.clone_from(&self.arguments.without);
        let mut faults = None;
        if self.kind == Kind::Faults && sort == Sort::Folder {
            let control = self.folder.join("control");
            faults = Some(Faults::new(&control, self.seed(0))?);
            for (name, value) in [
                ("LD_PRELOAD", &tools.shim),
                ("TORTURE_CONTROL", &control),
                ("TORTURE_ROOT", &world.ground.root()),
            ] {
                let value = value.to_string_lossy();
                world.victim = world.victim.with(name, &value);
            }
        }
        for round in 0..rounds::rounds_of(self.kind, self.arguments.short) {
            world.rng = StdRng::seed_from_u64(self.seed(round + 1));
            world.note(format!("-- round {round}"));
            if let Err(why) = world.round(self.kind, faults.as_ref()) {
                world.violated("harness", why.to_string());
            }
            world.figures.rounds += 1;
            if !self.report(&mut world, round) {
                break;
            }
        }
        let is_clean = world.violations.is_empty();
        if is_clean {
            world.finish()?;
            self.report(&mut world, usize::MAX);
        }
        let is_clean = world.violations.is_empty();
        world.stop_node();
        drop(world);
        if !self.arguments.keep {
            fs::remove_dir_all(self.folder)?;
        }
        library.start()?;
        Ok(is_clean)
    }

    fn seed(&self, round: usize) -> u64 {
        let parts = [
            self.arguments.seed,
            self.kind as u64,
            self.number as u64,
            round as u64,
        ];
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
        let digest = content::digest(&bytes);
        u64::from_le_bytes(*digest.first_chunk().expect("a digest is longer"))
    }

    /// Prints the violations so far; whether there were none.
    fn report(&self, world: &mut World<'_>, round: usize) -> bool {
        if self.arguments.verbose {
            for line in world.log.drain(..) {
                println!("{line}");
            }
        }
        for violation in &world.violations {
            let round = if round == usize::MAX {
                "the end".to_owned()
            } else {
                format!("round {round}")
            };
            println!(
                "VIOLATION in {} (seed {}, episode {}, {round}): {violation}",
                self.kind, self.arguments.seed, self.number
            );
            *world.figures.violations.entry(violation.sort).or_default() += 1;
        }
        if world.violations.is_empty() {
            return true;
        }
        let root = format!("{}/", world.ground.root().display());
        let from = world.log.len().saturating_sub(LOGGED);
        for line in &world.log[from..] {
            println!("    {}", line.replace(&root, ""));
        }
        println!(
            "  to repeat: --seed {} --kinds {} --episode {}{}",
            self.arguments.seed,
            self.kind,
            self.number,
            if self.arguments.short { " --short" } else { "" },
        );
        false
    }
}
