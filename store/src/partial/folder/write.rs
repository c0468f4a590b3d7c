//! Writes verified chunks to the files of a folder.
//!
//! Owns the large files that are not whole yet. Every file has its own path in the staging
//! directory from the start.

use std::{
    fs::File,
    io,
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

use pelago_content::{Chunk, ListedFile, Node, verify};

use super::{
    Links, PartialFolder,
    executable::finalize,
    progress::{CompleteFile, FileState},
    staging::{Base, MAX_ATOMIC},
};
use crate::{
    hashing::GROUP_SIZE,
    partial::{
        FinishError, Partial, PartialSpec, WriteError,
        removal::{has_content, to_the_end},
    },
};

impl PartialFolder {
    /// Verifies a chunk of one of the files and writes it, unless it is verified already. Many
    /// threads may call this at the same time.
    ///
    /// # Errors
    ///
    /// [`WriteError::Proof`] if it does not verify: nothing changes. Others if it cannot be
    /// written: the chunk is still missing, and no verified block is lost.
    pub fn write(
        &self,
        file: usize,
        chunk: Chunk,
        data: &[u8],
        proof: &[Node],
    ) -> Result<(), WriteError> {
        let Some(listed) = self.files.get(&self.listing, file) else {
            return Ok(());
        };
        let _writing = self.writing.read();
        self.is_dirty.store(true, Ordering::Release);
        if listed.descriptor.size() > GROUP_SIZE {
            self.write_large(file, &listed, chunk, data, proof)
        } else {
            self.write_small(file, &listed, chunk, data, proof)
        }
    }

    fn write_small(
        &self,
        file: usize,
        listed: &ListedFile<'_>,
        chunk: Chunk,
        data: &[u8],
        proof: &[Node],
    ) -> Result<(), WriteError> {
        verify(&listed.descriptor, chunk, data, proof)?;
        let (geometry, path) = (listed.descriptor.geometry(), self.local.path(listed.entry));
        self.workspace
            .check_space(&self.spec, self.staging.dir().as_ref(), data.len() as u64)
            .map_err(|source| self.disk_error(&path, source))?;
        let all = self.sequence.blocks_of_file(file);
        let blocks = chunk.blocks(geometry);
        let is_whole = blocks == (0..geometry.blocks());
        if !is_whole {
            let written = self.write_small_chunk(file, listed, chunk, data);
            if !written.map_err(|source| self.disk_error(&path, source))? {
                return Ok(());
            }
        }
        {
            let mut progress = self.progress.lock();
            progress
                .arrived
                .insert(all.start + blocks.start..all.start + blocks.end);
            let is_missing = progress.files[file] == FileState::Missing;
            if !is_missing || !is_whole && !progress.arrived.contains_range(all) {
                return Ok(());
            }
            progress.files[file] = FileState::Completing;
        }
        let completed = if is_whole {
            let created = self.staging.create_whole(&path, data, listed.executable);
            created.map(|fingerprint| {
                Some(CompleteFile::in_staging(
                    fingerprint,
                    data.len() > MAX_ATOMIC,
                ))
            })
        } else {
            self.complete_small(listed, &path)
        };
        self.note_completed(file, &path, completed)
    }

    /// Writes a chunk of a small file. Returns false if the file is whole already.
    fn write_small_chunk(
        &self,
        file: usize,
        listed: &ListedFile<'_>,
        chunk: Chunk,
        data: &[u8],
    ) -> io::Result<bool> {
        let (descriptor, path) = (&listed.descriptor, self.local.path(listed.entry));
        if self.progress.lock().files[file] != FileState::Missing {
            return Ok(false);
        }
        {
            // Held while the file is created, so that only one thread does so.
            let mut partly_written = self.partly_written.lock();
            if !partly_written.contains(&file) {
                self.staging.create_sized(&path, descriptor.size())?;
                partly_written.insert(file);
            }
        }
        let offset = chunk.bytes(descriptor.geometry()).start;
        self.staging.write_at(&path, data, offset)?;
        Ok(true)
    }

    /// Completes a small file of which all chunks are written. None if another program changed it.
    fn complete_small(
        &self,
        listed: &ListedFile<'_>,
        path: &str,
    ) -> io::Result<Option<CompleteFile>> {
        let Some(file) = self.staging.existing(Base::Staging, path)? else {
            return Ok(None);
        };
        if !has_content(&file, &listed.descriptor, &to_the_end)? {
            return Ok(None);
        }
        finalize(&file, listed.executable)
            .map(|fingerprint| Some(CompleteFile::in_staging(fingerprint, true)))
    }

    fn write_large(
        &self,
        file: usize,
        listed: &ListedFile<'_>,
        chunk: Chunk,
        data: &[u8],
        proof: &[Node],
    ) -> Result<(), WriteError> {
        let Some(partial) = self.open_file(file, listed)? else {
            return Ok(());
        };
        partial.write(chunk, data, proof)?;
        self.add_verified(file, chunk.blocks(listed.descriptor.geometry()));
        self.complete_if_whole(file, &partial, listed)
    }

    /// Begins a large file, unless it is begun. None if it is whole.
    pub(super) fn open_file(
        &self,
        file: usize,
        listed: &ListedFile<'_>,
    ) -> Result<Option<Arc<Partial>>, WriteError> {
        // Held while the file is begun, so that only one thread does so.
        let mut growing = self.growing.lock();
        if self.progress.lock().files[file] != FileState::Missing {
            return Ok(None);
        }
        if let Some(partial) = growing.get(&file) {
            return Ok(Some(Arc::clone(partial)));
        }
        let inner = self.local.path(listed.entry);
        let spec = PartialSpec {
            descriptor: listed.descriptor,
            target: self.staging.target(&inner),
            name: listed.entry.name().to_owned(),
            scopes: self.spec.scopes.clone(),
            resume_on_start: false,
            only: Vec::new(),
            part_of: Some(self.hash()),
            overwrite: false,
            is_named: false,
            links: Links::default(),
            strict_names: false,
        };
        let dir = Arc::clone(self.staging.dir());
        let clear_path = || self.staging.clear_path(&inner);
        let partial = Partial::create_in(&self.workspace, spec, dir, inner.clone(), &clear_path)?;
        growing.insert(file, Arc::clone(&partial));
        Ok(Some(partial))
    }

    /// Notes verified blocks of a large file, in its own numbering. Blocks of its repeats follow
    /// once it is whole.
    pub(super) fn add_verified(&self, file: usize, blocks: Range<u64>) {
        let first = self.sequence.blocks_of_file(file).start;
        let blocks = first + blocks.start..first + blocks.end;
        self.progress.lock().verified.insert(blocks);
        self.reservation.note_verified();
    }

    /// Completes a large file if it is whole.
    pub(super) fn complete_if_whole(
        &self,
        file: usize,
        partial: &Arc<Partial>,
        listed: &ListedFile<'_>,
    ) -> Result<(), WriteError> {
        if partial.missing() > 0 {
            return Ok(());
        }
        {
            let mut progress = self.progress.lock();
            if progress.files[file] != FileState::Missing {
                return Ok(());
            }
            progress.files[file] = FileState::Completing;
        }
        let path = self.local.path(listed.entry);
        let finished = partial.finish_in_folder();
        let completed = match finished {
            Ok(opened) => self.complete_large(&opened.part, listed.executable),
            // Its missing blocks are fetched again.
            Err(FinishError::Altered { .. }) => self.recheck_large(file, partial).map(|()| None),
            Err(error) => Err(as_io_error(error)),
        };
        if matches!(completed, Ok(Some(_))) {
            self.growing.lock().remove(&file);
        }
        self.note_completed(file, &path, completed)
    }

    /// Completes a large file that is whole. It carries the mark of the folder until that is done.
    fn complete_large(&self, file: &File, is_executable: bool) -> io::Result<Option<CompleteFile>> {
        self.staging.mark(file);
        finalize(file, is_executable)
            .map(|fingerprint| Some(CompleteFile::in_staging(fingerprint, true)))
    }

    /// Takes over which blocks a large file has, after another program changed it. If the file is
    /// not at its path any more, it is begun again.
    fn recheck_large(&self, file: usize, partial: &Arc<Partial>) -> io::Result<()> {
        let all = self.sequence.blocks_of_file(file);
        if partial.missing() == 0 {
            self.growing.lock().remove(&file);
            self.workspace
                .records
                .remove(&partial.spec().key(), false)?;
            return Ok(());
        }
        let mut progress = self.progress.lock();
        progress.verified.remove(all.clone());
        for run in partial.verified().iter() {
            let run = all.start + run.start..all.start + run.end;
            progress.verified.insert(run);
        }
        Ok(())
    }

    /// Notes the outcome of completing a file. None: its content is wrong and has to be fetched
    /// again.
    fn note_completed(
        &self,
        file: usize,
        path: &str,
        completed: io::Result<Option<CompleteFile>>,
    ) -> Result<(), WriteError> {
        match completed {
            Ok(Some(done)) => {
                self.set_complete(file, done);
                Ok(())
            }
            Ok(None) => {
                self.set_missing(file);
                Ok(())
            }
            Err(source) => {
                self.progress.lock().files[file] = FileState::Missing;
                Err(self.disk_error(path, source))
            }
        }
    }

    /// Notes that a file is not whole, or no longer. Recorded blocks of a large file stay verified.
    pub(super) fn set_missing(&self, file: usize) {
        let blocks = self.sequence.blocks_of_file(file);
        self.partly_written.lock().remove(&file);
        let is_growing = self.growing.lock().contains_key(&file);
        let hash = self.descriptor_of(file).map(|found| found.hash());
        let first = hash.and_then(|hash| self.files.first_with(&hash));
        let first = first.unwrap_or(file);
        let mut progress = self.progress.lock();
        progress.files[file] = FileState::Missing;
        progress.arrived.remove(blocks.clone());
        let is_done = |at: usize| matches!(progress.files[at], FileState::Complete(_));
        // It is copied from a repeat that is whole. If there is none, they have to be fetched.
        if is_growing || self.files.same_as(first).any(is_done) {
            return;
        }
        progress.repeated.remove(&first);
        progress.verified.remove(blocks);
        for same in self.files.same_as(first) {
            let blocks = self.sequence.blocks_of_file(same);
            progress.verified.remove(blocks);
        }
    }

    /// Notes that a file is whole. Others with its content need not be fetched.
    pub(super) fn set_complete(&self, file: usize, done: CompleteFile) {
        self.add_complete(file, done);
        self.reservation.note_verified();
    }

    fn add_complete(&self, file: usize, done: CompleteFile) {
        let mut progress = self.progress.lock();
        progress.files[file] = FileState::Complete(done);
        let blocks = self.sequence.blocks_of_file(file);
        progress.arrived.remove(blocks.clone());
        progress.verified.insert(blocks.clone());
        let listed = self.files.get(&self.listing, file);
        let first = listed.and_then(|file| self.files.first_with(&file.descriptor.hash()));
        let first = first.filter(|first| !blocks.is_empty() && self.files.is_repeated(*first));
        // Only the first time: there may be a million repeats.
        let Some(first) = first.filter(|first| progress.repeated.insert(*first)) else {
            return;
        };
        for same in self.files.same_as(first) {
            let blocks = self.sequence.blocks_of_file(same);
            progress.arrived.remove(blocks.clone());
            progress.verified.insert(blocks);
        }
    }

    pub(super) fn disk_error(&self, inner: &str, source: io::Error) -> WriteError {
        WriteError::Disk {
            path: self.staging.path(Base::Staging, inner),
            missing: self.missing_bytes(),
            source,
        }
    }
}

/// The error of the system, if that is the reason.
fn as_io_error(error: FinishError) -> io::Error {
    match error {
        FinishError::Io { source, .. } => source,
        error => io::Error::other(error),
    }
}
