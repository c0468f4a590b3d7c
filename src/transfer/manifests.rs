//! The manifests of a folder being downloaded, until it is known what is in it.
//!
//! Owns them while they arrive: a round holds those of one depth, in memory, chunk by chunk. Never keeps
//! a byte that was not proven, and nothing in proportion to a claimed size. What is wrong with a folder
//! leaves as a [`UnfoldError`].

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use pelago_content::{
    BlockRanges, Descriptor, Expander, Hash, Listing, ListingError, MAX_MANIFEST_LEN, Manifest,
    ManifestError, Node, Part, Sequence, verify,
};
use thiserror::Error;

use crate::store::{ManifestsError, Store, WriteError};

/// Bytes of all manifests of one folder, at most: some five million entries with ordinary names.
const MAX_MANIFESTS: u64 = 512 << 20;

/// What is wrong with a folder.
#[derive(Debug, Error)]
pub enum UnfoldError {
    /// A manifest is none, or names what may not be on a disk.
    #[error("the folder is refused: {0}")]
    Manifest(#[from] ManifestError),
    /// The manifests do not make up a folder.
    #[error("the folder is refused: {0}")]
    Listing(#[from] ListingError),
    /// The manifests are more than anyone should have to hold.
    #[error(
        "the folder is refused: its manifests are {0} bytes, and at most {MAX_MANIFESTS} are taken"
    )]
    TooLong(u64),
    /// A manifest cannot be kept or read.
    #[error(transparent)]
    Kept(#[from] ManifestsError),
    /// A manifest that is only read cannot be kept.
    #[error("the folder's manifest cannot be kept: {0}")]
    Cache(#[from] std::io::Error),
}

/// Finds out what is in a folder.
pub(super) struct Unfolding {
    store: Store,
    expander: Expander,
    bytes: u64,
    /// Whether a person vouches for a folder out of proportion to its manifests.
    may_expand: bool,
}

/// What to do next to find it out.
pub(super) enum Next {
    /// Fetch these manifests.
    Fetch(Arc<Round>, Unfolding),
    /// Nothing: this is what is in it.
    Known(Arc<Listing>),
}

impl Unfolding {
    pub(super) fn new(
        store: Store,
        folder: Descriptor,
        may_expand: bool,
    ) -> Result<Self, UnfoldError> {
        Ok(Self {
            store,
            expander: Expander::new(folder)?,
            bytes: 0,
            may_expand,
        })
    }

    /// Takes all that is kept here already, and says what is to be fetched. Blocks.
    pub(super) fn next(mut self) -> Result<Next, UnfoldError> {
        loop {
            let mut missing = Vec::new();
            for descriptor in self.expander.wanted() {
                self.bytes = self.bytes.saturating_add(descriptor.size());
                if self.bytes > MAX_MANIFESTS {
                    return Err(UnfoldError::TooLong(self.bytes));
                }
                let hash = descriptor.hash();
                match self.store.manifest(&hash)? {
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
                    false => self.expander.finish_in_proportion()?,
                };
                return Ok(Next::Known(Arc::new(listing)));
            }
        }
    }

    /// Takes a round whose manifests have all come, and keeps them. Blocks.
    pub(super) fn take(&mut self, round: &Round) -> Result<(), UnfoldError> {
        for (descriptor, bytes) in round.manifests() {
            let manifest = Manifest::from_bytes(&bytes)?;
            self.store.keep_manifest(&manifest)?;
            self.expander.take(&descriptor.hash(), manifest)?;
        }
        Ok(())
    }
}

/// Manifests being fetched at the same time.
pub(super) struct Round {
    descriptors: Vec<Descriptor>,
    sequence: Arc<Sequence>,
    /// The data of the chunks that have come, by the first block of each.
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

    /// The manifest of one folder.
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
    /// It has no such one.
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
        for (start, data) in &*self.lock() {
            verified.insert(*start..start + blocks_in(data));
        }
        verified
    }

    pub(super) fn write(&self, part: Part, data: &[u8], proof: &[Node]) -> Result<(), WriteError> {
        if let Some(descriptor) = self.descriptors.get(part.file) {
            verify(descriptor, part.chunk, data, proof)?;
            let blocks = self.sequence.blocks_of(part);
            let mut chunks = self.lock();
            // Chunks lie within each other or apart. What a longer one brought is not taken again.
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

    /// The manifests, whole once every block is verified.
    pub(super) fn manifests(&self) -> Vec<(Descriptor, Vec<u8>)> {
        let chunks = self.lock();
        let whole = |(file, descriptor): (usize, &Descriptor)| {
            let blocks = self.sequence.blocks_of_file(file);
            let parts = chunks.range(blocks).map(|(_, data)| data.as_slice());
            (*descriptor, parts.collect::<Vec<_>>().concat())
        };
        self.descriptors.iter().enumerate().map(whole).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<u8>>> {
        self.chunks.lock()
    }
}

/// How many blocks the data of a chunk fills.
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
        // A short chunk before and after the long one it is in.
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
