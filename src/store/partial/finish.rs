//! The end of a download: whole at its target.
//!
//! Owns the order of the last steps: whatever fails, the download can go on, and nothing at the
//! target is replaced unless asked. Failures leave as a [`FinishError`].

use std::{
    io,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use pelago_content::{Descriptor, STORED_LEVEL};

use super::{
    Ending, Partial, PartialError,
    download::Reservation,
    mark,
    open_parts::OpenPart,
    part_file::place_of,
    record::Record,
    removal::Destination,
    resume::{Proving, prove_recorded},
};
use crate::store::{
    Fingerprint, NewShare, Origin, TreeError,
    dir::{Dir, entry_of},
    escape::shown,
    hashing::GROUP_SIZE,
    write_failure,
    writers::Alone,
};

/// Bytes of a file in a folder up to which its record goes before its content is durable.
const MAX_UNSYNCED: u64 = 16 << 20;

/// How a download is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinishOptions {
    /// Wait until the content is safe from a power cut: two syncs.
    pub durable: bool,
    /// Replace another file at the target.
    pub overwrite: bool,
    /// Share it on from there, in the scopes that it has: before the record goes, so that nothing
    /// comes in between at which others find it gone.
    pub share: bool,
    /// Keep a receipt, by which what is put in place can be removed later, also if the process ends at
    /// any moment of it.
    pub receipt: bool,
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
    pub(super) home: Destination,
}

impl Partial {
    /// Puts the whole content at its target and removes the record; shares it on from there, if that is
    /// asked for. Content that somebody else may have written to meanwhile is proven once more before.
    ///
    /// # Errors
    ///
    /// See [`FinishError`]; the download can go on then.
    pub fn finish(
        self: &Arc<Self>,
        options: FinishOptions,
        ending: &Ending,
    ) -> Result<Finished, FinishError> {
        let _ended = self.writing.write();
        self.check_whole()?;
        let target = &self.spec().target;
        let (dir, name) = place_of(target).map_err(|error| match error {
            PartialError::Io { source, .. } => self.failed(source),
            error => self.failed(io::Error::other(error)),
        })?;
        let is_there = dir
            .find(&name)
            .map_err(|error| self.failed(error))?
            .is_some();
        if is_there && !options.overwrite {
            let target = target.clone();
            return Err(FinishError::Exists { target });
        }
        let opened = self.opened().map_err(|error| self.failed(error))?;
        if options.durable {
            self.sync_data(&opened)
                .map_err(|error| self.failed(error))?;
        }
        // Nobody else writes to it from here on until it is in its place.
        let alone = self.check_unharmed(&opened)?;
        if options.share {
            self.keep_tree(&opened.record)?;
        }
        if !ending.commit() {
            let target = target.clone();
            return Err(FinishError::Stopped { target });
        }
        if options.receipt {
            // Renaming changes nothing that tells this file from others.
            let placed = self.placed(&opened);
            self.keep_receipt(&placed.map_err(|error| self.failed(error))?);
        }
        self.put_in_place(&opened, &dir, &name, options)?;
        drop(alone);
        // A record that came back with the power would make an unfinished download of a finished one. On one
        // disk the sync of the folder makes its removal durable as well.
        let is_on_one_disk = self.reservation.store.inner.partials.are_on_disk_of(&dir);
        if is_on_one_disk {
            self.remove_record(false);
        }
        // From here on the content is at its target. That it may be lost with the power is said, and is no
        // reason to say that it is not there.
        if options.durable
            && let Err(error) = dir.sync()
        {
            tracing::warn!(target = %target.display(), %error, "the folder cannot be synced");
        }
        let mut finished = self.placed(&opened).map_err(|error| self.failed(error))?;
        if options.receipt {
            self.keep_receipt(&finished);
        }
        finished.is_shared = options.share && self.share(finished.fingerprint);
        if !is_on_one_disk {
            self.remove_record(options.durable);
        }
        Ok(finished)
    }

    /// The file as it is now, at its target.
    fn placed(&self, opened: &OpenPart) -> io::Result<Finished> {
        let spec = self.spec();
        Ok(Finished {
            path: spec.target.clone(),
            descriptor: spec.descriptor,
            fingerprint: Fingerprint::new(&opened.part.metadata()?),
            is_shared: false,
            home: Destination::of(&spec.target)?,
        })
    }

    fn keep_receipt(&self, finished: &Finished) {
        let Reservation { store, key } = &self.reservation;
        store.keep_receipt_or_log(&key.hash, finished.receipt());
    }

    /// The same of a file in a folder, which lies in its place already: nothing is moved, nothing is made
    /// durable yet, and it stays marked until the folder is done. Keeps its tree.
    pub(super) fn finish_in_folder(self: &Arc<Self>) -> Result<Arc<OpenPart>, FinishError> {
        let _ended = self.writing.write();
        self.check_whole()?;
        let opened = self.opened().map_err(|error| self.failed(error))?;
        drop(self.check_unharmed(&opened)?);
        // Without its record it is whole or nothing: what a power cut may cost is to be seconds' worth.
        if self.spec().descriptor.size() > MAX_UNSYNCED {
            self.sync_data(&opened)
                .map_err(|error| self.failed(error))?;
        }
        self.keep_tree(&opened.record)?;
        self.remove_record(false);
        Ok(opened)
    }

    fn check_whole(&self) -> Result<(), FinishError> {
        match self.missing() {
            0 => Ok(()),
            missing => Err(FinishError::Incomplete {
                target: self.spec().target.clone(),
                missing,
            }),
        }
    }

    fn failed(&self, source: io::Error) -> FinishError {
        let target = self.spec().target.clone();
        match source.kind() {
            io::ErrorKind::AlreadyExists => FinishError::Exists { target },
            _ => FinishError::Io { target, source },
        }
    }

    /// Makes what was written so far durable, content and record. If the disk refuses, all of it is to be
    /// written again, as the system may show what the disk does not have: the record says so.
    pub(super) fn sync_data(&self, opened: &OpenPart) -> io::Result<()> {
        let Reservation { store, key } = &self.reservation;
        let synced = opened.part.sync_data();
        synced.inspect_err(|_| store.inner.partials.note_failed_sync(key))
    }

    /// Sees to it that what is about to be put in place is what was verified: the file is as long as it
    /// should be and lies where it was begun, and if somebody else may have written to it, all of it is
    /// proven again. What that shows to be missing is missing from then on.
    fn check_unharmed<'o>(&self, opened: &'o OpenPart) -> Result<Option<Alone<'o>>, FinishError> {
        let altered = || FinishError::Altered {
            path: self.part_file.path(),
            missing: self.missing(),
        };
        let (part, size) = (&opened.part, self.spec().descriptor.size());
        let len = part.metadata().map_err(|error| self.failed(error))?.len();
        let alone = Alone::with(part);
        // Asked for after that: who had it open for writing has closed it by now.
        let is_suspect = alone.is_none() || self.is_suspect(opened);
        if len != size {
            part.set_len(size).map_err(|error| self.failed(error))?;
        }
        if is_suspect {
            self.was_suspect.store(false, Ordering::Release);
            opened.guard.clear();
            let path = self.part_file.path();
            tracing::debug!(path = %path.display(), "others may have written to it: proving all of it again");
            *self.verified.lock() = pelago_content::BlockRanges::new();
            prove_recorded(self, opened, Proving::Only, &|_| ());
        }
        if self.missing() > 0 || !self.is_where_it_was(opened) {
            return Err(altered());
        }
        Ok(alone)
    }

    /// Whether the file that was written to still has the name that it was begun under.
    fn is_where_it_was(&self, opened: &OpenPart) -> bool {
        let there = self.part_file.dir.look(&self.part_file.inner);
        let here = entry_of(&opened.part);
        matches!((there, here), (Ok(there), Ok(here)) if there.identity == here.identity)
    }

    /// Shares the file on; whether that is written down.
    fn share(&self, fingerprint: Fingerprint) -> bool {
        let spec = self.spec().clone();
        let path = spec.target;
        let share = NewShare {
            descriptor: spec.descriptor,
            name: spec.name,
            path: path.clone(),
            scopes: self.scopes().clone(),
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
        opened: &OpenPart,
        dir: &Dir,
        name: &str,
        options: FinishOptions,
    ) -> Result<(), FinishError> {
        let Self { part_file, .. } = self;
        let moved = part_file
            .dir
            .rename(&part_file.inner, dir, name, options.overwrite);
        moved.map_err(|error| self.failed(error))?;
        let is_ours = || -> io::Result<bool> {
            Ok(dir.look(name)?.identity == entry_of(&opened.part)?.identity)
        };
        if !is_ours().map_err(|error| self.failed(error))? {
            // Another file was put in the place of ours a moment ago: it goes back to where it was.
            let _ = dir.rename(name, &part_file.dir, &part_file.inner, false);
            let error = io::Error::other("another file was put in its place");
            return Err(self.failed(error));
        }
        mark::remove(&opened.part);
        Ok(())
    }

    fn remove_record(&self, durably: bool) {
        let Reservation { store, key } = &self.reservation;
        if let Err(error) = store.inner.partials.remove(key, durably) {
            tracing::warn!(hash = %key.hash, %error, "the record of a download cannot be removed");
        }
    }
}

/// Why a download did not end.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// Not every block is verified.
    #[error("{missing} bytes of {} are still missing", shown(target))]
    Incomplete {
        /// The target.
        target: PathBuf,
        /// Bytes of the content that are not yet verified.
        missing: u64,
    },
    /// Something is at the target.
    #[error(
        "{} exists already: move it away, choose another place with -o, or replace it with \
         --overwrite",
        shown(target)
    )]
    Exists {
        /// The target.
        target: PathBuf,
    },
    /// Another program wrote to what was downloaded, or put something else in its place. What is not right
    /// any more is missing from now on.
    #[error(
        "another program changed {} while it was downloaded, and {missing} bytes of it are not right \
         any more: have that program leave it alone, then download again",
        shown(path)
    )]
    Altered {
        /// Where the content grows.
        path: PathBuf,
        /// Bytes of the content that are not verified any more.
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
        "{} cannot be put in place: {}: {}, then download again; what is verified is kept",
        shown(target),
        write_failure::cause(source),
        write_failure::remedy(source)
    )]
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

impl FinishError {
    /// What a person can do about it before the same is tried again, in a clause.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Io { source, .. } => Some(write_failure::remedy(source)),
            _ => None,
        }
    }
}
