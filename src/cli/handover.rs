//! What a node passes to its next run, when this process executes itself again.
//!
//! A node that restarts keeps its process, for those that started it. And the memory of a process that
//! had keys still holds copies of them that nothing overwrites. So login and logout end the process in all but its id: it executes its program again, with the same
//! arguments, and nothing of its memory remains. What the next run needs comes through a pipe at its
//! stdin, which no other process can read. A variable says that it is there.

#![cfg_attr(
    not(unix),
    allow(
        dead_code,
        reason = "other systems cannot execute a program within a process"
    )
)]

use std::io;

use zeroize::Zeroizing;

use crate::{
    api::Transition,
    store::{DataFolder, SealingKey},
};

/// The variable that says that stdin is the pipe.
const VARIABLE: &str = "PELAGO_HANDOVER";

/// Bytes that a pipe holds at least, so that writing them never waits for a reader.
const MAX_LEN: usize = 4096;

/// The first bytes, followed by the kind of the next phase.
const MAGIC: &[u8] = b"pelago/handover/1\n";
const LOG_OUT: u8 = 0;
const LOG_IN: u8 = 1;
const WITHOUT_USER: u8 = 2;

/// What the next run begins with.
#[derive(Debug)]
pub(super) struct Handover {
    pub(super) transition: Transition,
    pub(super) ports: Ports,
}

/// The ports of this run, which the next one takes again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ports {
    /// The port of the API; 0 if unknown.
    pub(super) api: u16,
    /// The ports of the addresses to listen on, in their order; empty if unknown.
    pub(super) listen: Vec<u16>,
}

impl Handover {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN));
        bytes.extend_from_slice(MAGIC);
        match &self.transition {
            // After its end, the process has no next run.
            Transition::LogOut | Transition::Stop => bytes.push(LOG_OUT),
            Transition::WithoutUser => bytes.push(WITHOUT_USER),
            Transition::LogIn(key) => {
                bytes.push(LOG_IN);
                bytes.extend_from_slice(key.as_bytes());
            }
        }
        bytes.extend_from_slice(&self.ports.api.to_le_bytes());
        let free = (MAX_LEN - bytes.len()) / 2;
        if self.ports.listen.len() <= free {
            for port in &self.ports.listen {
                bytes.extend_from_slice(&port.to_le_bytes());
            }
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.strip_prefix(MAGIC)?.split_first()?;
        let (transition, rest) = match *kind {
            LOG_OUT => (Transition::LogOut, rest),
            WITHOUT_USER => (Transition::WithoutUser, rest),
            LOG_IN => {
                let (key, rest) = rest.split_first_chunk()?;
                (Transition::LogIn(SealingKey::from_bytes(key)), rest)
            }
            _ => return None,
        };
        let (ports, []) = rest.as_chunks() else {
            return None;
        };
        let mut ports = ports.iter().map(|port| u16::from_le_bytes(*port));
        let api = ports.next()?;
        Some(Self {
            transition,
            ports: Ports {
                api,
                listen: ports.collect(),
            },
        })
    }
}

/// What the run before passed on; none at the first run of this process.
#[cfg(unix)]
pub(super) fn received() -> io::Result<Option<Handover>> {
    use std::{fs::File, io::Read as _, os::fd::AsFd as _};

    if std::env::var_os(VARIABLE).is_none() {
        return Ok(None);
    }
    // Without a buffer, in which a key would remain.
    let pipe = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN + 1));
    pipe.take(MAX_LEN as u64).read_to_end(&mut bytes)?;
    Ok(Handover::parse(&bytes))
}

/// Executes this program again with the same arguments. Returns only if that fails.
#[cfg(unix)]
pub(super) fn execute(handover: &Handover, folder: &DataFolder) -> io::Error {
    match prepared(handover, folder) {
        Ok(mut command) => std::os::unix::process::CommandExt::exec(&mut command),
        Err(error) => error,
    }
}

#[cfg(unix)]
fn prepared(handover: &Handover, folder: &DataFolder) -> io::Result<std::process::Command> {
    use std::{env, io::Write as _, os::unix::process::CommandExt as _, process::Command};

    let (reader, mut writer) = io::pipe()?;
    writer.write_all(&handover.to_bytes())?;
    folder.keep_over_exec()?;
    let mut arguments = env::args_os();
    let mut command = Command::new(program()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).env(VARIABLE, "stdin").stdin(reader);
    Ok(command)
}

/// The path of this program. After an upgrade another one may be there, or none: then it is the file
/// that the system still has open.
#[cfg(unix)]
fn program() -> io::Result<std::path::PathBuf> {
    const OPEN: &str = "/proc/self/exe";
    let path = std::env::current_exe()?;
    let is_same = || {
        use std::{fs::metadata, os::unix::fs::MetadataExt as _};
        let (one, other) = (metadata(&path).ok()?, metadata(OPEN).ok()?);
        Some((one.dev(), one.ino()) == (other.dev(), other.ino()))
    };
    // Systems without this file have no other path, either.
    match is_same() {
        Some(false) => Ok(OPEN.into()),
        None if std::path::Path::new(OPEN).exists() => Ok(OPEN.into()),
        _ => Ok(path),
    }
}

/// Other systems cannot execute a program within a process.
#[cfg(not(unix))]
pub(super) fn received() -> io::Result<Option<Handover>> {
    Ok(None)
}

#[cfg(not(unix))]
pub(super) fn execute(_: &Handover, _: &DataFolder) -> io::Error {
    io::ErrorKind::Unsupported.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_reads_what_this_one_passes_on() {
        let key = SealingKey::from_bytes(&[7; 32]);
        for transition in [
            Transition::LogOut,
            Transition::LogIn(key),
            Transition::WithoutUser,
        ] {
            let ports = Ports {
                api: 4711,
                listen: vec![1, 2, 65535],
            };
            let bytes = Handover {
                transition,
                ports: ports.clone(),
            }
            .to_bytes();
            let read = Handover::parse(&bytes).unwrap();
            assert_eq!(read.ports, ports);
            assert_eq!(read.to_bytes(), bytes);
            assert!(Handover::parse(&bytes[..bytes.len() - 1]).is_none());
        }
        assert!(Handover::parse(b"").is_none());
        let ports = Ports {
            api: 1,
            listen: vec![1; MAX_LEN],
        };
        let bytes = Handover {
            transition: Transition::LogOut,
            ports,
        }
        .to_bytes();
        assert!(bytes.len() <= MAX_LEN);
        assert!(Handover::parse(&bytes).unwrap().ports.listen.is_empty());
    }
}
