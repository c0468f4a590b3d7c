//! The end of a download: whole at its target.
//!
//! Owns the order of the last steps: whatever fails, the download can go on, and nothing at the
//! target is replaced unless asked. Failures leave as a [`FinishError`].

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use pelago_content::{Descriptor, STORED_LEVEL};

use super::{
    Ending, Partial,
    download::{Reservation, what_is_missing},
    part,
    record::Record,
};
use crate::store::{Fingerprint, NewShare, Origin, TreeError, files, hashing::GROUP_SIZE};

/// How a download is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinishOptions {
    /// Wait until the content is safe from a power loss: two fsyncs.
    pub durable: bool,
    /// Replace another file at the target.
    pub overwrite: bool,
    /// Share it on from there, in the scopes that it has: before the record goes, so that nothing
    /// comes in between at which others find it gone.
    pub share: bool,
}

/// A finished download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Where the content lies.
    pub path: PathBuf,
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// The file as it is now.
    pub fingerprint: Fingerprint,
    /// Whether it is shared on.
    pub is_shared: bool,
}

impl Partial {
    /// Puts the whole content at its target, keeps its tree, and removes the record.
    ///
    /// # Errors
    ///
    /// See [`FinishError`]; the download is then as it was.
    pub fn finish(
        self: &Arc<Self>,
        options: FinishOptions,
        ending: &Ending,
    ) -> Result<Finished, FinishError> {
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
        let failed = |source: io::Error| {
            let target = target.clone();
            match source.kind() {
                io::ErrorKind::AlreadyExists => FinishError::Exists { target },
                _ => FinishError::Io { target, source },
            }
        };
        let opened = self.opened().map_err(failed)?;
        self.keep_tree(&opened.record)?;
        let fingerprint = self.put_in_place(&opened.part, options, ending, &failed)?;
        let is_shared = options.share && self.share(fingerprint);
        self.remove_record();
        Ok(Finished {
            path: target.clone(),
            descriptor: self.spec().descriptor,
            fingerprint,
            is_shared,
        })
    }

    /// Shares the file on; whether that is written down.
    fn share(&self, fingerprint: Fingerprint) -> bool {
        let spec = self.spec().clone();
        let path = spec.target;
        let share = NewShare {
            descriptor: spec.descriptor,
            name: spec.name,
            path: path.clone(),
            scopes: spec.scopes,
            origin: Origin::Downloaded,
            fingerprint,
        };
        let shared = self.reservation.store.add_shares(&[share]);
        if let Err(error) = &shared {
            tracing::warn!(path = %path.display(), %error, "downloaded, but not shared on");
        }
        shared.is_ok()
    }

    /// Copies the recorded tree from the stored level up. Every node of it is known, as every
    /// block is verified.
    fn keep_tree(&self, record: &Record) -> Result<(), FinishError> {
        let (descriptor, geometry) = (self.spec().descriptor, self.geometry());
        if descriptor.size() <= GROUP_SIZE {
            return Ok(());
        }
        let hash = self.reservation.key.hash;
        let mut tree = self
            .reservation
            .store
            .inner
            .trees
            .begin(descriptor.size())?;
        for level in STORED_LEVEL..=geometry.height() {
            for index in 0..geometry.nodes_at(level) {
                let node = record.node(level, index).ok().flatten();
                tree.put(level, index, node.ok_or(TreeError::Damaged { hash })?);
            }
        }
        Ok(tree.commit(hash)?)
    }

    fn put_in_place(
        &self,
        part: &File,
        options: FinishOptions,
        ending: &Ending,
        failed: &dyn Fn(io::Error) -> FinishError,
    ) -> Result<Fingerprint, FinishError> {
        let spec = self.spec();
        let (grown, target) = (part::path_of(&spec.target), &spec.target);
        // Something longer may have been there before the download began.
        let cut = || {
            if part.metadata()?.len() != spec.descriptor.size() {
                part.set_len(spec.descriptor.size())?;
            }
            if options.durable {
                part.sync_data()?;
            }
            Ok(())
        };
        cut().map_err(failed)?;
        if !ending.commit() {
            let target = target.clone();
            return Err(FinishError::Stopped { target });
        }
        part::unmark(part);
        let renamed = if options.overwrite {
            fs::rename(&grown, target)
        } else {
            files::rename_new(&grown, target)
        };
        renamed.map_err(failed)?;
        // From here on the content is at its target, and that it may be lost with the power is no
        // reason to say otherwise.
        if options.durable
            && let Err(error) = files::sync_folder_of(target)
        {
            tracing::warn!(target = %target.display(), %error, "the folder cannot be synced");
        }
        let metadata = part.metadata().map_err(failed)?;
        Ok(Fingerprint::new(&metadata))
    }

    fn remove_record(&self) {
        let Reservation { store, key } = &self.reservation;
        if let Err(error) = store.inner.partials.remove(key) {
            tracing::warn!(hash = %key.hash, %error, "the record of a download cannot be removed");
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
    /// The download was stopped before its content was put in place.
    #[error("the download of {} was stopped", target.display())]
    Stopped {
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
