//! The manifests of a folder that is being downloaded, until all its entries are known.
//!
//! Holds the manifests while they arrive: a round has those of one depth, in memory, chunk by
//! chunk. It keeps only verified bytes, and its memory grows with those and not with a claimed
//! size. A folder that is invalid is reported as an [`UnfoldError`].

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use parking_lot::Mutex;
use pelago_content::{
    BlockRanges, Descriptor, Expander, Hash, Listing, ListingError, MAX_MANIFEST_LEN, Manifest,
    ManifestError, Node, Part, Sequence, verify,
};
use thiserror::Error;

use crate::store::{ManifestsError, Scopes, Store, WriteError};

/// The maximum size of all manifests of one folder, in bytes: enough for some five million entries
/// with ordinary names.
const MAX_MANIFESTS: u64 = 512 << 20;

/// Why a folder is refused, or why its manifests cannot be stored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnfoldError {
    /// A manifest is malformed, or has a name that is not allowed on a disk.
    #[error("the folder is refused: {0}")]
    Manifest(#[from] ManifestError),
    /// The manifests do not form a folder.
    #[error("the folder is refused: {0}")]
    Listing(#[from] ListingError),
    /// The manifests are larger than a node should have to hold.
    #[error(
        "the folder is refused: its manifests have {0} bytes, and at most {MAX_MANIFESTS} are \
         accepted"
    )]
    TooLong(u64),
    /// A manifest cannot be stored or read.
    #[error(transparent)]
    Kept(#[from] ManifestsError),
    /// A manifest that is only read cannot be stored.
    #[error("the folder's manifest cannot be stored: {0}")]
    Cache(#[from] std::io::Error),
}

/// Finds out which entries a folder has.
pub(super) struct Unfolding {
    store: Store,
    expander: Expander,
    bytes: u64,
    /// The scopes of the download, whose peers see which manifests it does not ask for. `None` if it
    /// has begun before, and takes all that is here.
    scopes: Option<Scopes>,
    /// Whether the user accepts more entries than [`pelago_content::UNQUESTIONED_ENTRIES`].
    may_expand: bool,
}

/// The next step in finding out the entries of a folder.
pub(super) enum Next {
    /// Fetch these manifests.
    Fetch(Arc<Round>, Unfolding),
    /// All entries are known.
    Known(Arc<Listing>),
}

impl Unfolding {
    pub(super) fn new(
        store: Store,
        folder: Descriptor,
        scopes: Option<Scopes>,
        may_expand: bool,
    ) -> Result<Self, UnfoldError> {
        Ok(Self {
            scopes,
            store,
            expander: Expander::new(folder)?,
            bytes: 0,
            may_expand,
        })
    }

    /// Takes the manifests that are stored here already, and returns what to fetch. Blocks the thread.
    pub(super) fn next(mut self) -> Result<Next, UnfoldError> {
        loop {
            let mut missing = Vec::new();
            for descriptor in self.expander.wanted() {
                self.bytes = self.bytes.saturating_add(descriptor.size());
                if self.bytes > MAX_MANIFESTS {
                    return Err(UnfoldError::TooLong(self.bytes));
                }
                let hash = descriptor.hash();
                let stored = self.store.manifest(&hash)?;
                match stored.filter(|_| self.may_take(&hash)) {
                    Some(manifest) => self.expander.take(&hash, manifest)?,
                    None => missing.push(descriptor),
                }
            }
            if !missing.is_empty() {
                return Ok(Next::Fetch(Arc::new(Round::new(missing)), self));
            }
            if self.expander.missing() == 0 {
                let listing = match self.may_expand {
                    true => self.expander.finish()?,
                    false => self.expander.finish_unquestioned()?,
                };
                return Ok(Next::Known(Arc::new(listing)));
            }
        }
    }

    /// Whether the peers of the download may know that this manifest is here.
    fn may_take(&self, hash: &Hash) -> bool {
        let Some(scopes) = &self.scopes else {
            return true;
        };
        match self.store.scopes(hash) {
            Ok(Some(of)) => scopes.may_copy(&of),
            // It was read once.
            Ok(None) => scopes.groups().next().is_none(),
            Err(_) => false,
        }
    }

    /// Takes a round whose manifests are complete, and stores them. Blocks the thread.
    pub(super) fn take(&mut self, round: &Round) -> Result<(), UnfoldError> {
        for (descriptor, bytes) in round.manifests() {
            let manifest = Manifest::from_bytes(&bytes)?;
            self.store.keep_manifest(&manifest)?;
            self.expander.take(&descriptor.hash(), manifest)?;
        }
        Ok(())
    }
}

/// Manifests that are fetched together.
pub(super) struct Round {
    descriptors: Vec<Descriptor>,
    sequence: Arc<Sequence>,
    /// The data of the chunks that have arrived, by the first block of each.
    chunks: Mutex<BTreeMap<u64, Vec<u8>>>,
}

impl Round {
    fn new(descriptors: Vec<Descriptor>) -> Self {
        let sequence = Sequence::new(descriptors.iter().map(Descriptor::size));
        Self {
            descriptors,
            sequence: Arc::new(sequence),
            chunks: Mutex::default(),
        }
    }

    /// A round of one manifest.
    pub(super) fn of(folder: Descriptor) -> Result<Arc<Self>, UnfoldError> {
        match folder.size() {
            0..=MAX_MANIFEST_LEN => Ok(Arc::new(Self::new(vec![folder]))),
            too_long => Err(ManifestError::Length { found: too_long }.into()),
        }
    }

    /// Whether every block is verified.
    pub(super) fn is_whole(&self) -> bool {
        self.verified().len() == self.sequence.blocks()
    }

    pub(super) fn sequence(&self) -> &Arc<Sequence> {
        &self.sequence
    }

    /// The hash of one of its manifests.
    ///
    /// # Panics
    /// The round has no such manifest.
    pub(super) fn hash_of(&self, file: usize) -> Hash {
        self.descriptors[file].hash()
    }

    /// The blocks of one of its manifests.
    pub(super) fn blocks_of(&self, hash: &Hash) -> Option<Range<u64>> {
        let mut hashes = self.descriptors.iter().map(Descriptor::hash);
        let file = hashes.position(|manifest| manifest == *hash)?;
        Some(self.sequence.blocks_of_file(file))
    }

    pub(super) fn verified(&self) -> BlockRanges {
        let mut verified = BlockRanges::new();
        for (start, data) in &*self.chunks.lock() {
            verified.insert(*start..start + blocks_in(data));
        }
        verified
    }

    pub(super) fn write(&self, part: Part, data: &[u8], proof: &[Node]) -> Result<(), WriteError> {
        if let Some(descriptor) = self.descriptors.get(part.file) {
            verify(descriptor, part.chunk, data, proof)?;
            let blocks = self.sequence.blocks_of(part);
            let mut chunks = self.chunks.lock();
            // Two chunks are either apart, or one contains the other. A chunk that a longer one
            // contains adds nothing.
            let before = chunks.range(..=blocks.start).next_back();
            if before.is_some_and(|(start, data)| start + blocks_in(data) >= blocks.end) {
                return Ok(());
            }
            while let Some((&within, _)) = chunks.range(blocks.clone()).next() {
                chunks.remove(&within);
            }
            chunks.insert(blocks.start, data.to_vec());
        }
        Ok(())
    }

    /// The manifests, complete once every block is verified.
    pub(super) fn manifests(&self) -> Vec<(Descriptor, Vec<u8>)> {
        let chunks = self.chunks.lock();
        let whole = |(file, descriptor): (usize, &Descriptor)| {
            let blocks = self.sequence.blocks_of_file(file);
            let parts = chunks.range(blocks).map(|(_, data)| data.as_slice());
            (*descriptor, parts.collect::<Vec<_>>().concat())
        };
        self.descriptors.iter().enumerate().map(whole).collect()
    }
}

/// The number of blocks that the data of a chunk fills.
const fn blocks_in(data: &[u8]) -> u64 {
    (data.len() as u64).div_ceil(pelago_content::BLOCK_SIZE)
}

#[cfg(test)]
mod tests {
    use pelago_content::{BLOCK_SIZE, Hasher, Kind, siblings, subtree};

    use super::*;

    #[test]
    fn chunks_that_come_twice_in_other_sizes_make_one_manifest() {
        let bytes: Vec<u8> = (0..8 * BLOCK_SIZE).map(|n| (n / 7) as u8).collect();
        let mut hasher = Hasher::new(Kind::Folder);
        hasher.update(&bytes);
        let descriptor = hasher.finish().unwrap();
        let geometry = descriptor.geometry();
        let data_of = |level, index| {
            let chunk = geometry.chunk(level, index).unwrap().bytes(geometry);
            &bytes[chunk.start as usize..chunk.end as usize]
        };
        let round = Round::new(vec![descriptor]);
        // A short chunk arrives before and after the long one that contains it.
        for (level, block) in [(0, 1), (2, 0), (0, 0), (1, 6), (1, 4)] {
            let part = round.sequence.part(level, block).unwrap();
            let proof: Vec<_> = siblings(geometry, part.chunk)
                .map(|(level, index)| subtree(data_of(level, index), level))
                .collect();
            let data = data_of(part.chunk.level(), part.chunk.index());
            round.write(part, data, &proof).unwrap();
        }
        assert_eq!(round.verified().len(), 8);
        assert!(round.manifests() == [(descriptor, bytes)]);
    }
}
