//! The files of a folder: which are wanted, and which have the same content as others.
//!
//! Owns nothing that changes while the folder is downloaded.

use std::{
    collections::{HashMap, HashSet},
    sync::OnceLock,
};

use pelago_content::{BlockRanges, EntryKind, Hash, ListedFile, Listing};

use super::selection::Selection;
use crate::partial::PartialError;

/// The files of a folder, numbered as in its sequence.
pub(super) struct Files {
    /// The index of each file in the listing.
    entries: Vec<u32>,
    is_wanted: Vec<bool>,
    wanted: BlockRanges,
    /// The blocks of one wanted file of each content.
    fetched: BlockRanges,
    /// The first wanted file with each content.
    first: HashMap<Hash, u32>,
    /// By a first wanted file, the later ones with the same content.
    repeats: HashMap<u32, Vec<u32>>,
    /// The hashes of sub-folders.
    folders: HashSet<Hash>,
    /// The first wanted files by the first bytes of their provider keys. Filled when a peer
    /// first asks for a key.
    by_key: OnceLock<Vec<(u32, u32)>>,
}

impl Files {
    /// # Errors
    ///
    /// [`PartialError::Selection`].
    pub(super) fn new(listing: &Listing, selection: &Selection) -> Result<Self, PartialError> {
        let mut files = Self {
            entries: Vec::new(),
            is_wanted: Vec::new(),
            wanted: BlockRanges::new(),
            fetched: BlockRanges::new(),
            first: HashMap::new(),
            repeats: HashMap::new(),
            folders: HashSet::new(),
            by_key: OnceLock::new(),
        };
        for entry in listing.entries() {
            if let EntryKind::Folder { descriptor, .. } = entry.kind() {
                files.folders.insert(descriptor.hash());
            } else if let Some(file) = entry.file() {
                files.add(&file, selection.takes_entry(&file));
            }
        }
        let links = || {
            listing
                .entries()
                .any(|entry| selection.takes(&entry.path()))
        };
        if !selection.is_all() && !files.is_wanted.contains(&true) && !links() {
            return Err(selection.takes_nothing().into());
        }
        Ok(files)
    }

    fn add(&mut self, file: &ListedFile<'_>, is_wanted: bool) {
        // A listing has at most ten million entries.
        let number = self.entries.len() as u32;
        self.entries.push(file.entry.index() as u32);
        self.is_wanted.push(is_wanted);
        if !is_wanted {
            return;
        }
        self.wanted.insert(file.blocks());
        let first = *self.first.entry(file.descriptor.hash()).or_insert(number);
        if first == number {
            self.fetched.insert(file.blocks());
        } else {
            self.repeats.entry(first).or_default().push(number);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The file with this number.
    pub(super) fn get<'l>(&self, listing: &'l Listing, file: usize) -> Option<ListedFile<'l>> {
        listing.get(*self.entries.get(file)? as usize)?.file()
    }

    /// The numbers of the wanted files.
    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.entries.len()).filter(|file| self.is_wanted[*file])
    }

    pub(super) const fn wanted(&self) -> &BlockRanges {
        &self.wanted
    }

    pub(super) const fn fetched(&self) -> &BlockRanges {
        &self.fetched
    }

    /// The first wanted file with this content.
    pub(super) fn first_with(&self, hash: &Hash) -> Option<usize> {
        self.first.get(hash).map(|file| *file as usize)
    }

    /// The first wanted files whose provider keys begin like this one.
    pub(super) fn with_key(
        &self,
        listing: &Listing,
        key: &[u8; 32],
    ) -> impl Iterator<Item = usize> + '_ {
        let sorted = self.by_key.get_or_init(|| {
            let of = |file: &u32| {
                let listed = self.get(listing, *file as usize)?;
                Some((beginning(&listed.descriptor.hash().provider_key()), *file))
            };
            let mut sorted: Vec<_> = self.first.values().filter_map(of).collect();
            sorted.sort_unstable();
            sorted
        });
        let beginning = beginning(key);
        let first = sorted.partition_point(|(key, _)| *key < beginning);
        let alike = sorted[first..].iter();
        let alike = alike.take_while(move |(key, _)| *key == beginning);
        alike.map(|(_, file)| *file as usize)
    }

    /// A first file, and the other wanted files with the same content.
    pub(super) fn same_as(&self, first: usize) -> impl Iterator<Item = usize> + '_ {
        let repeats = self.repeats.get(&(first as u32));
        let repeats = repeats.into_iter().flatten().map(|file| *file as usize);
        std::iter::once(first).chain(repeats)
    }

    /// Whether other wanted files have the content of a first file.
    pub(super) fn is_repeated(&self, first: usize) -> bool {
        self.repeats.contains_key(&(first as u32))
    }

    /// Whether this is the hash of a wanted file, or of a sub-folder.
    pub(super) fn is_member(&self, hash: &Hash) -> bool {
        self.first.contains_key(hash) || self.folders.contains(hash)
    }
}

fn beginning(key: &[u8; 32]) -> u32 {
    u32::from_be_bytes([key[0], key[1], key[2], key[3]])
}

impl Selection {
    fn takes_entry(&self, file: &ListedFile<'_>) -> bool {
        self.is_all() || self.takes(&file.path())
    }
}
