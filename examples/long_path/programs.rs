//! The programs that are measured, each on a host.

use std::{
    fs::{self, File},
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{Failure, Transport, hosts::Host, plain};

/// How long the preparations may take.
const PATIENCE: Duration = Duration::from_secs(120);

const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The port of Pelago, over TCP and over QUIC, and that of the plain connection.
const PORT: u16 = 8080;
const PLAIN_PORT: u16 = 5201;

/// A running program. Dropping it kills it.
pub(crate) struct Program {
    child: Child,
    folder: PathBuf,
}

impl Program {
    /// Starts a command whose output goes to files in `folder`.
    fn start(mut command: Command, folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder)?;
        let child = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(File::create(folder.join("out"))?)
            .stderr(File::create(folder.join("err"))?)
            .spawn()?;
        Ok(Self {
            child,
            folder: folder.to_owned(),
        })
    }

    fn printed(&self) -> Result<String, Failure> {
        Ok(fs::read_to_string(self.folder.join("out"))?)
    }

    /// Waits until it prints `text`.
    fn until(mut self, text: &str) -> Result<Self, Failure> {
        let began = Instant::now();
        while !self.printed()?.contains(text) {
            if self.child.try_wait()?.is_some() || began.elapsed() > PATIENCE {
                return Err(self.failure("does not start"));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(self)
    }

    /// Waits for its end, at most for `limit`: then it is killed.
    pub(crate) fn end(mut self, limit: Duration) -> Result<Ended, Failure> {
        let began = Instant::now();
        let mut memory = 0;
        while began.elapsed() < limit {
            memory = self.memory().unwrap_or(memory);
            if let Some(status) = self.child.try_wait()? {
                return match status.success() {
                    true => Ok(Ended {
                        took: began.elapsed(),
                        is_stopped: false,
                        memory,
                    }),
                    false => Err(self.failure("failed")),
                };
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(Ended {
            took: limit,
            is_stopped: true,
            memory,
        })
    }

    fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? >> 10)
    }

    fn failure(&self, what: &str) -> Failure {
        let mut text = self.printed().unwrap_or_default();
        if let Ok(mut errors) = File::open(self.folder.join("err")) {
            let _ = errors.read_to_string(&mut text);
        }
        format!("the program {what}: {text}").into()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a program ended.
#[derive(Clone, Copy)]
pub(crate) struct Ended {
    /// How long it took.
    pub(crate) took: Duration,
    /// Whether it was stopped before it was done.
    pub(crate) is_stopped: bool,
    /// The most memory that it had, in MiB.
    pub(crate) memory: u64,
}

/// Starts the sender of a plain connection.
pub(crate) fn plain_source(host: &Host, bytes: u64, folder: &Path) -> Result<Program, Failure> {
    let command = plain_command(host, host, "plain-source", bytes)?;
    Program::start(command, folder)?.until(plain::LISTENING)
}

/// Receives what `source` sends over a plain connection.
pub(crate) fn plain_sink(
    host: &Host,
    source: &Host,
    bytes: u64,
    folder: &Path,
) -> Result<Program, Failure> {
    Program::start(plain_command(host, source, "plain-sink", bytes)?, folder)
}

fn plain_command(host: &Host, source: &Host, side: &str, bytes: u64) -> Result<Command, Failure> {
    let mut command = host.command(&std::env::current_exe()?);
    let address = SocketAddr::from((source.address, PLAIN_PORT));
    command.args([side, &address.to_string(), &bytes.to_string()]);
    Ok(command)
}

/// Starts a node that shares `file`. Returns the node and the hash.
pub(crate) fn source(
    host: &Host,
    pelago: &Path,
    file: &Path,
    folder: &Path,
) -> Result<(Program, String), Failure> {
    let mut command = pelago_command(host, pelago, folder);
    command.args(["start", "--discovery", "false"]);
    for transport in [Transport::Tcp, Transport::Quic] {
        command.args(["--listen", &multiaddr(host, transport)]);
    }
    let node = Program::start(command, folder)?.until(r#""event":"ready""#)?;
    let mut command = pelago_command(host, pelago, folder);
    let output = command.arg("share").arg(file).output()?;
    let shared: Value = serde_json::from_slice(&output.stdout)?;
    let hash = shared[0]["hash"].as_str().ok_or("nothing was shared")?;
    Ok((node, hash.to_owned()))
}

/// Downloads from `sources` to the path `copy`, in a new node.
pub(crate) fn download(
    host: &Host,
    pelago: &Path,
    hash: &str,
    (sources, transport): (&[Host], Transport),
    copy: &Path,
    folder: &Path,
) -> Result<Program, Failure> {
    let mut command = pelago_command(host, pelago, folder);
    command
        .args(["download", hash, "--no-sync", "-o"])
        .arg(copy);
    for source in sources {
        command.args(["--peer", &multiaddr(source, transport)]);
    }
    Program::start(command, folder)
}

fn pelago_command(host: &Host, pelago: &Path, folder: &Path) -> Command {
    let mut command = host.command(pelago);
    command
        .arg("--json")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("PELAGO_DATA_DIR", folder.join("data"))
        .env("PELAGO_NETWORK_NAME", "long-path")
        .env("PELAGO_NETWORK_MDNS", "false")
        .env("PELAGO_STORAGE_SHARE_FOLDERS", "");
    command
}

fn multiaddr(host: &Host, transport: Transport) -> String {
    let address = host.address;
    match transport {
        Transport::Tcp => format!("/ip4/{address}/tcp/{PORT}"),
        Transport::Quic => format!("/ip4/{address}/udp/{PORT}/quic-v1"),
    }
}
