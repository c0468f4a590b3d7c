//! Verified chunks to the files of a folder.
//!
//! Owns the large files that grow. All of them lie in the tree at their own paths from the start.

use std::{
    fs::File,
    io,
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

use pelago_content::{Chunk, ListedFile, Node, verify};

use super::{
    CompleteFile, FileState, Links, Partial, PartialFolder,
    staging::{Base, MAX_ATOMIC, finished},
};
use crate::store::{
    Fingerprint,
    hashing::GROUP_SIZE,
    partial::{FinishError, PartialError, PartialSpec, WriteError, remove::has_content},
};

impl CompleteFile {
    /// A file in the tree that grows.
    pub(super) const fn staged(fingerprint: Fingerprint, is_marked: bool) -> Self {
        Self {
            fingerprint,
            at: Base::Staging,
            is_marked,
        }
    }
}

impl PartialFolder {
    /// Verifies a chunk of one of the files and writes it. May be called from many threads at once; a
    /// chunk that is there already is not written again.
    ///
    /// # Errors
    ///
    /// [`WriteError::Proof`] if it does not verify: nothing was changed. Others if it cannot be
    /// written: it counts as missing, and nothing that was verified is lost.
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
        let store = &self.reservation.store;
        store
            .check_room(&self.spec, self.tree.staged().as_ref(), data.len() as u64)
            .map_err(|source| self.disk_error(&path, source))?;
        let all = self.sequence.blocks_of_file(file);
        let blocks = chunk.blocks(geometry);
        let is_whole = blocks == (0..geometry.blocks());
        if !is_whole {
            let written = self.write_in_parts(file, listed, chunk, data);
            if !written.map_err(|source| self.disk_error(&path, source))? {
                return Ok(());
            }
        }
        {
            let mut state = self.state.lock();
            state
                .arrived
                .insert(all.start + blocks.start..all.start + blocks.end);
            let is_missing = state.files[file] == FileState::Missing;
            if !is_missing || !is_whole && !state.arrived.contains_range(all) {
                return Ok(());
            }
            state.files[file] = FileState::Completing;
        }
        let placed = if is_whole {
            let put = self.tree.put(&path, data, listed.executable);
            put.map(|fingerprint| Some(CompleteFile::staged(fingerprint, data.len() > MAX_ATOMIC)))
        } else {
            self.close_small(listed, &path)
        };
        self.placed(file, &path, placed)
    }

    /// Writes a part of a small file; false if the file is whole already.
    fn write_in_parts(
        &self,
        file: usize,
        listed: &ListedFile<'_>,
        chunk: Chunk,
        data: &[u8],
    ) -> io::Result<bool> {
        let (descriptor, path) = (&listed.descriptor, self.local.path(listed.entry));
        if self.state.lock().files[file] != FileState::Missing {
            return Ok(false);
        }
        {
            // Held while it is begun: two who need it shall not both do that.
            let mut in_parts = self.in_parts.lock();
            if !in_parts.contains(&file) {
                self.tree.begin_part(&path, descriptor.size())?;
                in_parts.insert(file);
            }
        }
        let offset = chunk.bytes(descriptor.geometry()).start;
        self.tree.write_part(&path, data, offset)?;
        Ok(true)
    }

    /// A small file of which all parts have come; none if somebody else wrote to it meanwhile.
    fn close_small(&self, listed: &ListedFile<'_>, path: &str) -> io::Result<Option<CompleteFile>> {
        let Some(file) = self.tree.existing(Base::Staging, path)? else {
            return Ok(None);
        };
        if !has_content(&file, &listed.descriptor)? {
            return Ok(None);
        }
        finished(&file, listed.executable)
            .map(|fingerprint| Some(CompleteFile::staged(fingerprint, true)))
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
        self.large_has(file, chunk.blocks(listed.descriptor.geometry()));
        self.close_if_whole(file, &partial, listed)
    }

    /// The large file, begun if it is not; none if it is whole.
    pub(super) fn open_file(
        &self,
        file: usize,
        listed: &ListedFile<'_>,
    ) -> Result<Option<Arc<Partial>>, WriteError> {
        // Held while it is begun: two who need it shall not both try.
        let mut growing = self.growing.lock();
        if self.state.lock().files[file] != FileState::Missing {
            return Ok(None);
        }
        if let Some(partial) = growing.get(&file) {
            return Ok(Some(Arc::clone(partial)));
        }
        let inner = self.local.path(listed.entry);
        let spec = PartialSpec {
            descriptor: listed.descriptor,
            target: self.tree.target(&inner),
            name: listed.entry.name().to_owned(),
            scopes: self.spec.scopes.clone(),
            resume_on_start: false,
            only: Vec::new(),
            part_of: Some(self.reservation.key.hash),
            overwrite: false,
            is_named: false,
            links: Links::default(),
            strict_names: false,
        };
        let (store, dir) = (&self.reservation.store, Arc::clone(self.tree.staged()));
        let clear_path = || self.tree.clear_path(&inner);
        let partial = Partial::create_in(store, spec, dir, inner.clone(), &clear_path)?;
        growing.insert(file, Arc::clone(&partial));
        Ok(Some(partial))
    }

    /// Blocks of a large file are verified, in its own numbering. Those of its repeats are when all of
    /// it is.
    pub(super) fn large_has(&self, file: usize, blocks: Range<u64>) {
        let first = self.sequence.blocks_of_file(file).start;
        let blocks = first + blocks.start..first + blocks.end;
        self.state.lock().verified.insert(blocks);
    }

    /// Puts a large file in its place if it is whole.
    pub(super) fn close_if_whole(
        &self,
        file: usize,
        partial: &Arc<Partial>,
        listed: &ListedFile<'_>,
    ) -> Result<(), WriteError> {
        if partial.missing() > 0 {
            return Ok(());
        }
        {
            let mut state = self.state.lock();
            if state.files[file] != FileState::Missing {
                return Ok(());
            }
            state.files[file] = FileState::Completing;
        }
        let path = self.local.path(listed.entry);
        let finished = partial.finish_in_folder();
        let placed = match finished {
            Ok(opened) => self.close_large(&opened.part, listed.executable),
            // What is missing then is fetched again.
            Err(FinishError::Altered { .. }) => self.large_lacks(file, partial).map(|()| None),
            Err(error) => Err(as_io_error(error)),
        };
        if matches!(placed, Ok(Some(_))) {
            self.growing.lock().remove(&file);
        }
        self.placed(file, &path, placed)
    }

    /// A large file that is whole: until the folder is done, it carries the mark of that.
    fn close_large(&self, file: &File, run: bool) -> io::Result<Option<CompleteFile>> {
        self.tree.mark(file);
        finished(file, run).map(|fingerprint| Some(CompleteFile::staged(fingerprint, true)))
    }

    /// A large file was found to lack blocks that it had, or not to be where it was: then it is begun
    /// anew.
    fn large_lacks(&self, file: usize, partial: &Arc<Partial>) -> io::Result<()> {
        let all = self.sequence.blocks_of_file(file);
        if partial.missing() == 0 {
            self.growing.lock().remove(&file);
            let partials = &self.reservation.store.inner.partials;
            partials.remove(&partial.spec().key(), false)?;
            return Ok(());
        }
        let mut state = self.state.lock();
        state.verified.remove(all.clone());
        for run in partial.verified().iter() {
            let run = all.start + run.start..all.start + run.end;
            state.verified.insert(run);
        }
        Ok(())
    }

    /// What came of completing a file; none, if it is not right and has to be fetched again.
    fn placed(
        &self,
        file: usize,
        path: &str,
        placed: io::Result<Option<CompleteFile>>,
    ) -> Result<(), WriteError> {
        match placed {
            Ok(Some(done)) => {
                self.is_done(file, done);
                Ok(())
            }
            Ok(None) => {
                self.is_missing(file);
                Ok(())
            }
            Err(source) => {
                self.state.lock().files[file] = FileState::Missing;
                Err(self.disk_error(path, source))
            }
        }
    }

    /// The file is not whole (any more). What is known of a large one stays known.
    pub(super) fn is_missing(&self, file: usize) {
        let blocks = self.sequence.blocks_of_file(file);
        self.in_parts.lock().remove(&file);
        let is_growing = self.growing.lock().contains_key(&file);
        let hash = self.descriptor_of(file).map(|found| found.hash());
        let first = hash.and_then(|hash| self.files.first_with(&hash));
        let first = first.unwrap_or(file);
        let mut state = self.state.lock();
        state.files[file] = FileState::Missing;
        state.arrived.remove(blocks.clone());
        let is_done = |at: usize| matches!(state.files[at], FileState::Complete(_));
        // It is copied from another one that is whole, or else all of them are to be fetched.
        if is_growing || self.files.same_as(first).any(is_done) {
            return;
        }
        state.repeated.remove(&first);
        state.verified.remove(blocks);
        for same in self.files.same_as(first) {
            let blocks = self.sequence.blocks_of_file(same);
            state.verified.remove(blocks);
        }
    }

    /// The file is whole. Others with its content need not be fetched.
    pub(super) fn is_done(&self, file: usize, done: CompleteFile) {
        let mut state = self.state.lock();
        state.files[file] = FileState::Complete(done);
        let blocks = self.sequence.blocks_of_file(file);
        state.arrived.remove(blocks.clone());
        state.verified.insert(blocks.clone());
        let listed = self.files.get(&self.listing, file);
        let first = listed.and_then(|file| self.files.first_with(&file.descriptor.hash()));
        let first = first.filter(|first| !blocks.is_empty() && self.files.is_repeated(*first));
        // Told once: there may be a million of them.
        let Some(first) = first.filter(|first| state.repeated.insert(*first)) else {
            return;
        };
        for same in self.files.same_as(first) {
            let blocks = self.sequence.blocks_of_file(same);
            state.arrived.remove(blocks.clone());
            state.verified.insert(blocks);
        }
    }

    pub(super) fn disk_error(&self, inner: &str, source: io::Error) -> WriteError {
        WriteError::Disk {
            path: self.tree.path(Base::Staging, inner),
            missing: self.missing_bytes(),
            source,
        }
    }
}

/// What the system said, where it is that.
fn as_io_error(error: FinishError) -> io::Error {
    match error {
        FinishError::Io { source, .. } => source,
        error => io::Error::other(error),
    }
}

impl From<PartialError> for WriteError {
    fn from(error: PartialError) -> Self {
        Self::Partial(Box::new(error))
    }
}
