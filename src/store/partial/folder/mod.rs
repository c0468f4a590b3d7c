//! A folder under way: its files, each proven by its own hash, in one tree.
//!
//! Owns which blocks of the folder's sequence are verified, and the files that are open. A small file
//! is written whole and needs no record: whatever a crash leaves of it, its hash tells. A large one
//! is a [`Partial`] of its own, put in its place when it is whole. Content that is in the folder more
//! than once, or anywhere else on this node, is fetched once or not at all.
//!
//! | file | owns |
//! |---|---|
//! | `selection` | which files are wanted |
//! | `probe` | what the file system can hold, by asking it |
//! | `file_system` | what a file system can hold, and other names for what it cannot |
//! | `links` | which symbolic links are created |
//! | `local` | the path that each entry has on this disk, and what is left out |
//! | `staging` | the directory in which the folder grows, and that it is ours |
//! | `tree` | where the files are written, and that nothing leads out of there |
//! | `files` | the files of the folder: which are wanted, which repeat others |
//! | `prove` | what is here already, from an earlier run or another share |
//! | `write` | verified chunks to files |
//! | `finish` | the end: the rest of the tree, in its place |
//! | `abandon` | the other end: nothing is left |
//! | `remove` | removes what was put into a folder |

mod cancel;
mod file_system;
mod files;
mod finish;
mod links;
mod local_paths;
mod probe;
mod prove;
mod remove;
mod selection;
mod staging;
mod staging_dir;
#[cfg(test)]
mod tests;
mod write;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use pelago_content::{BlockRanges, Descriptor, Hash, Listing, Sequence};

pub(super) use self::{cancel::remove_staged, file_system::FileSystem, remove::PlacedFolder};
use self::{
    files::Files,
    local_paths::LocalPaths,
    staging::{Base, Staging},
};
pub use self::{
    finish::FinishedFolder,
    links::{InvalidLinks, LinkOmission, Links},
    local_paths::{Difference, Differences, MAX_LISTED_DIFFERENCES},
    selection::{Selection, SelectionError},
};
use super::{
    Partial, PartialError, PartialSpec,
    download::{Reservation, check_target, known, record_path},
    record::{Active, EarlierRun, Partials, Recorded},
};
use crate::store::{Fingerprint, Scope, Scopes, Store, handles::Place};

/// A folder being downloaded, the only download of its hash and of its target.
///
/// Dropping it pauses the download; what was verified stays.
pub struct PartialFolder {
    spec: PartialSpec,
    /// Those of everyone, once a source was found to list it.
    listed: OnceLock<Scopes>,
    listing: Arc<Listing>,
    sequence: Arc<Sequence>,
    selection: Selection,
    files: Files,
    local: Arc<LocalPaths>,
    tree: Staging,
    state: Mutex<FolderProgress>,
    /// Large files that are begun and not whole, by their numbers.
    growing: Mutex<HashMap<usize, Arc<Partial>>>,
    /// Small files that have come in part, by their numbers.
    in_parts: Mutex<HashSet<usize>>,
    /// Held by those who write, so that whoever ends the download waits for them.
    writing: RwLock<()>,
    /// Whether anything was written since all was made durable.
    is_dirty: AtomicBool,
    /// Whether what an earlier run wrote is to be written again.
    write_again: bool,
    reservation: Reservation,
}

struct FolderProgress {
    /// Blocks that are in their places, or in the record of a large file.
    verified: BlockRanges,
    /// Blocks of small files that are not whole yet.
    arrived: BlockRanges,
    /// What each file is.
    files: Vec<FileState>,
    /// The first files of content that is there and repeats.
    repeated: HashSet<usize>,
}

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileState {
    /// Not whole.
    Missing,
    /// Whole, and being put in its place.
    Completing,
    /// Whole.
    Complete(CompleteFile),
}

/// A file that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CompleteFile {
    fingerprint: Fingerprint,
    at: Base,
    /// Whether it carries the mark of what grows.
    is_marked: bool,
}

/// What is here of a file in the folder.
pub(in crate::store) enum Held {
    /// It is whole.
    Whole(Place),
    /// It grows.
    Growing(Arc<Partial>),
}

impl PartialFolder {
    /// Begins a download of what `listing` says is in the folder, or goes on with it: all that is
    /// there already is hashed first, on all cores, and what another share has is copied. `progress`
    /// is given the bytes looked at so far, from several threads.
    ///
    /// # Errors
    ///
    /// See [`PartialError`].
    pub fn create_or_resume(
        store: &Store,
        spec: PartialSpec,
        listing: Arc<Listing>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Arc<Self>, PartialError> {
        check_target(&spec)?;
        let wanted = listing.len() as u64;
        let selection = Selection::new(&spec.only)?.among(&listing)?;
        let files = Files::new(&listing, &selection)?;
        let reservation = Reservation::new(store, &spec)?;
        let known = known(store, &spec)?;
        // What was begun has some of them already.
        if matches!(known, EarlierRun::None) {
            check_inodes(&spec, wanted)?;
        }
        let (partials, key) = (&store.inner.partials, reservation.key);
        let tree = Staging::open(&spec, &known, &listing)?;
        let local = Arc::new(LocalPaths::new(&listing, tree.file_system(), spec.links));
        if let Err(error) = check_local(&local, &spec, &selection) {
            tree.take_back();
            return Err(error);
        }
        let recorded = Recorded {
            spec: spec.clone(),
            part: Some(tree.recorded()),
            sync_failed: partials.has_failed_sync(&key, &known),
        };
        let opened = partials.open(&recorded);
        opened.map_err(|source| PartialError::Io {
            path: record_path(partials, &spec),
            source,
        })?;
        let state = FolderProgress {
            verified: BlockRanges::new(),
            arrived: BlockRanges::new(),
            files: vec![FileState::Missing; files.len()],
            repeated: HashSet::new(),
        };
        let sizes = listing.files().map(|file| file.descriptor.size());
        let folder = Arc::new(Self {
            spec,
            listed: OnceLock::new(),
            sequence: Arc::new(Sequence::new(sizes)),
            listing,
            selection,
            files,
            local,
            tree,
            state: Mutex::new(state),
            growing: Mutex::default(),
            in_parts: Mutex::default(),
            is_dirty: AtomicBool::new(false),
            write_again: recorded.sync_failed,
            writing: RwLock::default(),
            reservation,
        });
        let found = folder.prove(progress).and_then(|()| folder.check_chosen());
        if let Err(error) = found {
            folder.take_back();
            return Err(error);
        }
        let partials = &folder.reservation.store.inner.partials;
        partials.publish(key, Active::Folder(Arc::downgrade(&folder)));
        Ok(folder)
    }

    /// Leaves nothing of a download that was begun just now and is refused.
    fn take_back(&self) {
        if self.tree.take_back()
            && let Err(error) = self.partials().remove(&self.reservation.key, false)
        {
            tracing::warn!(%error, "the record of a download cannot be removed");
        }
    }

    pub(super) fn partials(&self) -> &Partials {
        &self.reservation.store.inner.partials
    }

    /// Whether anything was written since this was asked last.
    pub(super) fn take_dirty(&self) -> bool {
        self.is_dirty.swap(false, Ordering::AcqRel)
    }

    /// Where it grows.
    pub(super) fn staged_path(&self) -> PathBuf {
        self.tree.staged().path().to_owned()
    }

    /// What of it is to lie here other than its manifests say.
    pub fn differences(&self) -> Differences {
        self.local.differences(&self.selection)
    }

    /// What is downloaded, and where to.
    pub const fn spec(&self) -> &PartialSpec {
        &self.spec
    }

    /// The files of the folder, one after another.
    pub const fn sequence(&self) -> &Arc<Sequence> {
        &self.sequence
    }

    /// The blocks of the files that are wanted.
    pub fn wanted(&self) -> BlockRanges {
        self.files.wanted().clone()
    }

    /// The blocks that are verified and written.
    pub fn verified(&self) -> BlockRanges {
        self.state.lock().verified.clone()
    }

    /// The blocks that have to be fetched: of content that the folder has several times, only once.
    pub fn missing(&self) -> BlockRanges {
        let verified = self.verified();
        self.files.fetched().difference(&verified)
    }

    /// Bytes of the wanted files that are not yet verified.
    pub fn missing_bytes(&self) -> u64 {
        let missing = self.wanted().difference(&self.verified());
        missing.iter().map(|run| self.sequence.bytes_in(run)).sum()
    }

    /// What a file is, by its place in the sequence.
    pub fn descriptor_of(&self, file: usize) -> Option<Descriptor> {
        Some(self.files.get(&self.listing, file)?.descriptor)
    }

    /// The blocks of the sequence that are those of the file with this hash.
    pub fn blocks_of(&self, hash: &Hash) -> Option<Range<u64>> {
        let first = self.files.first_with(hash)?;
        Some(self.sequence.blocks_of_file(first))
    }

    /// Who may know of it.
    pub fn scopes(&self) -> &Scopes {
        self.listed.get().unwrap_or(&self.spec.scopes)
    }

    /// Everyone may know of it from now on, in this run.
    pub fn list(&self) {
        self.listed.get_or_init(|| Scope::Everyone.into());
    }

    /// Whether this is the hash of the folder, or of something in it.
    pub(in crate::store) fn knows(&self, hash: &Hash) -> bool {
        *hash == self.reservation.key.hash || self.files.is_member(hash)
    }

    /// The hash of the file in the folder that has this provider key.
    pub(in crate::store) fn hash_of_key(&self, key: &[u8; 32]) -> Option<Hash> {
        let mut alike = self.files.with_key(&self.listing, key);
        alike.find_map(|file| {
            let hash = self.files.get(&self.listing, file)?.descriptor.hash();
            (hash.provider_key() == *key).then_some(hash)
        })
    }

    /// What is here of the file with this hash.
    pub(in crate::store) fn held(&self, hash: &Hash) -> Option<Held> {
        let first = self.files.first_with(hash)?;
        let whole = self.files.same_as(first).find_map(|file| {
            let listed = self.files.get(&self.listing, file)?;
            let FileState::Complete(done) = self.state.lock().files[file] else {
                return None;
            };
            Some(Place {
                descriptor: listed.descriptor,
                path: self.tree.path(done.at, &self.local.path(listed.entry)),
                fingerprint: done.fingerprint,
            })
        });
        match whole {
            Some(place) => Some(Held::Whole(place)),
            None => self.growing.lock().get(&first).cloned().map(Held::Growing),
        }
    }

    /// What the folder is called, or the first file in it with this hash.
    pub(in crate::store) fn name_of(&self, hash: &Hash) -> Option<String> {
        if *hash == self.reservation.key.hash {
            return Some(self.spec.name.clone());
        }
        let file = self
            .files
            .get(&self.listing, self.files.first_with(hash)?)?;
        Some(file.entry.name().to_owned())
    }

    /// What is here of the file with this hash, in its own blocks.
    pub(in crate::store) fn holding(&self, hash: &Hash) -> Option<(Descriptor, BlockRanges)> {
        let first = self.files.first_with(hash)?;
        let blocks = self.sequence.blocks_of_file(first);
        let verified = &self.state.lock().verified;
        let mut held = BlockRanges::new();
        for run in verified.within(blocks.clone()) {
            held.insert(run.start - blocks.start..run.end - blocks.start);
        }
        Some((self.descriptor_of(first)?, held))
    }
}

/// Refuses a folder with more entries than its disk has inodes for. File systems that make them as needed say
/// that there are none in all.
#[cfg(unix)]
fn check_inodes(spec: &PartialSpec, needed: u64) -> Result<(), PartialError> {
    let parent = spec.target.ancestors().skip(1);
    let disk = parent.map(rustix::fs::statvfs).find_map(Result::ok);
    match disk {
        Some(disk) if disk.f_files > 0 && disk.f_favail < needed => Err(PartialError::Inodes {
            target: spec.target.clone(),
            needed,
            free: disk.f_favail,
        }),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
const fn check_inodes(_: &PartialSpec, _: u64) -> Result<(), PartialError> {
    Ok(())
}

/// Refuses a folder that cannot lie as it is to, or of which more would have to be known than is kept.
fn check_local(
    local: &LocalPaths,
    spec: &PartialSpec,
    selection: &Selection,
) -> Result<(), PartialError> {
    let target = || spec.target.clone();
    if spec.strict_names {
        let differences = local.imposed(selection);
        if !differences.is_empty() {
            let target = target();
            return Err(PartialError::Names {
                target,
                differences,
            });
        }
    }
    if local
        .received()
        .is_some_and(|received| received.is_too_long())
    {
        return Err(PartialError::TooDifferent { target: target() });
    }
    Ok(())
}

impl fmt::Debug for PartialFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartialFolder")
            .field("hash", &self.reservation.key.hash)
            .field("target", &self.spec.target)
            .field("missing", &self.missing_bytes())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// The download of the folder with this hash under way in this process.
    pub fn partial_folder(&self, hash: &Hash) -> Option<Arc<PartialFolder>> {
        let mut folders = self.inner.partials.folders().into_iter();
        folders.find(|folder| folder.reservation.key.hash == *hash)
    }

    /// The folders being downloaded that this is the hash of, or of something in them.
    pub(in crate::store) fn folders_with(&self, hash: &Hash) -> Vec<Arc<PartialFolder>> {
        let mut folders = self.inner.partials.folders();
        folders.retain(|folder| folder.knows(hash));
        folders
    }
}
