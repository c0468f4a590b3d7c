//! The end of a file's download: the content is whole and at its target.
//!
//! Owns the order of the last steps. After any failure the download can resume. Nothing at the
//! target is replaced unless the person asked for it. Failures leave as a [`FinishError`].

use std::{io, path::PathBuf, sync::Arc};

use pelago_content::{BlockRanges, Descriptor, STORED_LEVEL};

use super::{
    Ending, FinishError, Partial, PartialError, Receipt, mark,
    open_parts::OpenPart,
    part_name::open_parent,
    record::Record,
    removal::{Destination, PlacedFile},
    resume::Proving,
};
use crate::{
    Fingerprint, NewShare, Origin, Store, TreeError,
    dir::{Dir, metadata_of_file},
    hashing::GROUP_SIZE,
    writers::Alone,
};

/// Bytes of the largest file in a folder whose record is removed before its content is durable.
const MAX_UNSYNCED: u64 = 16 << 20;

/// How a download ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinishOptions {
    /// Wait until the content survives a power cut: two syncs.
    pub durable: bool,
    /// Replace another file at the target.
    pub overwrite: bool,
    /// Share the content from the target, in the scopes of the download. This happens before the
    /// record is removed, so that peers find the content at all times.
    pub share: bool,
    /// Keep a receipt, so that the content can be removed later, even if the process is killed
    /// meanwhile.
    pub receipt: bool,
}

/// A finished download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The path of the content.
    pub path: PathBuf,
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// The file as it is now.
    pub fingerprint: Fingerprint,
    /// Whether it is shared.
    pub is_shared: bool,
    destination: Destination,
}

impl Finished {
    /// The receipt that is needed to remove the file later.
    pub fn receipt(&self) -> Receipt {
        let file = PlacedFile {
            descriptor: self.descriptor,
            fingerprint: self.fingerprint,
        };
        Receipt::of_file(&self.path, &self.destination, file)
    }
}

impl Partial {
    /// Puts the whole content at its target and removes the record. Content that another program
    /// may have changed is proven again first.
    ///
    /// # Errors
    ///
    /// See [`FinishError`]. The download can resume then.
    pub fn finish(
        &self,
        store: &Store,
        options: FinishOptions,
        ending: &Ending,
    ) -> Result<Finished, FinishError> {
        let _ended = self.writing.write();
        self.check_whole()?;
        let target = &self.spec().target;
        let (dir, name) = open_parent(target).map_err(|error| match error {
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
        let opened = self.files.opened().map_err(|error| self.failed(error))?;
        if options.durable {
            self.sync_data(&opened)
                .map_err(|error| self.failed(error))?;
        }
        // From here on, no other program can open it for writing until it is in place.
        let alone = self.check_unchanged(&opened)?;
        if options.share {
            self.keep_tree(&opened.record)?;
        }
        if !ending.commit() {
            let target = target.clone();
            return Err(FinishError::Stopped { target });
        }
        if options.receipt {
            // Renaming changes nothing that identifies this file.
            let placed = self.placed(&opened);
            self.keep_receipt(store, &placed.map_err(|error| self.failed(error))?);
        }
        self.put_in_place(&opened, &dir, &name, options)?;
        drop(alone);
        // A record that returned after a power cut would turn a finished download into an
        // unfinished one. On one disk, the sync of the folder makes its removal durable too.
        let is_on_one_disk = self.workspace.records.are_on_disk_of(&dir);
        if is_on_one_disk {
            self.remove_record(false);
        }
        // The content is at its target now. If a power cut may still lose it, a warning says so,
        // but the download does not fail.
        if options.durable
            && let Err(error) = dir.sync()
        {
            tracing::warn!(
                target = %target.display(),
                %error,
                "cannot sync the folder of the target: a power cut may lose the download"
            );
        }
        let mut finished = self.placed(&opened).map_err(|error| self.failed(error))?;
        if options.receipt {
            self.keep_receipt(store, &finished);
        }
        finished.is_shared = options.share && self.share(store, finished.fingerprint);
        if !finished.is_shared {
            store.confine_or_log(&self.spec().target, self.scopes(), &[self.hash()]);
        }
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
            destination: Destination::of(&spec.target)?,
        })
    }

    fn keep_receipt(&self, store: &Store, finished: &Finished) {
        store.keep_receipt_or_log(&self.hash(), finished.receipt());
    }

    /// Ends the download of a file in a folder. It already has its path, and keeps its mark until
    /// the folder is done. Small files are not synced yet. Keeps the tree and removes the record.
    pub(super) fn finish_in_folder(&self) -> Result<Arc<OpenPart>, FinishError> {
        let _ended = self.writing.write();
        self.check_whole()?;
        let opened = self.files.opened().map_err(|error| self.failed(error))?;
        drop(self.check_unchanged(&opened)?);
        // Without its record it is whole or lost. A power cut should cost no more than seconds of
        // work.
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

    /// Makes the content written so far durable. If the disk refuses, the record notes that
    /// everything has to be written again: the system may show bytes that the disk does not hold.
    pub(super) fn sync_data(&self, opened: &OpenPart) -> io::Result<()> {
        let (records, key) = (&self.workspace.records, &self.files.reservation.key);
        let synced = opened.part.sync_data();
        synced.inspect_err(|_| records.note_failed_sync(key))
    }

    /// Makes sure that the part file has the verified content, its length and its path. If another
    /// program may have written to it, everything is proven again, and blocks that do not verify
    /// are missing from then on.
    fn check_unchanged<'o>(&self, opened: &'o OpenPart) -> Result<Option<Alone<'o>>, FinishError> {
        let altered = || FinishError::Altered {
            path: self.files.path(),
            missing: self.missing(),
        };
        let (part, size) = (&opened.part, self.spec().descriptor.size());
        let len = part.metadata().map_err(|error| self.failed(error))?.len();
        let alone = Alone::with(part);
        // Only now: a program that had it open for writing has closed it by now.
        let is_suspect = alone.is_none() || self.files.is_suspect(opened);
        if len != size {
            part.set_len(size).map_err(|error| self.failed(error))?;
        }
        if is_suspect {
            self.files.clear_suspicion(opened);
            let path = self.files.path();
            tracing::debug!(
                path = %path.display(),
                "another program may have written to it: proving everything again"
            );
            *self.verified.lock() = BlockRanges::new();
            self.prove_recorded(opened, Proving::Only, &|_| ());
        }
        if self.missing() > 0 || !self.has_its_path(opened) {
            return Err(altered());
        }
        Ok(alone)
    }

    /// Whether the path of the part file still leads to the file that was written.
    fn has_its_path(&self, opened: &OpenPart) -> bool {
        let part_file = &self.files.part_file;
        let there = part_file.dir.metadata_of(&part_file.inner);
        let here = metadata_of_file(&opened.part);
        matches!((there, here), (Ok(there), Ok(here)) if there.file_id == here.file_id)
    }

    /// Shares the file. Returns whether it is shared.
    fn share(&self, store: &Store, fingerprint: Fingerprint) -> bool {
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
        let shared = store.add_shares(&[share]);
        if let Err(error) = &shared {
            tracing::warn!(
                path = %path.display(),
                %error,
                "downloaded the file, but cannot share it"
            );
        }
        shared.is_ok()
    }

    /// Copies the recorded tree from the stored level up. Every block is verified, so every node is
    /// known.
    fn keep_tree(&self, record: &Record) -> Result<(), FinishError> {
        let (descriptor, geometry) = (self.spec().descriptor, self.geometry());
        if descriptor.size() <= GROUP_SIZE {
            return Ok(());
        }
        let hash = self.hash();
        let mut tree = self.workspace.trees.begin(descriptor.size())?;
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
        let part_file = &self.files.part_file;
        let moved = part_file
            .dir
            .rename(&part_file.inner, dir, name, options.overwrite);
        moved.map_err(|error| self.failed(error))?;
        let is_ours = || -> io::Result<bool> {
            Ok(dir.metadata_of(name)?.file_id == metadata_of_file(&opened.part)?.file_id)
        };
        if !is_ours().map_err(|error| self.failed(error))? {
            // Another file took the path of ours a moment ago: it goes back.
            let _ = dir.rename(name, &part_file.dir, &part_file.inner, false);
            let error = io::Error::other("another file took the path of the part file");
            return Err(self.failed(error));
        }
        mark::remove(&opened.part);
        Ok(())
    }

    fn remove_record(&self, durably: bool) {
        let (records, key) = (&self.workspace.records, &self.files.reservation.key);
        if let Err(error) = records.remove(key, durably) {
            tracing::warn!(hash = %key.hash, %error, "cannot remove the record of a download");
        }
    }
}
