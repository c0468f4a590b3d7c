//! Listings of folders: their order, and folders that are refused.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::collections::HashMap;

use pelago_content::{
    Descriptor, EntryKind, Expander, Hash, Hasher, Kind, Listing, ListingError, MAX_DEPTH,
    MAX_LISTED, MAX_MANIFEST_LEN, Manifest, ManifestEntry, Totals, UNQUESTIONED_ENTRIES,
};
use proptest::prelude::*;

/// Manifests by hash, as a node with the folder would serve them.
#[derive(Default)]
struct Shelf(HashMap<Hash, Manifest>);

impl Shelf {
    fn put(&mut self, entries: Vec<ManifestEntry>) -> Descriptor {
        let manifest = Manifest::new(entries).unwrap();
        let descriptor = Manifest::describe(&manifest.to_bytes()).unwrap();
        self.0.insert(descriptor.hash(), manifest);
        descriptor
    }

    fn expand(&self, root: Descriptor) -> Result<Listing, ListingError> {
        self.expander(root)?.finish()
    }

    /// An expander that has all manifests.
    fn expander(&self, root: Descriptor) -> Result<Expander, ListingError> {
        let mut expander = Expander::new(root)?;
        loop {
            let wanted = expander.wanted();
            if wanted.is_empty() {
                break;
            }
            for descriptor in wanted.into_iter().rev() {
                let hash = descriptor.hash();
                expander.take(&hash, self.0[&hash].clone())?;
            }
        }
        assert_eq!(expander.missing(), 0);
        Ok(expander)
    }
}

fn entry(name: impl Into<String>, kind: EntryKind) -> ManifestEntry {
    ManifestEntry {
        name: name.into(),
        kind,
    }
}

fn file(name: impl Into<String>, size: u64) -> ManifestEntry {
    let mut hasher = Hasher::new(Kind::File);
    hasher.update(&vec![7; size as usize]);
    let descriptor = hasher.finish().unwrap();
    let executable = false;
    entry(
        name,
        EntryKind::File {
            descriptor,
            executable,
        },
    )
}

fn folder(
    name: impl Into<String>,
    descriptor: Descriptor,
    bytes: u64,
    files: u64,
) -> ManifestEntry {
    let kind = EntryKind::Folder {
        descriptor,
        bytes,
        files,
    };
    entry(name, kind)
}

fn symlink(name: impl Into<String>, target: &str) -> ManifestEntry {
    let target = target.to_owned();
    entry(name, EntryKind::Symlink { target })
}

#[test]
fn entries_come_depth_first_and_blocks_in_their_order() {
    let mut shelf = Shelf::default();
    let inner = shelf.put(vec![file("y", 16_385), file("x", 0), symlink("z", "../b")]);
    let root = shelf.put(vec![
        file("c", 1),
        folder("a", inner, 16_385, 2),
        file("a.txt", 40_000),
        folder("d", inner, 16_385, 2),
        symlink("b", "a/./x"),
    ]);
    let listing = shelf.expand(root).unwrap();
    let paths: Vec<_> = listing.entries().map(|entry| entry.path()).collect();
    let expected = [
        "a", "a/x", "a/y", "a/z", "a.txt", "b", "c", "d", "d/x", "d/y", "d/z",
    ];
    assert_eq!(paths, expected);
    let files: Vec<_> = listing.files().map(|f| (f.path(), f.blocks())).collect();
    let expected = [
        ("a/x", 0..0),
        ("a/y", 0..2),
        ("a.txt", 2..5),
        ("c", 5..6),
        ("d/x", 6..6),
        ("d/y", 6..8),
    ];
    assert_eq!(files, expected.map(|(path, blocks)| (path.into(), blocks)));
    assert_eq!(listing.blocks(), 8);
    let totals = Totals {
        bytes: 2 * 16_385 + 40_001,
        files: 6,
        blocks: 8,
    };
    assert_eq!(listing.totals(), totals);
    let link = listing.get(3).unwrap();
    assert_eq!(
        (link.name(), link.parent().unwrap().path()),
        ("z", "a".into())
    );
    assert!(listing.get(11).is_none());
    for entry in listing.entries() {
        let (manifest, number) = entry.origin();
        let origin = &listing.manifests()[manifest].entries()[number];
        assert_eq!(
            (entry.name(), entry.kind()),
            (&origin.name[..], &origin.kind)
        );
        assert_eq!(manifest == 0, entry.parent().is_none());
    }
}

#[test]
fn a_manifest_is_requested_once() {
    let mut shelf = Shelf::default();
    let empty = shelf.put(Vec::new());
    let middle = shelf.put(vec![folder("1", empty, 0, 0), folder("2", empty, 0, 0)]);
    let root = shelf.put(vec![folder("1", middle, 0, 0), folder("2", middle, 0, 0)]);
    let mut expander = Expander::new(root).unwrap();
    let mut take = |descriptor: Descriptor| {
        assert_eq!(expander.wanted(), [descriptor]);
        assert_eq!(expander.wanted(), []);
        let hash = descriptor.hash();
        assert_eq!(expander.missing(), 1);
        expander.take(&hash, shelf.0[&hash].clone()).unwrap();
        let again = expander.take(&hash, shelf.0[&hash].clone());
        assert_eq!(again, Err(ListingError::Unwanted { hash }));
    };
    [root, middle, empty].into_iter().for_each(&mut take);
    let listing = expander.finish().unwrap();
    assert_eq!((listing.len(), listing.totals()), (6, Totals::default()));
    assert!(!listing.is_empty());
}

#[test]
fn a_listing_needs_all_manifests() {
    let mut shelf = Shelf::default();
    let sub = shelf.put(Vec::new());
    let root = shelf.put(vec![folder("sub", sub, 0, 0)]);
    let mut expander = Expander::new(root).unwrap();
    let unknown = ListingError::Unwanted { hash: sub.hash() };
    assert_eq!(
        expander.take(&sub.hash(), Manifest::default()),
        Err(unknown)
    );
    let hash = root.hash();
    expander.take(&hash, shelf.0[&hash].clone()).unwrap();
    let incomplete = ListingError::Incomplete { missing: 1 };
    assert_eq!(expander.finish().unwrap_err(), incomplete);
}

#[test]
fn folders_over_the_size_limit_are_refused() {
    let EntryKind::File { descriptor, .. } = file("f", 1).kind else {
        panic!("a file");
    };
    let error = Expander::new(descriptor).unwrap_err();
    assert_eq!(error, ListingError::NotAFolder);
    let found = MAX_MANIFEST_LEN + 1;
    let long = Descriptor::new(Kind::Folder, found, [1; 32]).unwrap();
    let error = Expander::new(long).unwrap_err();
    assert_eq!(error, ListingError::TooLong { found });
}

/// Nested folders, whose longest path has `names` names, the last of which is a file if
/// `with_file`.
fn chain(shelf: &mut Shelf, names: usize, with_file: bool) -> Descriptor {
    let files = u64::from(with_file);
    let last = if with_file {
        vec![file("f", 1)]
    } else {
        Vec::new()
    };
    let mut at = shelf.put(last);
    for _ in files as usize..names {
        at = shelf.put(vec![folder("d", at, files, files)]);
    }
    at
}

#[test]
fn deep_folders_are_refused_in_any_order() {
    let mut shelf = Shelf::default();
    for with_file in [false, true] {
        let deepest = chain(&mut shelf, MAX_DEPTH, with_file);
        assert_eq!(shelf.expand(deepest).unwrap().len(), MAX_DEPTH);
        let deeper = chain(&mut shelf, MAX_DEPTH + 1, with_file);
        let error = shelf.expand(deeper).unwrap_err();
        assert!(matches!(error, ListingError::TooDeep { .. }), "{error}");
    }
    // The expander meets each folder of a long chain near the top first.
    let mut at = shelf.put(Vec::new());
    let mut top = Vec::new();
    for number in 0..2000 {
        at = shelf.put(vec![folder("d", at, 0, 0)]);
        top.push(folder(format!("{:04}", 2000 - number), at, 0, 0));
    }
    let root = shelf.put(top);
    let error = shelf.expand(root).unwrap_err();
    assert!(matches!(error, ListingError::TooDeep { .. }), "{error}");
}

/// A folder with `top` identical sub-folders of `below` entries each.
fn repeated(shelf: &mut Shelf, top: usize, below: usize) -> Descriptor {
    let empty = shelf.put(Vec::new());
    let alike = (0..below).map(|n| folder(format!("{n:05}"), empty, 0, 0));
    let alike = shelf.put(alike.collect());
    shelf.put(
        (0..top)
            .map(|n| folder(format!("{n:05}"), alike, 0, 0))
            .collect(),
    )
}

#[test]
fn a_folder_of_very_many_entries_is_refused_unless_it_is_allowed() {
    let mut shelf = Shelf::default();
    // A million folders in 18 KB of manifests.
    let bomb = repeated(&mut shelf, 100, 10_000);
    let error = shelf.expander(bomb).unwrap().finish_unquestioned();
    let ListingError::Expands {
        bytes,
        entries,
        folders,
    } = error.unwrap_err()
    else {
        panic!("it unfolds");
    };
    assert!(bytes < 1 << 20);
    assert_eq!((entries, folders), (1_000_100, 1_000_100));
    assert_eq!(shelf.expand(bomb).unwrap().folders(), 1_000_100);

    // Also if its manifests list each of them.
    let empty = shelf.put(Vec::new());
    let mut wide = |entries: u64| {
        let folders = (0..entries).map(|n| folder(format!("{n:06}"), empty, 0, 0));
        shelf.put(folders.collect())
    };
    let [most, more] = [UNQUESTIONED_ENTRIES, UNQUESTIONED_ENTRIES + 1].map(&mut wide);
    let listed = shelf.expander(most).unwrap().finish_unquestioned();
    assert_eq!(listed.unwrap().len(), 100_000);
    let error = shelf.expander(more).unwrap().finish_unquestioned();
    assert!(matches!(error, Err(ListingError::Expands { .. })));
}

#[test]
fn a_folder_with_nested_repetitions_is_refused_before_it_is_expanded() {
    let mut shelf = Shelf::default();
    let mut at = shelf.put(Vec::new());
    for _ in 0..MAX_DEPTH - 1 {
        at = shelf.put((0..8).map(|n| folder(n.to_string(), at, 0, 0)).collect());
    }
    assert_eq!(shelf.expand(at).unwrap_err(), ListingError::TooMany);

    // With files, the totals exceed the limit or overflow earlier.
    let huge = Descriptor::new(Kind::File, 1 << 50, [1; 32]).unwrap();
    let huge = EntryKind::File {
        descriptor: huge,
        executable: false,
    };
    let mut at = shelf.put(vec![entry("f", huge)]);
    let (mut bytes, mut files) = (1u64 << 50, 1);
    while let Some(twice) = bytes.checked_mul(2) {
        at = shelf.put(vec![
            folder("1", at, bytes, files),
            folder("2", at, bytes, files),
        ]);
        (bytes, files) = (twice, files * 2);
    }
    assert!(shelf.expand(at).is_ok());
    let over = shelf.put(vec![
        folder("1", at, bytes, files),
        folder("2", at, bytes, files),
    ]);
    assert_eq!(shelf.expand(over).unwrap_err(), ListingError::TooMany);

    let claims = shelf.put(vec![folder("1", at, bytes, MAX_LISTED + 1)]);
    assert_eq!(shelf.expand(claims).unwrap_err(), ListingError::TooMany);
}

#[test]
fn wrong_totals_are_refused_with_the_path() {
    let mut shelf = Shelf::default();
    let sub = shelf.put(vec![file("f", 5)]);
    for (bytes, files) in [(4, 1), (6, 1), (5, 0), (5, 2)] {
        let middle = shelf.put(vec![folder("sub", sub, bytes, files)]);
        let root = shelf.put(vec![folder("middle", middle, bytes, files)]);
        let found = Totals {
            bytes: 5,
            files: 1,
            blocks: 1,
        };
        let path = "middle/sub".to_owned();
        let error = ListingError::Totals {
            path,
            bytes,
            files,
            found,
        };
        assert_eq!(shelf.expand(root).unwrap_err(), error);
    }
}

#[test]
fn a_link_is_listed_with_any_target() {
    let mut shelf = Shelf::default();
    let sub = shelf.put(vec![symlink("up", "../../x"), symlink("root", "/")]);
    let root = shelf.put(vec![folder("sub", sub, 0, 0), symlink("top", "..")]);
    let listing = shelf.expand(root).unwrap();
    let paths: Vec<_> = listing.entries().map(|entry| entry.path()).collect();
    assert_eq!(paths, ["sub", "sub/root", "sub/up", "top"]);
}

/// A tree of names and sizes, with which listings are compared.
#[derive(Clone, Debug)]
enum Tree {
    File(u64),
    Folder(Vec<(String, Self)>),
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = (0..50_000u64).prop_map(Tree::File);
    leaf.prop_recursive(4, 40, 6, |inner| {
        let named = prop::collection::btree_map("[a-d.]{1,2}[x-z]", inner, 0..6);
        named.prop_map(|entries| Tree::Folder(entries.into_iter().collect()))
    })
}

fn build(shelf: &mut Shelf, entries: &[(String, Tree)]) -> (Descriptor, u64, u64) {
    let (mut built, mut bytes, mut files) = (Vec::new(), 0, 0);
    for (name, tree) in entries {
        built.push(match tree {
            Tree::File(size) => {
                (bytes, files) = (bytes + size, files + 1);
                file(name, *size)
            }
            Tree::Folder(below) => {
                let (descriptor, more_bytes, more_files) = build(shelf, below);
                (bytes, files) = (bytes + more_bytes, files + more_files);
                folder(name, descriptor, more_bytes, more_files)
            }
        });
    }
    (shelf.put(built), bytes, files)
}

fn paths(at: &str, entries: &[(String, Tree)], paths_of: &mut Vec<String>) {
    for (name, tree) in entries {
        let path = format!("{at}{name}");
        paths_of.push(path.clone());
        if let Tree::Folder(below) = tree {
            paths(&format!("{path}/"), below, paths_of);
        }
    }
}

proptest! {
    #[test]
    fn listings_are_complete(tree in trees()) {
        let entries = match tree {
            Tree::Folder(entries) => entries,
            file => vec![("only".to_owned(), file)],
        };
        let mut shelf = Shelf::default();
        let (root, bytes, files) = build(&mut shelf, &entries);
        let listing = shelf.expand(root).unwrap();
        let mut expected = Vec::new();
        paths("", &entries, &mut expected);
        let found: Vec<_> = listing.entries().map(|entry| entry.path()).collect();
        prop_assert_eq!(found, expected);
        let totals = listing.totals();
        prop_assert_eq!((totals.bytes, totals.files), (bytes, files));
        let mut next = 0;
        for file in listing.files() {
            prop_assert_eq!(file.blocks().start, next);
            next = file.blocks().end;
        }
        prop_assert_eq!(next, listing.blocks());
    }
}
