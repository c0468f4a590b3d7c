//! Helpers for the tests of the store: both kinds of store, and files to put into them.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use pelago_content::{
    Descriptor, EntryKind, Expander, Hash, Hasher, Kind, Listing, Manifest, ManifestEntry,
};
use tempfile::TempDir;

use super::{DataFolder, NewShare, Origin, Scope, Store};

/// Sizes at which the behaviour changes: none, a block, a group, a batch, a response.
pub(super) const SIZES: [u64; 12] = [
    0, 1, 16_384, 16_385, 49_152, 65_537, 262_143, 262_144, 262_145, 300_000, 4_194_304, 5_000_001,
];

/// A store, and a folder for its files.
pub(super) struct Home {
    pub(super) store: Store,
    pub(super) folder: TempDir,
}

impl Home {
    pub(super) fn on_disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        Self { store, folder }
    }

    pub(super) fn in_memory() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_memory();
        Self { store, folder }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and shares it with everyone.
    pub(super) fn share(&self, name: &str, data: &[u8]) -> NewShare {
        let path = self.path(name);
        fs::write(&path, data).unwrap();
        let share = self.hash(&path);
        self.store.add_shares(std::slice::from_ref(&share)).unwrap();
        share
    }

    pub(super) fn hash(&self, path: &Path) -> NewShare {
        let hashed = self.store.hash_file(path, &go_on).unwrap();
        NewShare {
            descriptor: hashed.descriptor,
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            path: path.to_owned(),
            scopes: Scope::Everyone.into(),
            origin: Origin::Explicit,
            fingerprint: hashed.fingerprint,
        }
    }
}

/// Runs a test on every kind of store.
pub(super) fn on_every_store(test: impl Fn(Home)) {
    test(Home::on_disk());
    test(Home::in_memory());
}

/// Opens the store in the data folder below this folder.
pub(super) fn open(folder: &Path) -> Store {
    let data = DataFolder::lock(folder.join("data")).unwrap();
    Store::open(&data).unwrap()
}

/// Bytes without repetitions near a block; other seeds give other bytes.
pub(super) fn bytes(size: u64, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2) | 1;
    let mut bytes = Vec::with_capacity(size as usize + 8);
    while (bytes.len() as u64) < size {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size as usize);
    bytes
}

/// The descriptor of these bytes.
pub(super) fn describe(data: &[u8]) -> Descriptor {
    let mut hasher = Hasher::new(Kind::File);
    hasher.update(data);
    hasher.finish().unwrap()
}

/// A progress function that never stops the operation.
pub(super) fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A hash that no content has.
pub(super) fn absent() -> Hash {
    Hash::from_bytes([9; 32])
}

/// The manifest of a folder with these entries.
pub(super) fn manifest(entries: impl IntoIterator<Item = ManifestEntry>) -> Manifest {
    Manifest::new(entries.into_iter().collect()).unwrap()
}

/// A symbolic link in a folder.
pub(super) fn link(name: &str, target: &str) -> ManifestEntry {
    let (name, target) = (name.to_owned(), target.to_owned());
    let kind = EntryKind::Symlink { target };
    ManifestEntry { name, kind }
}

/// An entry for a folder without files.
pub(super) fn folder(name: &str, manifest: &Manifest) -> ManifestEntry {
    let name = name.to_owned();
    let kind = EntryKind::Folder {
        descriptor: manifest.descriptor(),
        bytes: 0,
        files: 0,
    };
    ManifestEntry { name, kind }
}

/// The listing of the folder `root`, with the manifests that `find` returns.
pub(super) fn unfold(root: Descriptor, find: impl Fn(&Hash) -> Manifest) -> Listing {
    let mut expander = Expander::new(root).unwrap();
    loop {
        let wanted = expander.wanted();
        if wanted.is_empty() {
            return expander.finish().unwrap();
        }
        for descriptor in wanted {
            let hash = descriptor.hash();
            expander.take(&hash, find(&hash)).unwrap();
        }
    }
}

/// The listing of the first of these manifests.
pub(super) fn unfold_these(manifests: &[Manifest]) -> Listing {
    unfold(manifests[0].descriptor(), |hash| {
        let mut all = manifests.iter();
        let wanted = all.find(|manifest| manifest.descriptor().hash() == *hash);
        wanted.unwrap().clone()
    })
}
