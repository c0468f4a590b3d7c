//! Creates a folder's listing from its descriptor, manifest by manifest as they arrive.
//!
//! Owns which manifests are still needed, and all checks of a tree: it is measured before anything
//! is allocated for its expansion. Never checks that a manifest is the content of its hash: the
//! caller has done so. An invalid tree results in a [`ListingError`], which names the entry.

use std::collections::HashMap;

use super::{Listing, ListingItem, MAX_DEPTH, MAX_LISTED, NO_PARENT, Totals, UNQUESTIONED_ENTRIES};
use crate::{Descriptor, EntryKind, Hash, Kind, MAX_MANIFEST_LEN, Manifest};

/// Requests the manifests of a folder, and expands them.
#[derive(Clone, Debug)]
pub struct Expander {
    /// All known folders, each once; the first is the one to list.
    folders: Vec<Folder>,
    by_hash: HashMap<Hash, u32>,
    /// Known manifests that were not requested yet.
    wanted: Vec<Descriptor>,
    /// How many manifests are missing.
    missing: usize,
    /// Entries in the manifests that arrived.
    entries: u64,
    /// Bytes of the manifests of all folders known, each once.
    manifest_bytes: u64,
}

#[derive(Clone, Debug)]
struct Folder {
    /// Names in the path by which it was first found. Longer paths are checked at the end.
    depth: usize,
    taken: Option<Taken>,
}

#[derive(Clone, Debug)]
struct Taken {
    manifest: Manifest,
    /// The folders among its entries, in order.
    children: Vec<u32>,
}

impl Expander {
    /// Starts with the descriptor of the folder.
    ///
    /// # Errors
    ///
    /// [`ListingError::NotAFolder`], or [`ListingError::TooLong`] if it exceeds the limit of a
    /// manifest.
    pub fn new(root: Descriptor) -> Result<Self, ListingError> {
        if root.kind() != Kind::Folder {
            return Err(ListingError::NotAFolder);
        }
        let found = root.size();
        if found > MAX_MANIFEST_LEN {
            return Err(ListingError::TooLong { found });
        }
        let mut expander = Self {
            folders: Vec::new(),
            by_hash: HashMap::new(),
            wanted: Vec::new(),
            missing: 0,
            entries: 0,
            manifest_bytes: 0,
        };
        expander.folder(root, 0);
        Ok(expander)
    }

    /// The manifests to fetch next. Each is returned once, over all calls.
    pub fn wanted(&mut self) -> Vec<Descriptor> {
        std::mem::take(&mut self.wanted)
    }

    /// How many of the known manifests are missing.
    pub const fn missing(&self) -> usize {
        self.missing
    }

    /// Takes a manifest, which is the content of this hash.
    ///
    /// # Errors
    ///
    /// [`ListingError::Unwanted`] if it is not needed, or has arrived before.
    /// [`ListingError::TooMany`] and [`ListingError::TooDeep`] as soon as they are detected.
    pub fn take(&mut self, hash: &Hash, manifest: Manifest) -> Result<(), ListingError> {
        let unwanted = ListingError::Unwanted { hash: *hash };
        let Some(&id) = self.by_hash.get(hash) else {
            return Err(unwanted);
        };
        let Folder { depth, taken } = &self.folders[id as usize];
        if taken.is_some() {
            return Err(unwanted);
        }
        let depth = depth + 1;
        self.entries += manifest.entries().len() as u64;
        if self.entries > MAX_LISTED {
            return Err(ListingError::TooMany);
        }
        if let Some(entry) = manifest.entries().first()
            && depth > MAX_DEPTH
        {
            let path = format!(".../{}", entry.name);
            return Err(ListingError::TooDeep { path });
        }
        let mut children = Vec::new();
        for entry in manifest.entries() {
            if let EntryKind::Folder {
                descriptor, files, ..
            } = &entry.kind
            {
                if *files > MAX_LISTED {
                    return Err(ListingError::TooMany);
                }
                children.push(self.folder(*descriptor, depth));
            }
        }
        self.folders[id as usize].taken = Some(Taken { manifest, children });
        self.missing -= 1;
        Ok(())
    }

    /// Expands the manifests.
    ///
    /// # Errors
    ///
    /// See [`ListingError`].
    pub fn finish(self) -> Result<Listing, ListingError> {
        self.unfold(MAX_LISTED)
    }

    /// Expands a folder from an untrusted source: rejects one with more than
    /// [`UNQUESTIONED_ENTRIES`], as they cost its author little.
    ///
    /// # Errors
    ///
    /// See [`ListingError`].
    pub fn finish_unquestioned(self) -> Result<Listing, ListingError> {
        self.unfold(UNQUESTIONED_ENTRIES)
    }

    fn unfold(self, max_entries: u64) -> Result<Listing, ListingError> {
        let (missing, bytes) = (self.missing, self.manifest_bytes);
        let mut manifests = Vec::with_capacity(self.folders.len());
        let mut children = Vec::with_capacity(self.folders.len());
        for taken in self.folders.into_iter().filter_map(|folder| folder.taken) {
            manifests.push(taken.manifest);
            children.push(taken.children);
        }
        if missing > 0 {
            return Err(ListingError::Incomplete { missing });
        }
        let measured = Measuring::new(&manifests, &children).measure_root()?;
        let Measured {
            entries, folders, ..
        } = measured;
        if entries > max_entries {
            return Err(ListingError::Expands {
                bytes,
                entries,
                folders,
            });
        }
        let mut listing = Listing {
            manifests,
            items: Vec::with_capacity(entries as usize),
            totals: measured.totals,
            folders,
        };
        unfold(&mut listing, &children);
        Ok(listing)
    }

    /// The index of this folder. Requests its manifest if the folder is new.
    fn folder(&mut self, descriptor: Descriptor, depth: usize) -> u32 {
        // There are at most as many folders as entries.
        let new = self.folders.len() as u32;
        if !self.by_hash.contains_key(&descriptor.hash()) {
            self.manifest_bytes += descriptor.size();
        }
        *self.by_hash.entry(descriptor.hash()).or_insert_with(|| {
            self.wanted.push(descriptor);
            self.missing += 1;
            let taken = None;
            self.folders.push(Folder { depth, taken });
            new
        })
    }
}

/// The totals of one folder, which do not depend on where it occurs.
#[derive(Clone, Copy)]
struct Measured {
    totals: Totals,
    /// Entries below it, expanded.
    entries: u64,
    /// Folders among them.
    folders: u64,
    /// Names in the longest path below it.
    height: usize,
}

/// Measures each folder once, bottom-up, and compares the result with the totals in manifests.
struct Measuring<'e> {
    manifests: &'e [Manifest],
    children: &'e [Vec<u32>],
    known: Vec<Option<Measured>>,
    /// The names in the path to the current folder.
    path: Vec<&'e str>,
}

impl<'e> Measuring<'e> {
    fn new(manifests: &'e [Manifest], children: &'e [Vec<u32>]) -> Self {
        Self {
            manifests,
            children,
            known: vec![None; manifests.len()],
            path: Vec::new(),
        }
    }

    fn measure_root(mut self) -> Result<Measured, ListingError> {
        self.measure(0)
    }

    /// Recurses at most as deep as the longest path.
    fn measure(&mut self, id: u32) -> Result<Measured, ListingError> {
        if let Some(measured) = self.known[id as usize] {
            self.check_depth(measured.height)?;
            return Ok(measured);
        }
        let (manifests, children) = (self.manifests, self.children);
        let entries = manifests[id as usize].entries();
        let mut children = children[id as usize].iter();
        let mut measured = Measured {
            totals: Totals::default(),
            entries: entries.len() as u64,
            folders: 0,
            height: usize::from(!entries.is_empty()),
        };
        self.check_depth(measured.height)?;
        for entry in entries {
            let totals = match &entry.kind {
                EntryKind::File { descriptor, .. } => Totals::of_file(descriptor),
                EntryKind::Folder { bytes, files, .. } => {
                    // `take` has added one child for each folder.
                    let Some(child) = children.next() else {
                        continue;
                    };
                    self.path.push(&entry.name);
                    let below = self.measure(*child)?;
                    self.check_totals(below.totals, *bytes, *files)?;
                    self.path.pop();
                    measured.height = measured.height.max(1 + below.height);
                    measured.entries += below.entries;
                    measured.folders += 1 + below.folders;
                    below.totals
                }
                EntryKind::Symlink { .. } => Totals::default(),
            };
            let sum = measured.totals.checked_add(totals);
            measured.totals = sum.ok_or(ListingError::TooMany)?;
            if measured.entries > MAX_LISTED {
                return Err(ListingError::TooMany);
            }
        }
        self.known[id as usize] = Some(measured);
        Ok(measured)
    }

    fn check_depth(&self, height: usize) -> Result<(), ListingError> {
        if self.path.len() + height > MAX_DEPTH {
            let path = self.path.join("/");
            return Err(ListingError::TooDeep { path });
        }
        Ok(())
    }

    fn check_totals(&self, found: Totals, bytes: u64, files: u64) -> Result<(), ListingError> {
        if (found.bytes, found.files) == (bytes, files) {
            return Ok(());
        }
        Err(ListingError::Totals {
            path: self.path.join("/"),
            bytes,
            files,
            found,
        })
    }
}

/// Lists all entries. They were measured before: depth and number are within bounds.
fn unfold(listing: &mut Listing, children: &[Vec<u32>]) {
    /// A folder being listed: its index, its item, its next entry, its next child.
    struct Open {
        id: u32,
        item: u32,
        entry: u32,
        child: usize,
    }
    let open = |id, item| Open {
        id,
        item,
        entry: 0,
        child: 0,
    };
    let mut stack = vec![open(0, NO_PARENT)];
    let mut first_block = 0;
    while let Some(depth) = stack.len().checked_sub(1) {
        let folder = &mut stack[depth];
        let manifest = &listing.manifests[folder.id as usize];
        let Some(entry) = manifest.entries().get(folder.entry as usize) else {
            stack.pop();
            continue;
        };
        let item = listing.items.len() as u32;
        listing.items.push(ListingItem {
            parent: folder.item,
            manifest: folder.id,
            entry: folder.entry,
            first_block,
        });
        folder.entry += 1;
        match &entry.kind {
            EntryKind::File { descriptor, .. } => first_block += descriptor.geometry().blocks(),
            EntryKind::Folder { .. } => {
                let child = children[folder.id as usize][folder.child];
                folder.child += 1;
                stack.push(open(child, item));
            }
            EntryKind::Symlink { .. } => {}
        }
    }
}

/// Why a folder cannot be listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListingError {
    /// The descriptor is that of a file.
    #[error("it is a file, not a folder")]
    NotAFolder,
    /// The descriptor is that of a manifest that is too long.
    #[error("its manifest has {found} bytes, over the limit of {MAX_MANIFEST_LEN} bytes")]
    TooLong {
        /// How many bytes its descriptor claims.
        found: u64,
    },
    /// A manifest arrived that was not requested.
    #[error("the manifest {hash} is not needed")]
    Unwanted {
        /// Its hash.
        hash: Hash,
    },
    /// Manifests are missing.
    #[error("{missing} manifests are missing")]
    Incomplete {
        /// How many, of those known to be needed.
        missing: usize,
    },
    /// It expands to too many entries or bytes.
    #[error("it unfolds to more than {MAX_LISTED} entries, or 2^64 bytes")]
    TooMany,
    /// It expands to more entries than are accepted without a question.
    #[error(
        "its manifests of {bytes} bytes unfold to {entries} entries, {folders} of them folders, and \
         more than {UNQUESTIONED_ENTRIES} are only created if you allow it"
    )]
    Expands {
        /// Bytes of all manifests, each once.
        bytes: u64,
        /// Entries, each as often as it occurs.
        entries: u64,
        /// Folders among them.
        folders: u64,
    },
    /// A path is too long.
    #[error("below {path:?} the folder is deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// A path on the way there.
        path: String,
    },
    /// The totals of a sub-folder are wrong.
    #[error(
        "{path:?} claims to have {files} files of {bytes} bytes, but has {} of {}",
        found.files, found.bytes
    )]
    Totals {
        /// The sub-folder.
        path: String,
        /// Bytes that its entry claims.
        bytes: u64,
        /// Files that its entry claims.
        files: u64,
        /// Its actual totals.
        found: Totals,
    },
}
