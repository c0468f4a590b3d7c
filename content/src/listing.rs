//! An expanded folder: everything below it, in an order that is the same for all nodes.
//!
//! Owns that order, and with it the *sequence* of a folder: the blocks of its files, one file
//! after another. `expander` creates listings from manifests, and rejects invalid ones; a listing
//! has been checked. Nothing here can fail.

mod expander;

use std::{fmt, ops::Range};

pub use self::expander::{Expander, ListingError};
use crate::{Descriptor, EntryKind, Manifest, ManifestEntry};

/// Names in the longest path: bounds recursion, and the folders that are open at a time.
pub const MAX_DEPTH: usize = 64;

/// Entries below a folder, at most, each counted as often as it occurs. A listing of this many
/// takes 240 MB.
pub const MAX_LISTED: u64 = 10_000_000;

/// Entries that are accepted without a question to a person. Each takes an inode, and most file
/// systems have millions. Their author needs some 60 bytes for each, and next to none for entries of
/// a folder that is repeated.
pub const UNQUESTIONED_ENTRIES: u64 = 100_000;

/// The totals of some content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Totals {
    /// Bytes in all files.
    pub bytes: u64,
    /// How many files there are, without links and folders.
    pub files: u64,
    /// Blocks in all files; no block spans two files.
    pub blocks: u64,
}

impl Totals {
    /// The totals of one file.
    pub const fn of_file(descriptor: &Descriptor) -> Self {
        Self {
            bytes: descriptor.size(),
            files: 1,
            blocks: descriptor.geometry().blocks(),
        }
    }

    /// The sum; `None` if it exceeds 2^64.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            bytes: self.bytes.checked_add(other.bytes)?,
            files: self.files.checked_add(other.files)?,
            blocks: self.blocks.checked_add(other.blocks)?,
        })
    }
}

/// Everything below a folder, depth first: a folder comes before its entries, and the entries of
/// one folder are in bytewise order of their names.
#[derive(Clone)]
pub struct Listing {
    /// Each manifest once, however often it occurs.
    manifests: Vec<Manifest>,
    items: Vec<ListingItem>,
    totals: Totals,
    folders: u64,
}

/// An entry: its position, and how much of the sequence comes before it.
#[derive(Clone, Copy)]
struct ListingItem {
    /// The item of its folder; [`NO_PARENT`] at the top.
    parent: u32,
    manifest: u32,
    entry: u32,
    first_block: u64,
}

/// Greater than any index of an item: there are at most [`MAX_LISTED`].
const NO_PARENT: u32 = u32::MAX;

impl Listing {
    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// The manifests of all folders, each once.
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    /// Whether the folder is empty.
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes, files and blocks of all files.
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// How many of the entries are folders.
    pub const fn folders(&self) -> u64 {
        self.folders
    }

    /// How many blocks the sequence has.
    pub const fn blocks(&self) -> u64 {
        self.totals.blocks
    }

    /// The entry at `index`.
    pub const fn get(&self, index: usize) -> Option<ListedEntry<'_>> {
        if index < self.items.len() {
            let listing = self;
            Some(ListedEntry { listing, index })
        } else {
            None
        }
    }

    /// All entries, in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = ListedEntry<'_>> {
        let listing = self;
        (0..self.items.len()).map(move |index| ListedEntry { listing, index })
    }

    /// The files, in the order of the sequence.
    pub fn files(&self) -> impl Iterator<Item = ListedFile<'_>> {
        self.entries().filter_map(|entry| entry.file())
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listing({} entries, {:?})", self.len(), self.totals)
    }
}

/// An entry of a listing.
#[derive(Clone, Copy)]
pub struct ListedEntry<'l> {
    listing: &'l Listing,
    index: usize,
}

impl<'l> ListedEntry<'l> {
    /// How many entries come before it.
    pub const fn index(self) -> usize {
        self.index
    }

    /// Its name: the last component of its path.
    pub fn name(self) -> &'l str {
        &self.entry().name
    }

    /// What it is.
    pub fn kind(self) -> &'l EntryKind {
        &self.entry().kind
    }

    /// The index of its manifest in [`Listing::manifests`], and its index in that manifest. The
    /// first manifest is that of the listed folder.
    pub fn origin(self) -> (usize, usize) {
        let item = self.item();
        (item.manifest as usize, item.entry as usize)
    }

    /// The folder that contains it; `None` for the listed folder.
    pub fn parent(self) -> Option<Self> {
        self.listing.get(self.item().parent as usize)
    }

    /// Its path from the listed folder, with `/` between the names.
    pub fn path(self) -> String {
        let mut names: Vec<_> = std::iter::successors(Some(self), |entry| entry.parent())
            .map(Self::name)
            .collect();
        names.reverse();
        names.join("/")
    }

    /// The file, if the entry is one.
    pub fn file(self) -> Option<ListedFile<'l>> {
        match self.kind() {
            EntryKind::File {
                descriptor,
                executable,
            } => Some(ListedFile {
                entry: self,
                descriptor: *descriptor,
                executable: *executable,
            }),
            _ => None,
        }
    }

    fn item(self) -> ListingItem {
        self.listing.items[self.index]
    }

    fn entry(self) -> &'l ManifestEntry {
        let item = self.item();
        &self.listing.manifests[item.manifest as usize].entries()[item.entry as usize]
    }
}

impl fmt::Debug for ListedEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListedEntry({:?}, {:?})", self.path(), self.kind())
    }
}

/// A file of a listing.
#[derive(Clone, Copy, Debug)]
pub struct ListedFile<'l> {
    /// Where it is listed.
    pub entry: ListedEntry<'l>,
    /// Its content.
    pub descriptor: Descriptor,
    /// Whether its owner may run it.
    pub executable: bool,
}

impl ListedFile<'_> {
    /// Its path from the listed folder, with `/` between the names.
    pub fn path(&self) -> String {
        self.entry.path()
    }

    /// Its blocks in the sequence of the folder. An empty file has none.
    pub fn blocks(&self) -> Range<u64> {
        let first = self.entry.item().first_block;
        first..first + self.descriptor.geometry().blocks()
    }
}
