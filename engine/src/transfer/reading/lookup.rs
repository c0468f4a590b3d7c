//! What a reader looks for: a descriptor, a manifest, or a piece of a file.

use std::{ops::Range, sync::Arc, time::Duration};

use pelago_content::{Descriptor, Hash, Manifest};
use thiserror::Error;

use super::read_ahead::ReadAheadShare;
use crate::{
    store::{self, Cache, ManifestsError, PIECE_BLOCKS, Store},
    transfer::{TransferError, WaitReason},
};

/// The minimum number of steps in which a reader's window advances.
const STEPS: u64 = 8;

/// The maximum number of blocks in a step: 4 MiB are some of the largest chunks.
const MAX_STEP: u64 = 256;

/// Why content cannot be read, or only in part.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Data on the disk cannot be read.
    #[error(transparent)]
    Here(#[from] store::ReadError),
    /// A manifest on the disk cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestsError),
    /// The content cannot be fetched.
    #[error(transparent)]
    Fetch(Arc<TransferError>),
    /// Nothing has arrived for too long.
    #[error("nothing of {hash} has arrived for {} s{}", timeout.as_secs(), because(.why))]
    Stalled {
        /// The hash of the content.
        hash: Hash,
        /// How long nothing has arrived.
        timeout: Duration,
        /// Why, if that is known.
        why: Option<WaitReason>,
    },
}

fn because(why: &Option<WaitReason>) -> String {
    why.as_ref()
        .map_or_else(String::new, |why| format!(": {why}"))
}

/// A value that may be here, or must be fetched.
pub(super) trait Lookup: Clone + Send + 'static {
    type Value: Send + 'static;

    /// Whether looking it up may decode a manifest.
    const DECODES: bool;

    /// The blocks to fetch for it, given the reader's share of the read-ahead.
    fn blocks(&self, share: &ReadAheadShare) -> Range<u64>;

    /// Whether to look it up again after something has arrived; in the cache, if it is fetched to
    /// there. Makes no system call.
    fn may_have_arrived(&self, store: &Store, cache: Option<&Cache>) -> bool;

    /// Looks it up; `None` if it is not here. Blocks the thread.
    fn look_up(
        self,
        store: &Store,
        cache: Option<&Cache>,
    ) -> Result<Option<Self::Value>, ReadError>;
}

/// The descriptor of content.
#[derive(Clone)]
pub(super) struct DescriptorLookup(pub(super) Hash);

impl Lookup for DescriptorLookup {
    type Value = Descriptor;

    const DECODES: bool = true;

    fn blocks(&self, _: &ReadAheadShare) -> Range<u64> {
        0..0
    }

    fn may_have_arrived(&self, _: &Store, _: Option<&Cache>) -> bool {
        true
    }

    fn look_up(
        self,
        store: &Store,
        cache: Option<&Cache>,
    ) -> Result<Option<Descriptor>, ReadError> {
        let holding = store.holding(&self.0);
        let holding = holding.map_err(store::ReadError::from)?;
        if let Some((descriptor, _)) = holding {
            return Ok(Some(descriptor));
        }
        let cached = cache.and_then(|cache| cache.file(&self.0));
        if let Some(partial) = cached {
            return Ok(Some(partial.spec().descriptor));
        }
        let manifest = ManifestLookup(self.0).look_up(store, cache)?;
        Ok(manifest.map(|manifest| manifest.descriptor()))
    }
}

/// The manifest of a folder.
#[derive(Clone)]
pub(super) struct ManifestLookup(pub(super) Hash);

impl Lookup for ManifestLookup {
    type Value = Manifest;

    const DECODES: bool = true;

    fn blocks(&self, _: &ReadAheadShare) -> Range<u64> {
        // Any window makes the whole manifest be fetched.
        0..0
    }

    fn may_have_arrived(&self, _: &Store, _: Option<&Cache>) -> bool {
        true
    }

    fn look_up(self, store: &Store, cache: Option<&Cache>) -> Result<Option<Manifest>, ReadError> {
        let fetched = || cache.and_then(|cache| cache.manifest(&self.0));
        match store.manifest(&self.0) {
            Ok(manifest) => Ok(manifest.or_else(fetched)),
            Err(unreadable) => fetched().map_or_else(|| Err(unreadable.into()), |m| Ok(Some(m))),
        }
    }
}

/// A piece of a file: the first of these blocks, and those that follow without a gap.
#[derive(Clone)]
pub(super) struct PieceLookup {
    pub(super) file: Descriptor,
    pub(super) blocks: Range<u64>,
    pub(super) read_ahead: u64,
    /// The maximum number of blocks in a piece that was fetched for readers.
    pub(super) max_blocks: u64,
}

impl Lookup for PieceLookup {
    type Value = Vec<u8>;

    const DECODES: bool = false;

    fn blocks(&self, share: &ReadAheadShare) -> Range<u64> {
        let read_ahead = share.blocks(self.read_ahead);
        // The window advances in steps. Otherwise each request would be for one piece.
        let step = (read_ahead / STEPS).clamp(PIECE_BLOCKS, MAX_STEP);
        let end = self.blocks.start + read_ahead;
        self.blocks.start..end.next_multiple_of(step).min(self.blocks.end)
    }

    fn may_have_arrived(&self, store: &Store, cache: Option<&Cache>) -> bool {
        let (hash, first) = (self.file.hash(), self.blocks.start);
        match cache {
            Some(cache) => {
                let cached = cache.file(&hash);
                cached.is_some_and(|partial| partial.run_of(first).is_some())
            }
            // A file that no longer grows may just have become complete.
            None => !store.is_growing_without(&hash, first),
        }
    }

    fn look_up(self, store: &Store, cache: Option<&Cache>) -> Result<Option<Vec<u8>>, ReadError> {
        let (hash, first) = (self.file.hash(), self.blocks.start);
        let end = self.blocks.end.min(first + PIECE_BLOCKS);
        if let Some(partial) = cache.and_then(|cache| cache.file(&hash))
            && partial.run_of(first).is_some()
        {
            let end = end.min(first + self.max_blocks);
            return Ok(Some(partial.read_run(first..end)?));
        }
        Ok(store.read_piece(&self.file, first..end)?)
    }
}
