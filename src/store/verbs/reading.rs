//! Chunks with their proofs, from shared files, kept manifests and downloads under way.
//!
//! Where the same content is stored in several places, the next one is tried. What is in the way
//! leaves as a [`ReadError`].

#[cfg(test)]
mod tests;

use std::sync::Arc;

use pelago_content::{BlockRanges, Descriptor, Hash, STORED_LEVEL};

use crate::store::{
    ChunkRead, DatabaseError, ReadError, Store,
    chunk_source::{ChunkRequest, read_from},
    open_files::SharedFile,
    partial::Held,
};

/// How far content is here: another value after each change of what is shared or verified of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// That of all shares.
    pub revision: u64,
    /// Blocks that a download has verified.
    pub blocks: u64,
    /// Runs that these are.
    pub runs: usize,
}

impl Store {
    /// Reads a chunk of content that is shared, by itself or in a folder, of a manifest that is
    /// kept, or of what a download under way has verified. Who may know of it is not asked here.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn read_chunk(
        &self,
        hash: &Hash,
        level: u8,
        index: u64,
        with_data: bool,
    ) -> Result<ChunkRead, ReadError> {
        let request = ChunkRequest {
            level,
            index,
            with_data,
            may_read: true,
        };
        self.read_requested(hash, request)
    }

    /// Gives the node above a chunk with its proof. Only if `may_read`, content is read and hashed for it where
    /// its tree does not have the node.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn read_node(
        &self,
        hash: &Hash,
        level: u8,
        index: u64,
        may_read: bool,
    ) -> Result<ChunkRead, ReadError> {
        let request = ChunkRequest {
            level,
            index,
            with_data: false,
            may_read,
        };
        self.read_requested(hash, request)
    }

    fn read_requested(&self, hash: &Hash, request: ChunkRequest) -> Result<ChunkRead, ReadError> {
        if let Some(file) = self.inner.open_files.get(hash) {
            let result = read_from(&*file, request);
            match result {
                Err(error) if error.is_of_one_location() => self.inner.open_files.forget(&[*hash]),
                result => return result,
            }
        }
        let failure = match self.read_shared(hash, request)? {
            Ok(read) => return Ok(read),
            Err(failure) => failure,
        };
        let read = match self.partial(hash) {
            Some(partial) => read_from(&partial, request),
            None => self.read_in_folders(hash, request),
        };
        read.map_err(|error| match error {
            ReadError::Absent => failure,
            error => error,
        })
    }

    /// Reads a chunk of a file in a folder that is being downloaded.
    fn read_in_folders(&self, hash: &Hash, request: ChunkRequest) -> Result<ChunkRead, ReadError> {
        let held = self.folders_with(hash);
        match held.iter().find_map(|folder| folder.held(hash)) {
            Some(Held::Whole(place)) => {
                let generation = self.inner.open_files.generation();
                let file = SharedFile::open(place, &self.inner.trees)?;
                let read = read_from(&file, request)?;
                self.inner
                    .open_files
                    .keep(generation, *hash, Arc::new(file));
                Ok(read)
            }
            Some(Held::Growing(partial)) => read_from(&partial, request),
            None => Err(ReadError::Absent),
        }
    }

    /// Whether the tree that a shared file of this content needs is stored, or it needs none: else the
    /// file is to be hashed again though it has not changed.
    pub fn has_tree(&self, descriptor: &Descriptor) -> bool {
        let needs_none = descriptor.geometry().height() <= STORED_LEVEL;
        needs_none || self.inner.trees.open(descriptor).is_ok()
    }

    /// What is here of this content: all blocks if it is shared, but for files that are not available;
    /// those verified if it is being downloaded. Those of a folder are the blocks of its sequence. None
    /// if it is not here.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn holding(&self, hash: &Hash) -> Result<Option<(Descriptor, BlockRanges)>, DatabaseError> {
        if let Some(offered) = self.offered(hash)? {
            return Ok(Some(offered));
        }
        if let Some(partial) = self.partial(hash) {
            return Ok(Some((partial.spec().descriptor, partial.verified())));
        }
        if let Some(folder) = self.partial_folder(hash) {
            return Ok(Some((folder.spec().descriptor, folder.verified())));
        }
        let folders = self.folders_with(hash);
        Ok(folders.iter().find_map(|folder| folder.holding(hash)))
    }

    /// How far content is here, as far as that tells whether it changed. Reads no row.
    pub fn progress_of(&self, hash: &Hash) -> Progress {
        let verified = || {
            if let Some(partial) = self.partial(hash) {
                return Some(partial.verified());
            }
            if let Some(folder) = self.partial_folder(hash) {
                return Some(folder.verified());
            }
            let folders = self.folders_with(hash);
            let (_, held) = folders.iter().find_map(|folder| folder.holding(hash))?;
            Some(held)
        };
        let verified = verified().unwrap_or_default();
        Progress {
            revision: self.shares_revision(),
            blocks: verified.len(),
            runs: verified.runs(),
        }
    }

    /// Tries each place where the content is shared, then the manifests. The inner error is that of
    /// the first one.
    fn read_shared(
        &self,
        hash: &Hash,
        request: ChunkRequest,
    ) -> Result<Result<ChunkRead, ReadError>, DatabaseError> {
        let mut failure = None;
        let generation = self.inner.open_files.generation();
        for place in self.locations_of(hash)? {
            let result = SharedFile::open(place, &self.inner.trees).and_then(|file| {
                let read = read_from(&file, request)?;
                self.inner
                    .open_files
                    .keep(generation, *hash, Arc::new(file));
                Ok(read)
            });
            match result {
                Err(error) if error.is_of_one_location() => {
                    failure.get_or_insert(error);
                }
                result => return Ok(result),
            }
        }
        if let Some(failure) = failure {
            return Ok(Err(failure));
        }
        Ok(match self.inner.manifests.open(hash) {
            Ok(Some(manifest)) => {
                let read = read_from(&manifest, request);
                let manifest = Arc::new(manifest);
                self.inner.open_files.keep(generation, *hash, manifest);
                read
            }
            Ok(None) => Err(ReadError::Absent),
            Err(error) => Err(error.into()),
        })
    }
}
