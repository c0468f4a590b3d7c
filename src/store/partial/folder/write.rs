//! Verified chunks to the files of a folder.
//!
//! Owns the large files that are open. Whoever completes a file puts it in its place, so that at any
//! time most of what is verified lies where it will lie in the end.

use std::{
    collections::HashSet,
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
    partial::{FinishOptions, PartialError, PartialSpec, WriteError},
};

/// Large files that are open at a time, unless more are being written to: each takes two handles, and
/// processes may often have no more than 1,024.
const MAX_OPEN: usize = 96;

/// Large files that grow.
#[derive(Default)]
pub(super) struct Open {
    /// By their numbers; the one used last comes last.
    files: Vec<(usize, Arc<Partial>)>,
    /// Those that another download of this node fetches, too, and has the record of: they are written
    /// without one, as small files are.
    without_record: HashSet<usize>,
}

impl Open {
    /// The file, if it is open.
    pub(super) fn get(&mut self, file: usize) -> Option<Arc<Partial>> {
        let at = self.files.iter().rposition(|(open, _)| *open == file)?;
        let entry = self.files.remove(at);
        let partial = Arc::clone(&entry.1);
        self.files.push(entry);
        Some(partial)
    }

    fn insert(&mut self, file: usize, partial: Arc<Partial>) {
        if self.files.len() >= MAX_OPEN {
            let idle = |(_, partial): &(usize, Arc<Partial>)| Arc::strong_count(partial) == 1;
            if let Some(at) = self.files.iter().position(idle) {
                self.files.remove(at);
            }
        }
        self.files.push((file, partial));
    }

    fn remove(&mut self, file: usize) {
        self.files.retain(|(open, _)| *open != file);
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
        let _writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        if listed.descriptor.size() > GROUP_SIZE {
            match self.write_large(file, &listed, chunk, data, proof) {
                Err(error) if is_in_use(&error) => {}
                written => return written,
            }
        }
        self.write_whole(file, &listed, chunk, data, proof)
    }

    fn write_whole(
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
        {
            let mut state = lock(&self.state);
            state
                .arrived
                .insert(all.start + blocks.start..all.start + blocks.end);
            let is_missing = state.files[file] == FileState::Missing;
            if !is_missing || !is_whole && !state.arrived.contains_range(all) {
                return Ok(());
            }
            state.files[file] = FileState::Closing;
        }
        let placed = if is_whole {
            self.tree.put(&path, data, listed.executable)
        } else {
            let size = listed.descriptor.size();
            let placed = self.tree.place_part(&path, size, listed.executable);
            // Without a record there is no tree yet.
            if size > GROUP_SIZE && placed.is_ok() && !self.is_large(&listed.descriptor, &path) {
                Err(io::Error::other("it has changed"))
            } else {
                placed
            }
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

    /// The large file, opened if it is not; none if it is whole. [`PartialError::InUse`] if it is to be
    /// written without a record.
    pub(super) fn open_file(
        &self,
        file: usize,
        listed: &ListedFile<'_>,
    ) -> Result<Option<Arc<Partial>>, WriteError> {
        // Held while it is opened: two who need it shall not both try.
        let mut open = lock(&self.open);
        if lock(&self.state).files[file] != FileState::Missing {
            return Ok(None);
        }
        if let Some(partial) = open.get(file) {
            return Ok(Some(partial));
        }
        if open.without_record.contains(&file) {
            let target = self.tree.target(&listed.path());
            return Err(PartialError::InUse { target }.into());
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
            part_of: Some(self.reservation.hash),
        };
        let opened = Partial::create_or_resume(&self.reservation.store, spec, &|_| {});
        if matches!(opened, Err(PartialError::InUse { .. })) {
            open.without_record.insert(file);
        }
        let partial = opened?;
        open.insert(file, Arc::clone(&partial));
        Ok(Some(partial))
    }

    /// Blocks of a large file are verified, in its own numbering.
    pub(super) fn large_has(&self, file: usize, blocks: Range<u64>) {
        let mut state = lock(&self.state);
        for same in self.files.same_as(file) {
            let first = self.sequence.blocks_of_file(same).start;
            let blocks = first + blocks.start..first + blocks.end;
            state.verified.insert(blocks);
        }
    }

    /// Puts a large file in its place if it is whole.
    pub(super) fn close_if_whole(
        &self,
        file: usize,
        partial: &Partial,
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
        };
        let finished = partial.finish(options).map_err(io::Error::other);
        let placed = finished.and_then(|done| self.executable(&path, listed, done.fingerprint));
        lock(&self.open).remove(file);
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
        let listed = self.files.get(&self.listing, file);
        let first = listed.and_then(|file| self.files.first_with(&file.descriptor.hash()));
        for same in self.files.same_as(first.unwrap_or(file)) {
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

/// Whether another download has the record.
pub(super) fn is_in_use(error: &WriteError) -> bool {
    matches!(error, WriteError::Partial(error) if matches!(**error, PartialError::InUse { .. }))
}

impl From<PartialError> for WriteError {
    fn from(error: PartialError) -> Self {
        Self::Partial(Box::new(error))
    }
}
