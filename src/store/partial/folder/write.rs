//! Verified chunks to the files of a folder.
//!
//! Owns the large files that grow. Whoever completes a file puts it in its place, so that at any time
//! most of what is verified lies where it will lie in the end.

use std::{
    io,
    ops::Range,
    sync::{Arc, PoisonError},
};

use pelago_content::{Chunk, ListedFile, Node, verify};

use super::{FileState, Partial, PartialFolder, tree::finished};
use crate::store::{
    Fingerprint,
    hashing::GROUP_SIZE,
    mutex::lock,
    partial::{Ending, FinishError, FinishOptions, PartialError, PartialSpec, WriteError},
};

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
        let _writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
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
        let (geometry, path) = (listed.descriptor.geometry(), listed.path());
        let all = self.sequence.blocks_of_file(file);
        let blocks = chunk.blocks(geometry);
        let is_whole = blocks == (0..geometry.blocks());
        if !is_whole {
            if lock(&self.state).files[file] != FileState::Missing {
                return Ok(());
            }
            let offset = chunk.bytes(geometry).start;
            let written = self.tree.write_part(&path, data, offset);
            written.map_err(|source| self.disk_error(&path, source))?;
        }
        let had_part = {
            let mut state = lock(&self.state);
            let had_part = state.arrived.overlaps(all.clone());
            state
                .arrived
                .insert(all.start + blocks.start..all.start + blocks.end);
            let is_missing = state.files[file] == FileState::Missing;
            if !is_missing || !is_whole && !state.arrived.contains_range(all) {
                return Ok(());
            }
            state.files[file] = FileState::Closing;
            had_part
        };
        let placed = if is_whole {
            let placed = self.tree.put(&path, data, listed.executable);
            if had_part || !self.tree.is_new() {
                self.tree.remove_part(&path);
            }
            placed
        } else {
            let size = listed.descriptor.size();
            self.tree.place_part(&path, size, listed.executable)
        };
        self.placed(file, &path, placed)
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
        let mut growing = lock(&self.growing);
        if lock(&self.state).files[file] != FileState::Missing {
            return Ok(None);
        }
        if let Some(partial) = growing.get(&file) {
            return Ok(Some(Arc::clone(partial)));
        }
        let inner = listed.path();
        let target = self.tree.writable(&inner);
        let spec = PartialSpec {
            descriptor: listed.descriptor,
            target: target.map_err(|source| self.disk_error(&inner, source))?,
            name: listed.entry.name().to_owned(),
            scopes: self.spec.scopes.clone(),
            resume_on_start: false,
            only: Vec::new(),
            part_of: Some(self.reservation.key.hash),
            overwrite: self.tree.takes_over(),
            is_named: false,
        };
        let partial = Partial::create_or_resume(&self.reservation.store, spec, &|_| {})?;
        growing.insert(file, Arc::clone(&partial));
        Ok(Some(partial))
    }

    /// Blocks of a large file are verified, in its own numbering. Those of its repeats are when all of
    /// it is.
    pub(super) fn large_has(&self, file: usize, blocks: Range<u64>) {
        let first = self.sequence.blocks_of_file(file).start;
        let blocks = first + blocks.start..first + blocks.end;
        lock(&self.state).verified.insert(blocks);
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
            let mut state = lock(&self.state);
            if state.files[file] != FileState::Missing {
                return Ok(());
            }
            state.files[file] = FileState::Closing;
        }
        let path = listed.path();
        let options = FinishOptions {
            durable: false,
            overwrite: self.tree.may_replace(),
            share: false,
        };
        let finished = partial
            .finish(options, &Ending::default())
            .map_err(as_io_error);
        let placed = finished.and_then(|done| self.executable(&path, listed, done.fingerprint));
        lock(&self.growing).remove(&file);
        self.placed(file, &path, placed)
    }

    /// Lets a file in its place be run, if it is to be; tells what it is then.
    pub(super) fn executable(
        &self,
        path: &str,
        listed: &ListedFile<'_>,
        fingerprint: Fingerprint,
    ) -> io::Result<Fingerprint> {
        match self.tree.existing(path)? {
            Some(file) if listed.executable => finished(&file, true),
            _ => Ok(fingerprint),
        }
    }

    fn placed(
        &self,
        file: usize,
        path: &str,
        placed: io::Result<Fingerprint>,
    ) -> Result<(), WriteError> {
        match placed {
            Ok(fingerprint) => {
                self.is_done(file, fingerprint);
                Ok(())
            }
            Err(source) => {
                lock(&self.state).files[file] = FileState::Missing;
                Err(self.disk_error(path, source))
            }
        }
    }

    /// The file is whole and in its place. Others with its content need not be fetched.
    pub(super) fn is_done(&self, file: usize, fingerprint: Fingerprint) {
        let mut state = lock(&self.state);
        state.files[file] = FileState::Done(fingerprint);
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
            path: self.tree.path(inner),
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
