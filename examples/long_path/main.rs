//! How much of a long line Pelago uses, over TCP and QUIC, from one source and from several, beside
//! one plain TCP connection. Packets of real hosts pass through a router of this program, which
//! delays and loses them and sends no more than the line carries. Takes root; elsewhere it is
//! skipped. Prints a table.
//!
//! ```text
//!   source 1 ──┐
//!   source 2 ──┼── router ══ line ══ router ── sink        a network namespace each
//!   ...      ──┘
//!
//! cargo run --release --example long_path
//! cargo run --release --example long_path -- --short
//! cargo run --release --example long_path -- --paths 1000x100 --losses 1 --ways plain,tcp --repeat 5
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `line` | when a packet arrives, or that it is lost |
//! | `packet` | trains of packets, as the system hands them to network cards that segment |
//! | `router` | the thread that carries packets, and what it has carried |
//! | `tun` | tun devices |
//! | `hosts` | network namespaces and their settings |
//! | `programs` | Pelago and the plain connection on hosts |
//! | `plain` | the plain connection |
//! | `figures` | medians and the table |

mod figures;
mod hosts;
mod line;
mod packet;
mod plain;
mod programs;
mod router;
mod tun;

use std::{
    error::Error,
    fmt, fs,
    io::{Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
    sync::Arc,
    thread,
    time::Duration,
};

use clap::{Parser, Subcommand, ValueEnum};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tempfile::TempDir;

use crate::{
    figures::{Run, Table},
    hosts::Host,
    line::Line,
    programs::Program,
    router::{Port, Router},
};

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
struct Arguments {
    /// One side of a plain connection; for this program's own use.
    #[command(subcommand)]
    side: Option<Side>,
    /// Measure once, over a shorter path: takes seconds; the figures mean little.
    #[arg(long)]
    short: bool,
    /// The paths, as Mbit/s x round trip in ms.
    #[arg(long, value_delimiter = ',', default_values = ["1000x100", "100x300"])]
    paths: Vec<LongPath>,
    /// Packets that are lost each way, in percent.
    #[arg(long, value_delimiter = ',', default_values_t = [0.0, 0.1, 1.0])]
    losses: Vec<f64>,
    /// What is measured.
    #[arg(long, value_delimiter = ',', default_values_t = Way::value_variants().to_vec())]
    ways: Vec<Way>,
    /// How long the line is filled, in seconds: the size of the content follows.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How often each measurement is taken.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// The congestion control of TCP, of those in net.ipv4.tcp_allowed_congestion_control; without
    /// it, that of the machine.
    #[arg(long)]
    congestion: Option<String>,
    /// The seed from which lost packets follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The program to measure; without it, the one of this package is built.
    #[arg(long, value_name = "PATH")]
    pelago: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Side {
    #[command(hide = true)]
    PlainSource { address: SocketAddr, bytes: u64 },
    #[command(hide = true)]
    PlainSink { address: SocketAddr, bytes: u64 },
}

/// A line without its losses.
#[derive(Clone, Copy)]
struct LongPath {
    mbit: u64,
    round_trip: Duration,
}

impl FromStr for LongPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (mbit, ms) = text.split_once('x')?;
            let (mbit, ms) = (mbit.parse().ok()?, ms.parse().ok()?);
            Some((mbit, ms)).filter(|(mbit, _)| *mbit > 0)
        };
        let (mbit, ms) = parse()
            .ok_or_else(|| format!("{text:?} is not a path: use Mbit/s x ms, such as 1000x100"))?;
        Ok(Self {
            mbit,
            round_trip: Duration::from_millis(ms),
        })
    }
}

impl fmt::Display for LongPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} Mbit/s x {} ms",
            self.mbit,
            self.round_trip.as_millis()
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Quic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// One plain TCP connection.
    Plain,
    /// Pelago over TCP from one source.
    Tcp,
    /// Pelago over TCP from four sources.
    Tcp4,
    /// Pelago over QUIC from one source.
    Quic,
    /// Pelago over QUIC from four sources.
    Quic4,
}

impl Way {
    const fn sources(self) -> usize {
        match self {
            Self::Plain | Self::Tcp | Self::Quic => 1,
            Self::Tcp4 | Self::Quic4 => SOURCES,
        }
    }

    const fn transport(self) -> Option<Transport> {
        match self {
            Self::Plain => None,
            Self::Tcp | Self::Tcp4 => Some(Transport::Tcp),
            Self::Quic | Self::Quic4 => Some(Transport::Quic),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("none is hidden");
        f.write_str(value.get_name())
    }
}

const SOURCES: usize = 4;

/// A run that takes this many times as long as the line needs is stopped.
const PATIENCE: u32 = 4;

fn main() -> Result<(), Failure> {
    let mut arguments = Arguments::parse();
    match arguments.side {
        Some(Side::PlainSource { address, bytes }) => return plain::serve(address, bytes),
        Some(Side::PlainSink { address, bytes }) => return plain::fetch(address, bytes),
        None => {}
    }
    if !rustix::process::geteuid().is_root() || !Path::new("/dev/net/tun").exists() {
        println!("skipped: hosts and their line take root and /dev/net/tun");
        return Ok(());
    }
    if arguments.short {
        arguments.paths.truncate(1);
        arguments.paths[0] = "100x50".parse()?;
        arguments.losses = vec![0.0, 1.0];
        (arguments.seconds, arguments.repeat) = (1, 1);
    }
    hosts::clean_up()?;
    let lab = Lab::open(&arguments)?;
    println!("{}", lab.hosts[0].settings()?);
    let mut table = Table::default();
    println!("{}", Table::HEAD);
    for path in &arguments.paths {
        let full = Line {
            mbit: path.mbit,
            round_trip: path.round_trip,
            loss: 0.0,
        };
        let content = lab.share(full.bytes_in(Duration::from_secs(arguments.seconds)))?;
        for loss in &arguments.losses {
            let line = Line {
                loss: loss / 100.0,
                ..full
            };
            let mut runs = vec![Vec::new(); arguments.ways.len()];
            for round in 0..arguments.repeat {
                for (way, runs) in arguments.ways.iter().zip(&mut runs) {
                    runs.push(lab.measure(&content, line, *way, round.into())?);
                }
            }
            for (way, runs) in arguments.ways.iter().zip(&runs) {
                let what = format!("{path}, {loss} %");
                println!("{}", table.row(&what, *way, &line, content.bytes, runs));
            }
        }
    }
    Ok(())
}

/// The hosts, and a folder for all of their files.
struct Lab {
    /// The sink, and the sources.
    hosts: Vec<Host>,
    pelago: PathBuf,
    folder: TempDir,
    seed: u64,
}

/// Content, and the programs that send it.
struct Content {
    _sources: Vec<Program>,
    hash: String,
    file: PathBuf,
    bytes: u64,
}

impl Lab {
    fn open(arguments: &Arguments) -> Result<Self, Failure> {
        let sources = arguments.ways.iter().map(|way| way.sources()).max();
        let numbers = 1..=1 + sources.unwrap_or(0) as u8;
        let congestion = arguments.congestion.as_deref();
        let hosts = numbers.map(|number| Host::new(number, congestion));
        Ok(Self {
            hosts: hosts.collect::<Result<_, _>>()?,
            pelago: match &arguments.pelago {
                Some(path) => fs::canonicalize(path)?,
                None => build()?,
            },
            folder: tempfile::tempdir()?,
            seed: arguments.seed,
        })
    }

    fn sink(&self) -> &Host {
        &self.hosts[0]
    }

    fn sources(&self) -> &[Host] {
        &self.hosts[1..]
    }

    /// All sources share a new file of this size, and the first one also sends it plainly.
    fn share(&self, bytes: u64) -> Result<Content, Failure> {
        let file = self.folder.path().join(format!("content-{bytes}"));
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut left = bytes;
        let mut writer = fs::File::create(&file)?;
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            let len = left.min(buffer.len() as u64);
            random.fill_bytes(&mut buffer);
            writer.write_all(&buffer[..len as usize])?;
            left -= len;
        }
        let mut hash = String::new();
        let mut sources = Vec::new();
        for (number, host) in self.sources().iter().enumerate() {
            let folder = self.folder.path().join(format!("source-{number}"));
            let (node, shared) = programs::source(host, &self.pelago, &file, &folder)?;
            sources.push(node);
            hash = shared;
        }
        let folder = self.folder.path().join("plain-source");
        sources.push(programs::plain_source(&self.sources()[0], bytes, &folder)?);
        Ok(Content {
            _sources: sources,
            hash,
            file,
            bytes,
        })
    }

    /// Sends the content over the line once.
    fn measure(&self, content: &Content, line: Line, way: Way, round: u64) -> Result<Run, Failure> {
        let ports = self.hosts.iter().enumerate().map(|(number, host)| Port {
            address: host.address,
            tun: Arc::clone(&host.tun),
            is_sink: number == 0,
        });
        let router = Router::start(line, ports.collect(), self.seed + round);
        let folder = self.folder.path().join("sink");
        let copy = folder.join("copy");
        let sources = &self.sources()[..way.sources()];
        let program = match way.transport() {
            None => programs::plain_sink(self.sink(), &sources[0], content.bytes, &folder)?,
            Some(transport) => {
                let from = (sources, transport);
                let hash = &content.hash;
                programs::download(self.sink(), &self.pelago, hash, from, &copy, &folder)?
            }
        };
        let limit = line.time_of(content.bytes) * PATIENCE;
        let ended = program.end(limit)?;
        let carried = router.take();
        let has_copy = way.transport().is_some() && !ended.is_stopped;
        if has_copy && !is_equal(&content.file, &copy)? {
            return Err("the copy differs from the original".into());
        }
        fs::remove_dir_all(&folder)?;
        // The ends of connections arrive.
        thread::sleep(2 * line.round_trip);
        Ok(Run { ended, carried })
    }
}

fn is_equal(one: &Path, other: &Path) -> Result<bool, Failure> {
    let (mut one, mut other) = (fs::File::open(one)?, fs::File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut here, mut there) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let len = one.read(&mut here)?;
        if len == 0 {
            return Ok(true);
        }
        other.read_exact(&mut there[..len])?;
        if here[..len] != there[..len] {
            return Ok(false);
        }
    }
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
    let folder = example.parent().and_then(Path::parent);
    Ok(folder.ok_or("the example is in no folder")?.join("pelago"))
}
