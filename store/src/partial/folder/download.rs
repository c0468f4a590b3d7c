//! A folder that is being downloaded.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use pelago_content::{BlockRanges, Descriptor, Hash, Listing, Sequence};

use super::{
    differences::Differences,
    files::Files,
    local_paths::LocalPaths,
    progress::{FileState, FolderProgress},
    selection::Selection,
    staging::Staging,
};
use crate::{
    Scopes,
    open_files::Location,
    partial::{Partial, PartialSpec, reservations::Reservation, workspace::Workspace},
};

/// A folder that is being downloaded. No other download has its hash or its target.
///
/// Dropping it pauses the download. Verified content stays.
pub struct PartialFolder {
    pub(super) spec: PartialSpec,
    /// Replaces the scopes of `spec` once a source lists the content.
    pub(super) listed: OnceLock<Scopes>,
    pub(super) listing: Arc<Listing>,
    pub(super) sequence: Arc<Sequence>,
    pub(super) selection: Selection,
    pub(super) files: Files,
    pub(super) local: LocalPaths,
    pub(in crate::partial) staging: Staging,
    pub(super) progress: Mutex<FolderProgress>,
    /// Large files that are not whole yet, by their numbers.
    pub(super) growing: Mutex<HashMap<usize, Arc<Partial>>>,
    /// Small files of which some chunks are written, by their numbers.
    pub(super) partly_written: Mutex<HashSet<usize>>,
    /// Held for reading by writers of chunks, so that the end of the download waits for them.
    pub(super) writing: RwLock<()>,
    /// Whether anything was written since the last sync.
    pub(in crate::partial) is_dirty: AtomicBool,
    /// Bytes that this run copied from shares.
    pub(super) copied: AtomicU64,
    /// Whether a sync of an earlier run failed, so that its content is written again.
    pub(super) write_again: bool,
    pub(super) reservation: Reservation,
    pub(in crate::partial) workspace: Arc<Workspace>,
}

/// A file of a folder that is downloaded, as far as it is here.
pub(crate) enum Held {
    /// The whole file.
    Whole(Location),
    /// A file that is not whole yet.
    Growing(Arc<Partial>),
}

impl PartialFolder {
    pub(in crate::partial) const fn hash(&self) -> Hash {
        self.reservation.key.hash
    }

    /// How the folder differs from its manifests on this disk.
    pub fn differences(&self) -> Differences {
        self.local.differences(&self.selection)
    }

    /// The content, target and options of the download.
    pub const fn spec(&self) -> &PartialSpec {
        &self.spec
    }

    /// The files of the folder, one after another.
    pub const fn sequence(&self) -> &Arc<Sequence> {
        &self.sequence
    }

    /// The blocks of the wanted files.
    pub fn wanted(&self) -> BlockRanges {
        self.files.wanted().clone()
    }

    /// The blocks that are verified and written.
    pub fn verified(&self) -> BlockRanges {
        self.progress.lock().verified.clone()
    }

    /// The blocks that have to be fetched. Content that occurs several times is fetched once.
    pub fn missing(&self) -> BlockRanges {
        let verified = self.verified();
        self.files.fetched().difference(&verified)
    }

    /// Bytes of the wanted files that are not yet verified.
    pub fn missing_bytes(&self) -> u64 {
        let missing = self.wanted().difference(&self.verified());
        missing.iter().map(|run| self.sequence.bytes_in(run)).sum()
    }

    /// The number of bytes that this run copied from shares.
    pub fn copied_bytes(&self) -> u64 {
        self.copied.load(Ordering::Relaxed)
    }

    /// The descriptor of a file, by its number in the sequence.
    pub fn descriptor_of(&self, file: usize) -> Option<Descriptor> {
        Some(self.files.get(&self.listing, file)?.descriptor)
    }

    /// The blocks of the sequence that belong to the file with this hash.
    pub fn blocks_of(&self, hash: &Hash) -> Option<Range<u64>> {
        let first = self.files.first_with(hash)?;
        Some(self.sequence.blocks_of_file(first))
    }

    /// The peers that may learn of it.
    pub fn scopes(&self) -> &Scopes {
        self.listed.get().unwrap_or(&self.spec.scopes)
    }

    /// Lets everyone learn of it from now on, in this run.
    pub fn list(&self) {
        self.listed.get_or_init(|| self.spec.scopes.listed());
        self.reservation.feed();
    }

    /// Whether this is the hash of the folder, or of something in it.
    pub(in crate::partial) fn contains(&self, hash: &Hash) -> bool {
        *hash == self.hash() || self.files.is_member(hash)
    }

    /// The hash of the file in the folder that has this provider key.
    pub(crate) fn hash_of_key(&self, key: &[u8; 32]) -> Option<Hash> {
        let mut alike = self.files.with_key(&self.listing, key);
        alike.find_map(|file| {
            let hash = self.files.get(&self.listing, file)?.descriptor.hash();
            (hash.provider_key() == *key).then_some(hash)
        })
    }

    /// The file with this hash, as far as it is here.
    pub(crate) fn held(&self, hash: &Hash) -> Option<Held> {
        let first = self.files.first_with(hash)?;
        let whole = self.files.same_as(first).find_map(|file| {
            let listed = self.files.get(&self.listing, file)?;
            let FileState::Complete(done) = self.progress.lock().files[file] else {
                return None;
            };
            Some(Location {
                descriptor: listed.descriptor,
                path: self.staging.path(done.base, &self.local.path(listed.entry)),
                fingerprint: done.fingerprint,
            })
        });
        match whole {
            Some(place) => Some(Held::Whole(place)),
            None => self.growing.lock().get(&first).cloned().map(Held::Growing),
        }
    }

    /// The name of the folder, or of the first file in it with this hash.
    pub(crate) fn name_of(&self, hash: &Hash) -> Option<String> {
        if *hash == self.hash() {
            return Some(self.spec.name.clone());
        }
        let file = self
            .files
            .get(&self.listing, self.files.first_with(hash)?)?;
        Some(file.entry.name().to_owned())
    }

    /// The verified blocks of the file with this hash, in its own numbering.
    pub(crate) fn holding(&self, hash: &Hash) -> Option<(Descriptor, BlockRanges)> {
        let first = self.files.first_with(hash)?;
        let blocks = self.sequence.blocks_of_file(first);
        let verified = &self.progress.lock().verified;
        let mut held = BlockRanges::new();
        for run in verified.within(blocks.clone()) {
            held.insert(run.start - blocks.start..run.end - blocks.start);
        }
        Some((self.descriptor_of(first)?, held))
    }
}

impl fmt::Debug for PartialFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartialFolder")
            .field("hash", &self.hash())
            .field("target", &self.spec.target)
            .field("missing", &self.missing_bytes())
            .finish_non_exhaustive()
    }
}
