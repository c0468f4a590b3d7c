//! A download under way.

use super::{Fingerprint, Scopes, Store, TreeError};
use pelago_content::{BlockRanges, Chunk, Descriptor, Hash, Node, ProofError};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What is downloaded, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialSpec {
    /// Kind, size (a claim until the last block is verified) and root.
    pub descriptor: Descriptor,
    /// Where the content will lie: absolute, and valid UTF-8. Until then it grows in
    /// `<target>.part`.
    pub target: PathBuf,
    /// What people call it.
    pub name: String,
    /// Who may know of it, from the first byte on.
    pub scopes: Scopes,
    /// Whether `start` is to go on with it.
    pub resume_on_start: bool,
}

/// A download under way.
#[derive(Debug)]
pub struct Partial {
    spec: PartialSpec,
}

/// How a download is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinishOptions {
    /// Wait until the content is safe from a power loss.
    pub durable: bool,
    /// Replace another file at the target.
    pub overwrite: bool,
}

/// A finished download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Where the content lies.
    pub path: PathBuf,
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// The file as it is now: share it with this.
    pub fingerprint: Fingerprint,
}

impl Partial {
    /// Begins a download, or goes on with it: every block that an earlier run recorded is proven
    /// again first, on all cores. `progress` is given the bytes looked at so far.
    ///
    /// # Errors
    ///
    /// See [`PartialError`].
    pub fn create_or_resume(
        store: &Store,
        spec: PartialSpec,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Arc<Self>, PartialError> {
        let _ = (store, spec, progress);
        todo!()
    }

    /// What is downloaded, and where to.
    pub fn spec(&self) -> &PartialSpec {
        &self.spec
    }

    /// Who may know of it.
    pub fn scopes(&self) -> &Scopes {
        &self.spec.scopes
    }

    /// The blocks that are verified and written.
    pub fn verified(&self) -> BlockRanges {
        todo!()
    }

    /// Verifies a chunk and writes it. May be called from many threads at once.
    ///
    /// # Errors
    ///
    /// [`WriteError::Proof`] if the peer lied, [`WriteError::Disk`] if it cannot be written.
    /// Nothing that was verified is lost.
    pub fn write(&self, chunk: Chunk, data: &[u8], proof: &[Node]) -> Result<(), WriteError> {
        let _ = (chunk, data, proof);
        todo!()
    }

    /// Puts the whole content at its target, keeps its tree, and ends the download.
    ///
    /// # Errors
    ///
    /// See [`FinishError`]; the download can then go on.
    pub fn finish(&self, options: FinishOptions) -> Result<Finished, FinishError> {
        let _ = options;
        todo!()
    }

    /// Removes all there is of it.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub fn abandon(&self) -> io::Result<()> {
        todo!()
    }
}

impl Store {
    /// The download of this hash under way in this process.
    pub fn partial(&self, hash: &Hash) -> Option<Arc<Partial>> {
        let _ = hash;
        todo!()
    }

    /// All downloads recorded, under way or not.
    ///
    /// # Errors
    ///
    /// What the system said. Records that cannot be read are passed over, with a warning.
    pub fn partials(&self) -> io::Result<Vec<PartialSpec>> {
        todo!()
    }
}

/// Records of downloads.
#[derive(Debug)]
pub(super) struct Partials;
impl Partials {
    pub(super) fn in_folder(folder: &Path) -> io::Result<Self> {
        let _ = folder;
        Ok(Self)
    }
    pub(super) fn in_memory() -> Self {
        Self
    }
}

/// Why a download cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PartialError {
    /// Another download writes the same hash or target.
    #[error("{} is being downloaded already", target.display())]
    InUse {
        /// The target.
        target: PathBuf,
    },
    /// The target is relative, no valid UTF-8 or too long.
    #[error("{} cannot be a target: it has to be absolute, valid UTF-8 and at most {max} bytes", target.display())]
    Target {
        /// The target.
        target: PathBuf,
        /// The limit, in bytes.
        max: usize,
    },
    /// A file cannot be created, opened or locked.
    #[error("{} cannot be written: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a chunk was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The peer lied, or the line is bad: nothing was changed.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The chunk is good but cannot be written.
    #[error("writing {}: {source}; {missing} bytes are still missing", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Bytes of the content that are not yet verified.
        missing: u64,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a download did not end.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// Not every block is verified.
    #[error("{missing} bytes of {} are still missing", target.display())]
    Incomplete {
        /// The target.
        target: PathBuf,
        /// Bytes of the content that are not yet verified.
        missing: u64,
    },
    /// Something is at the target.
    #[error("{} exists already: move it away, or allow it to be replaced with --overwrite", target.display())]
    Exists {
        /// The target.
        target: PathBuf,
    },
    /// The content cannot be put in place.
    #[error("{} cannot be put in place: {source}", target.display())]
    Io {
        /// The target.
        target: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its tree cannot be kept.
    #[error(transparent)]
    Tree(#[from] TreeError),
}
