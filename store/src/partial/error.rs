//! Why a download cannot begin, continue or end.

use std::{io, path::PathBuf};

use pelago_content::ProofError;

use super::{Differences, SelectionError, spec::MAX_SPEC_LEN};
use crate::{ByteSize, DatabaseError, TreeError, escape::shown, write_failure};

/// Why a download cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartialError {
    /// Another download has the same hash, or writes to the same target.
    #[error(
        "cannot begin the download to {}: its content is being downloaded already, or another \
         download has this target: wait for that download, or stop it",
        shown(target)
    )]
    InUse {
        /// The target.
        target: PathBuf,
    },
    /// The target is relative, not valid UTF-8, or too long together with the name.
    #[error(
        "{} is not a valid target: use an absolute path in UTF-8 that has, together with the name, \
         less than {MAX_SPEC_LEN} bytes",
        shown(target)
    )]
    Target {
        /// The target.
        target: PathBuf,
    },
    /// A file cannot be created, opened or locked.
    #[error(
        "{} cannot be written: {}: {}",
        shown(path),
        write_failure::cause(source),
        write_failure::remedy(source)
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another file or directory has the path of a file of the folder.
    #[error(
        "{} exists already, with other content: move it away, choose another target with -o, or \
         replace what differs with --overwrite",
        shown(path)
    )]
    Exists {
        /// Its path.
        path: PathBuf,
    },
    /// Something is in the way that is never replaced.
    #[error(
        "{} exists already, and --overwrite replaces only a file, by a file: move it away, or choose \
         another target with -o",
        shown(path)
    )]
    InTheWay {
        /// Its path.
        path: PathBuf,
    },
    /// The disk has fewer free inodes than the folder has entries.
    #[error(
        "{} cannot be written: the folder has {needed} entries, and its disk has only {free} free \
         inodes: remove files there, or choose a target on another disk with -o",
        shown(target)
    )]
    Inodes {
        /// The target.
        target: PathBuf,
        /// How many entries there are.
        needed: u64,
        /// How many files and folders can still be created.
        free: u64,
    },
    /// The file system of the target cannot hold the folder as it is, and the person allowed no
    /// changes.
    #[error(
        "{} cannot hold the folder as it is: {}",
        shown(target),
        first_of(differences)
    )]
    Names {
        /// The target.
        target: PathBuf,
        /// What it cannot hold.
        differences: Differences,
    },
    /// The folder would differ from its manifests more than can be recorded.
    #[error(
        "{} cannot hold too many names and links of the folder: the list of differences exceeds \
         64 MiB: choose a target on another file system with -o, or create links with --links all",
        shown(target)
    )]
    TooDifferent {
        /// The target.
        target: PathBuf,
    },
    /// Nothing in the folder is chosen.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The shares cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// How many differences an error names.
const MAX_NAMED: usize = 20;

/// The number of differences, and the first of them, one a line.
fn first_of(differences: &Differences) -> String {
    let mut text = differences.to_string();
    for difference in differences.listed.iter().take(MAX_NAMED) {
        text += &format!("\n  {difference}");
    }
    let all = differences.renamed + differences.links_left_out;
    if all > MAX_NAMED as u64 {
        text += &format!("\n  and {} more", all - MAX_NAMED as u64);
    }
    text
}

/// Why a chunk was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The chunk does not verify: the peer sent wrong data. Nothing changed.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The chunk verifies but cannot be written.
    #[error("writing {}: {}", shown(path), write_failure::for_download(source, *missing))]
    Disk {
        /// The file.
        path: PathBuf,
        /// Bytes of the content that are not yet verified.
        missing: u64,
        /// The error of the system.
        source: io::Error,
    },
    /// A file of the folder cannot be opened.
    #[error(transparent)]
    Partial(#[from] Box<PartialError>),
}

impl From<PartialError> for WriteError {
    fn from(error: PartialError) -> Self {
        Self::Partial(Box::new(error))
    }
}

impl WriteError {
    /// The error of the system, if that is the reason.
    fn disk(&self) -> Option<&io::Error> {
        match self {
            Self::Disk { source, .. } => Some(source),
            Self::Partial(error) => match &**error {
                PartialError::Io { source, .. } => Some(source),
                _ => None,
            },
            Self::Proof(_) => None,
        }
    }

    /// What a person can do before trying again, as a clause.
    pub fn remedy(&self) -> Option<&'static str> {
        self.disk().map(write_failure::remedy)
    }

    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        self.disk()
            .is_some_and(|source| source.kind() == io::ErrorKind::StorageFull)
    }
}

/// Why a download did not end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinishError {
    /// Not every block is verified.
    #[error("{} of {} are still missing", ByteSize(*missing), shown(target))]
    Incomplete {
        /// The target.
        target: PathBuf,
        /// Bytes of the content that are not yet verified.
        missing: u64,
    },
    /// The target exists already.
    #[error(
        "{} exists already: move it away, choose another target with -o, or replace it with \
         --overwrite",
        shown(target)
    )]
    Exists {
        /// The target.
        target: PathBuf,
    },
    /// Something has appeared at the target during the download.
    #[error(
        "{} was created during the download: move it away, or choose another target with -o",
        shown(target)
    )]
    Appeared {
        /// The target.
        target: PathBuf,
    },
    /// Another program changed or replaced the part file. Blocks that do not verify are missing
    /// from now on.
    #[error(
        "another program changed {} during the download, and {missing} bytes no longer verify: \
         close that program, then download again",
        shown(path)
    )]
    Altered {
        /// The part file.
        path: PathBuf,
        /// Bytes of the content that are no longer verified.
        missing: u64,
    },
    /// The download was stopped before its content was put in place.
    #[error("the download of {} was stopped", shown(target))]
    Stopped {
        /// The target.
        target: PathBuf,
    },
    /// The content cannot be put in place.
    #[error(
        "cannot move the download to {}: {}: {}, then download again; verified blocks are kept",
        shown(target),
        write_failure::cause(source),
        write_failure::remedy(source)
    )]
    Io {
        /// The target.
        target: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The tree cannot be kept.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl FinishError {
    /// What a person can do before trying again, as a clause.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Io { source, .. } => Some(write_failure::remedy(source)),
            _ => None,
        }
    }
}
