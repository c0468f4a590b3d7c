//! Which parts of shared content are offered at present.
//!
//! Decides which blocks of a folder are offered while some of its files are unavailable. Inspects
//! metadata only. Errors are those of the database.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use pelago_content::{BlockRanges, Descriptor, Hash, Kind, Totals};

use super::members;
use crate::{DatabaseError, Fingerprint, Member, MemberState, Share, Store, open_files::Location};

/// How many locations of the same content are inspected to offer it.
const MAX_INSPECTED: usize = 32;

impl Store {
    /// The available blocks of shared content, individual or in a folder; `None` if it is not
    /// available. The blocks of a folder are those of its sequence.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn offered(&self, hash: &Hash) -> Result<Option<(Descriptor, BlockRanges)>, DatabaseError> {
        let shares = self.shares_of(hash)?;
        let folders = self.folders_over(hash)?;
        let first = shares.first().map(|share| (share.descriptor, share.totals));
        let member = folders.first();
        let first = first.or(member.map(|over| (over.descriptor, over.totals)));
        let Some((descriptor, totals)) = first else {
            return Ok(None);
        };
        let all = BlockRanges::from(0..totals.blocks);
        if descriptor.kind() == Kind::File {
            let is_here = self.is_file_here(hash)?;
            return Ok(is_here.then_some((descriptor, all)));
        }
        let own = shares
            .iter()
            .map(|share| EnclosingFolder::new(share, totals));
        let mut offered = None;
        for over in own.chain(folders).take(MAX_INSPECTED) {
            if self.is_folder_here(&over.folder) {
                let missing_blocks = self.missing_blocks(&over.folder.path, &over.below)?;
                let here = all.difference(&missing_blocks);
                let known = offered.get_or_insert_with(BlockRanges::new);
                *known = known.union(&here);
            }
        }
        Ok(offered.map(|blocks| (descriptor, blocks)))
    }

    /// Where all of this content is, shared individually or in a folder, according to the metadata
    /// of each of its files.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn whole(&self, hash: &Hash) -> Result<Vec<WholeContent>, DatabaseError> {
        let places = self.locations_of(hash)?.into_iter().take(MAX_INSPECTED);
        let files = places.filter(|place| self.is_here(place));
        let mut whole: Vec<_> = files
            .map(|file| WholeContent {
                size: file.descriptor.size(),
                path: file.path,
            })
            .collect();
        let shares = self.shares_of(hash)?.into_iter();
        let folders = shares.filter(|share| share.descriptor.kind() == Kind::Folder);
        let own = folders.map(|share| EnclosingFolder::new(&share, share.totals));
        for over in own.chain(self.folders_over(hash)?).take(MAX_INSPECTED) {
            if over.descriptor.kind() == Kind::Folder
                && self.is_folder_here(&over.folder)
                && self.has_all_files(&over)?
            {
                let path = match &*over.below {
                    "" => over.folder.path,
                    below => over.folder.path.join(below),
                };
                let size = over.totals.bytes;
                whole.push(WholeContent { path, size });
            }
        }
        Ok(whole)
    }

    /// Whether this content was shared, by itself or in a folder, and is unavailable now or was
    /// withdrawn during this run.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn is_gone(&self, hash: &Hash) -> Result<bool, DatabaseError> {
        if self.shared_nowhere(&[*hash])?.is_empty() {
            return Ok(self.holding(hash)?.is_none());
        }
        Ok(self.inner.share_states.was_withdrawn(hash))
    }

    /// Where this content is shared, by itself or in a folder, and available by the last inspection.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn places_counted_available(&self, hash: &Hash) -> Result<Vec<PathBuf>, DatabaseError> {
        let mut places = Vec::new();
        for share in self.shares_of(hash)? {
            places.extend(self.state_of(&share).is_available().then_some(share.path));
        }
        for over in self.folders_over(hash)? {
            let folder = &over.folder.path;
            let (path, state) = match over.descriptor.kind() {
                Kind::File => (
                    folder.join(&over.below),
                    self.member_state(folder, &over.below),
                ),
                Kind::Folder => (folder.clone(), self.state_of(&over.folder)),
            };
            places.extend(state.is_available().then_some(path));
        }
        places.truncate(MAX_INSPECTED);
        Ok(places)
    }

    /// The name, the size in bytes, and the number of blocks of content that is shared here, by
    /// itself or in a folder, or being downloaded; `None` if it is not here.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn described(&self, hash: &Hash) -> Result<Option<(String, Totals)>, DatabaseError> {
        if let Some(share) = self.shares_of(hash)?.into_iter().next() {
            return Ok(Some((share.name, share.totals)));
        }
        if let Some(over) = self.folders_over(hash)?.into_iter().next() {
            let name = over.below.rsplit('/').next().unwrap_or_default();
            return Ok(Some((name.to_owned(), over.totals)));
        }
        if let Some(partial) = self.partial(hash) {
            let spec = partial.spec();
            let totals = Totals::of_file(&spec.descriptor);
            return Ok(Some((spec.name.clone(), totals)));
        }
        Ok(self.partial_folder(hash).map(|folder| {
            let sequence = folder.sequence();
            let totals = Totals {
                bytes: sequence.bytes_in(0..sequence.blocks()),
                files: 0,
                blocks: sequence.blocks(),
            };
            (folder.spec().name.clone(), totals)
        }))
    }

    /// The hashes of the folders that contain this content, shared or being downloaded.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn folders_with_content(&self, hash: &Hash) -> Result<Vec<Hash>, DatabaseError> {
        let shared = self.folders_over(hash)?.into_iter();
        let shared = shared.map(|over| over.folder.descriptor.hash());
        let growing = self.folders_with(hash);
        Ok(shared
            .chain(growing.iter().map(|folder| folder.spec().descriptor.hash()))
            .collect())
    }

    /// Whether a file with this content is at one of its locations, according to its metadata.
    fn is_file_here(&self, hash: &Hash) -> Result<bool, DatabaseError> {
        let places = self.locations_of(hash)?;
        let mut inspected = places.iter().take(MAX_INSPECTED);
        Ok(inspected.any(|place| self.is_here(place)))
    }

    fn is_here(&self, place: &Location) -> bool {
        let sight = self.inspect_file(&place.path, &place.fingerprint);
        sight.state.is_available()
    }

    fn has_all_files(&self, over: &EnclosingFolder) -> Result<bool, DatabaseError> {
        let mut files = self.files_below(&over.folder.path, &over.below)?;
        Ok(files.all(|(member, fingerprint)| {
            let path = over.folder.path.join(&member.path);
            self.inspect_file(&path, &fingerprint).state.is_available()
        }))
    }

    /// The blocks of unavailable files of the folder at `below`, in the one shared at `folder`.
    fn missing_blocks(
        &self,
        folder: &Path,
        below: &str,
    ) -> Result<Arc<BlockRanges>, DatabaseError> {
        if let Some(known) = self.inner.share_states.missing_blocks(folder, below) {
            return Ok(known);
        }
        let revision = self.shares_revision();
        let unavailable: BTreeSet<_> = self.unavailable_paths(folder).into_iter().collect();
        let mut blocks = BlockRanges::new();
        if !unavailable.is_empty() {
            let mut at = 0;
            for (path, descriptor) in self.sequence_of(folder, below)? {
                let next = at + descriptor.geometry().blocks();
                if unavailable.contains(&path) && !self.is_file_here(&descriptor.hash())? {
                    blocks.insert(at..next);
                }
                at = next;
            }
        }
        let blocks = Arc::new(blocks);
        // A state that changed in the meantime may be missing.
        if revision == self.shares_revision() {
            let kept = Arc::clone(&blocks);
            self.inner
                .share_states
                .keep_missing_blocks(folder, below, kept);
        }
        Ok(blocks)
    }

    /// The files of a folder in the order of its sequence, by their paths below the shared folder.
    fn sequence_of(
        &self,
        folder: &Path,
        below: &str,
    ) -> Result<Vec<(String, Descriptor)>, DatabaseError> {
        let files = self.files_below(folder, below)?;
        let mut files: Vec<_> = files
            .map(|(file, _)| (file.path, file.descriptor))
            .collect();
        // Sorted by the names of each folder, not by the bytes of the whole path.
        files.sort_unstable_by(|(a, _), (b, _)| a.split('/').cmp(b.split('/')));
        Ok(files)
    }

    /// The files of the folder at `below`, in the one shared at `folder`.
    fn files_below(
        &self,
        folder: &Path,
        below: &str,
    ) -> Result<impl Iterator<Item = (Member, Fingerprint)>, DatabaseError> {
        let is_below = move |path: &str| {
            let rest = path.strip_prefix(below);
            below.is_empty() || rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let members = self.members(folder)?.into_iter();
        Ok(members.filter_map(move |member| match member.state {
            MemberState::File(fingerprint) if is_below(&member.path) => Some((member, fingerprint)),
            _ => None,
        }))
    }

    /// The live folders that contain this hash.
    fn folders_over(&self, hash: &Hash) -> Result<Vec<EnclosingFolder>, DatabaseError> {
        let live = self.live_folders();
        let found = self.inner.database.read(|transaction| {
            members::folders_of(transaction, hash, |share| share.origin.is_live(&live))
        })?;
        let over = found.into_iter().map(|(folder, member)| EnclosingFolder {
            descriptor: member.descriptor,
            totals: member.totals(),
            below: member.path,
            folder,
        });
        Ok(over.collect())
    }

    fn is_folder_here(&self, folder: &Share) -> bool {
        self.state_of(folder).is_available() && self.inspect_share(folder).state.is_available()
    }
}

/// Content that is all here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeContent {
    /// The path of the file or folder.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// A folder, and the shared folder that it is in or is.
struct EnclosingFolder {
    descriptor: Descriptor,
    totals: Totals,
    /// Its path in the shared folder; empty if it is the shared folder itself.
    below: String,
    folder: Share,
}

impl EnclosingFolder {
    fn new(share: &Share, totals: Totals) -> Self {
        Self {
            descriptor: share.descriptor,
            totals,
            below: String::new(),
            folder: share.clone(),
        }
    }
}
