//! Copies what a download of a file lacks from a share of this node that has its content.
//!
//! Every chunk is verified like one from a peer. Where the file system can, the copy shares its
//! blocks with the original. A share that cannot be read, or that has changed, gives nothing; nor does
//! one of which the peers of the download may not know.

use std::{fs::File, io, path::Path, sync::atomic::Ordering};

use pelago_content::{Chunk, Node, STORED_LEVEL, verify_leaves};

use super::{Partial, WriteError};
use crate::{
    Store,
    chunk_source::{ChunkRequest, read_from},
    file_system, files,
    open_files::{Location, SharedFile},
};

impl Partial {
    /// Copies the missing blocks from shares that have this content, until it is interrupted. A
    /// download in a group takes what the group, or anyone with the hash, may have; another one takes
    /// all, as a person who asks for it outside groups wants it there. `progress` receives the
    /// verified bytes so far. Blocks.
    ///
    /// # Errors
    ///
    /// See [`Partial::write`].
    pub fn copy_from_shares(
        &self,
        store: &Store,
        progress: &dyn Fn(u64),
    ) -> Result<(), WriteError> {
        let scopes = self.scopes();
        let is_outside = scopes.groups().next().is_none();
        let places = store.locations_in(&self.hash(), |of| is_outside || scopes.may_copy(of));
        let before = self.missing();
        for place in places.map_err(super::PartialError::from)? {
            if self.missing() > 0 {
                self.copy_from(place, progress)?;
            }
        }
        self.copied
            .fetch_add(before - self.missing(), Ordering::Relaxed);
        Ok(())
    }

    /// The number of bytes that this run copied from shares.
    pub fn copied_bytes(&self) -> u64 {
        self.copied.load(Ordering::Relaxed)
    }

    fn copy_from(&self, place: Location, progress: &dyn Fn(u64)) -> Result<(), WriteError> {
        let path = place.path.clone();
        // Fails if it changed since it was hashed.
        let Ok(shared) = SharedFile::open(place, &self.workspace.trees) else {
            return Ok(());
        };
        let is_cloned = self.verified_blocks() == 0 && self.clone_from(&path).unwrap_or(false);
        let geometry = self.geometry();
        let size = geometry.size();
        for block in (0..geometry.blocks()).step_by(1 << STORED_LEVEL) {
            let Ok(chunk) = geometry.chunk_of_block(STORED_LEVEL, block) else {
                continue;
            };
            if self.files.reservation.is_interrupted() {
                return Ok(());
            }
            if self.verified.lock().contains_range(chunk.blocks(geometry)) {
                continue;
            }
            let request = ChunkRequest {
                level: chunk.level(),
                index: chunk.index(),
                with_data: !is_cloned,
                may_read: true,
            };
            let Ok(read) = read_from(&shared, request) else {
                return Ok(());
            };
            let copied = match is_cloned {
                true => self.prove_cloned(chunk, &read.proof),
                false => self.write(chunk, &read.data, &read.proof),
            };
            match copied {
                // The share has changed a moment ago.
                Err(WriteError::Proof(_)) => return Ok(()),
                copied => copied?,
            }
            progress(size - self.missing());
        }
        Ok(())
    }

    /// Makes the part file share its blocks with the file at `path`. False if it cannot.
    fn clone_from(&self, path: &Path) -> io::Result<bool> {
        let from = File::open(path)?;
        let opened = self.files.opened()?;
        opened.guard.before_write(&opened.part)?;
        self.is_dirty.store(true, Ordering::Release);
        file_system::clone_file(&from, &opened.part)
    }

    /// Verifies a chunk that is in the part file already.
    fn prove_cloned(&self, chunk: Chunk, proof: &[Node]) -> Result<(), WriteError> {
        let _writing = self.writing.read();
        let bytes = chunk.bytes(self.geometry());
        let at_part = |source| self.disk_error(self.files.path(), source);
        let opened = self.files.opened().map_err(at_part)?;
        let len = (bytes.end - bytes.start) as usize;
        let data = files::read_vec_at(&opened.part, bytes.start, len).map_err(at_part)?;
        let mut leaves = Vec::new();
        verify_leaves(&self.spec().descriptor, chunk, &data, proof, &mut leaves)?;
        let recorded = self.record_proven(&opened.record, chunk, &leaves, proof);
        recorded.map_err(|source| self.disk_error(self.record_path(), source))
    }
}
