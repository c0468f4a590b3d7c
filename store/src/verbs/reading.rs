//! Reading chunks from shared files, stored manifests and downloads under way.
//!
//! If the same content is stored at several locations, they are tried in turn. Errors are
//! [`ReadError`]s.

#[cfg(test)]
mod tests;

use std::{io, path::Path, sync::Arc};

use pelago_content::{BlockRanges, Descriptor, Hash, STORED_LEVEL};

use crate::{
    ChunkRead, DatabaseError, ReadError, Store,
    chunk_source::{ChunkRequest, read_from},
    open_files::{Location, SharedFile, SourceHandle, unreadable},
    partial::Held,
};

/// How much of some content is stored here. The value differs after each change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The revision of all shares.
    pub revision: u64,
    /// The number of blocks that a download has verified.
    pub blocks: u64,
    /// The number of runs that they form.
    pub runs: usize,
}

impl Store {
    /// Reads a chunk of shared content, of a member, of a stored manifest, or of the verified part
    /// of a download. Does not check who may know about it.
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

    /// Reads the node above a chunk, with its proof. If its stored tree does not have the node,
    /// content is read and hashed only if `may_read` is set.
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
            let result = read_from_open(file, request);
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
            Some(Held::Whole(location)) => {
                let generation = self.inner.open_files.generation();
                let (file, read) = self.open_and_read(location, request)?;
                self.inner.open_files.keep(generation, *hash, file);
                Ok(read)
            }
            Some(Held::Growing(partial)) => read_from(&partial, request),
            None => Err(ReadError::Absent),
        }
    }

    fn open_and_read(
        &self,
        location: Location,
        request: ChunkRequest,
    ) -> Result<(SourceHandle, ChunkRead), ReadError> {
        let (path, trees) = (location.path.clone(), Arc::clone(&self.inner.trees));
        let disk = self.inner.remote_disks.of(&path);
        let of_file = disk.clone();
        let open = move || {
            let file = SharedFile::open(location, &trees)?.on(of_file);
            let file: SourceHandle = Arc::new(file);
            let read = read_from(&*file, request)?;
            Ok((file, read))
        };
        match disk {
            None => open(),
            Some(disk) => called(disk.call(open), &path),
        }
    }

    /// Whether the stored tree that a shared file of this content needs exists, or none is needed.
    /// Otherwise the file has to be hashed again, even if it has not changed.
    pub fn has_tree(&self, descriptor: &Descriptor) -> bool {
        let needs_none = descriptor.geometry().height() <= STORED_LEVEL;
        needs_none || self.inner.trees.open(descriptor).is_ok()
    }

    /// The stored blocks of this content: all if it is shared, except those of unavailable files;
    /// the verified ones if it is being downloaded. The blocks of a folder are those of its
    /// sequence. `None` if it is not stored here.
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

    /// How much of this content is stored here, to detect changes. Reads no row.
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

    /// Tries each location of the content, then the manifests. The inner error is that of the first
    /// location.
    fn read_shared(
        &self,
        hash: &Hash,
        request: ChunkRequest,
    ) -> Result<Result<ChunkRead, ReadError>, DatabaseError> {
        let mut failure = None;
        let generation = self.inner.open_files.generation();
        for location in self.locations_of(hash)? {
            match self.open_and_read(location, request) {
                Ok((file, read)) => {
                    self.inner.open_files.keep(generation, *hash, file);
                    return Ok(Ok(read));
                }
                Err(error) if error.is_of_one_location() => {
                    failure.get_or_insert(error);
                }
                Err(error) => return Ok(Err(error)),
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

/// Reads from an open file.
fn read_from_open(file: SourceHandle, request: ChunkRequest) -> Result<ChunkRead, ReadError> {
    let remote = file.remote();
    let remote = remote.map(|(path, disk)| (path.to_owned(), Arc::clone(disk)));
    match remote {
        None => read_from(&*file, request),
        Some((path, disk)) => called(disk.call(move || read_from(&*file, request)), &path),
    }
}

/// The result of a call to a disk that may hang. The file at `path` is unreadable meanwhile.
fn called<T>(called: io::Result<Result<T, ReadError>>, path: &Path) -> Result<T, ReadError> {
    called.unwrap_or_else(|error| Err(unreadable(path, error)))
}
