//! The end of a download: whole at its target.
//!
//! Owns the order of the last steps: whatever fails, the download can go on, and nothing at the
//! target is replaced unless asked. Failures leave as a [`FinishError`].

use std::{fs, io, path::PathBuf, sync::PoisonError};

use pelago_content::{Descriptor, STORED_LEVEL};

use super::{Partial, download::what_is_missing, part};
use crate::store::{Fingerprint, TreeError, files, hashing::GROUP_SIZE};

/// How a download is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinishOptions {
    /// Wait until the content is safe from a power loss: two fsyncs.
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
    /// Puts the whole content at its target, keeps its tree, and removes the record.
    ///
    /// # Errors
    ///
    /// See [`FinishError`]; the download is then as it was.
    pub fn finish(&self, options: FinishOptions) -> Result<Finished, FinishError> {
        let _ended = self.writing.write().unwrap_or_else(PoisonError::into_inner);
        let (target, missing) = (&self.spec().target, self.missing());
        if missing > 0 {
            let target = target.clone();
            return Err(FinishError::Incomplete { target, missing });
        }
        if !options.overwrite && fs::symlink_metadata(target).is_ok() {
            let target = target.clone();
            return Err(FinishError::Exists { target });
        }
        self.keep_tree()?;
        let fingerprint = self.put_in_place(options).map_err(|source| {
            let target = target.clone();
            match source.kind() {
                io::ErrorKind::AlreadyExists => FinishError::Exists { target },
                _ => FinishError::Io { target, source },
            }
        })?;
        self.remove_record();
        Ok(Finished {
            path: target.clone(),
            descriptor: self.spec().descriptor,
            fingerprint,
        })
    }

    /// Copies the recorded tree from the stored level up. Every node of it is known, as every
    /// block is verified.
    fn keep_tree(&self) -> Result<(), FinishError> {
        let (descriptor, geometry) = (self.spec().descriptor, self.geometry());
        if descriptor.size() <= GROUP_SIZE {
            return Ok(());
        }
        let hash = self.reservation.hash;
        let mut tree = self
            .reservation
            .store
            .inner
            .trees
            .begin(descriptor.size())?;
        for level in STORED_LEVEL..=geometry.height() {
            for index in 0..geometry.nodes_at(level) {
                let node = self.record.node(level, index).ok().flatten();
                tree.put(level, index, node.ok_or(TreeError::Damaged { hash })?);
            }
        }
        Ok(tree.commit(hash)?)
    }

    fn put_in_place(&self, options: FinishOptions) -> io::Result<Fingerprint> {
        let spec = self.spec();
        let (part, target) = (part::path_of(&spec.target), &spec.target);
        // Something longer may have been there before the download began.
        if self.part.metadata()?.len() != spec.descriptor.size() {
            self.part.set_len(spec.descriptor.size())?;
        }
        if options.durable {
            self.part.sync_data()?;
        }
        if options.overwrite {
            fs::rename(&part, target)?;
        } else {
            files::rename_new(&part, target)?;
        }
        // From here on the content is at its target, and that it may be lost with the power is no
        // reason to say otherwise.
        if options.durable
            && let Err(error) = files::sync_folder_of(target)
        {
            tracing::warn!(target = %target.display(), %error, "the folder cannot be synced");
        }
        Ok(Fingerprint::new(&self.part.metadata()?))
    }

    fn remove_record(&self) {
        let (store, hash) = (&self.reservation.store, self.reservation.hash);
        if let Err(error) = store.inner.partials.remove(&hash) {
            tracing::warn!(%hash, %error, "the record of a download cannot be removed");
        }
    }
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
    #[error(
        "{} exists already: move it away, choose another place with -o, or replace it with \
         --overwrite", target.display()
    )]
    Exists {
        /// The target.
        target: PathBuf,
    },
    /// The content cannot be put in place.
    #[error("{} cannot be put in place: {}", target.display(), what_is_missing(source, 0))]
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
