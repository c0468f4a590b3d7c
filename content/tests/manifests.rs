//! Manifests: each directory has exactly one encoding, and all other bytes are refused.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use pelago_content::{
    Descriptor, DescriptorError, EntryKind, Hasher, Kind, MAX_MANIFEST_ENTRIES, MAX_MANIFEST_LEN,
    Manifest, ManifestEntry, ManifestError, NameError, TargetError,
};
use proptest::prelude::*;

fn describe(content: &[u8]) -> Descriptor {
    let mut hasher = Hasher::new(Kind::File);
    hasher.update(content);
    hasher.finish().unwrap()
}

fn folder(manifest: &Manifest) -> Descriptor {
    Manifest::describe(&manifest.to_bytes()).unwrap()
}

fn file(name: &str) -> ManifestEntry {
    ManifestEntry {
        name: name.to_owned(),
        kind: EntryKind::File {
            descriptor: describe(name.as_bytes()),
            executable: false,
        },
    }
}

fn symlink(name: &str, target: &str) -> ManifestEntry {
    ManifestEntry {
        name: name.to_owned(),
        kind: EntryKind::Symlink {
            target: target.to_owned(),
        },
    }
}

fn new(entries: impl IntoIterator<Item = ManifestEntry>) -> Result<Manifest, ManifestError> {
    Manifest::new(entries.into_iter().collect())
}

/// A manifest with an entry of each kind.
fn sample() -> Manifest {
    let empty = folder(&Manifest::default());
    let run = EntryKind::File {
        descriptor: describe(b"#!"),
        executable: true,
    };
    let sub = EntryKind::Folder {
        descriptor: empty,
        bytes: 0,
        files: 0,
    };
    let entry = |name: &str, kind| ManifestEntry {
        name: name.to_owned(),
        kind,
    };
    let entries = [
        entry("run", run),
        file("a"),
        symlink("link", "../a"),
        entry("sub", sub),
    ];
    new(entries).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The example of docs/PROTOCOL.md.
#[test]
fn the_form_is_fixed() {
    let empty = Manifest::default();
    assert_eq!(hex(&empty.to_bytes()), "a261760167656e747269657380");
    assert_eq!(
        folder(&empty).hash().to_string(),
        "7d3e75d84ede913a21b02fa2f6ba0a2991d0ef154582245ec16083ae0a23abbc"
    );
    let descriptor = |descriptor: &Descriptor| hex(&descriptor.to_bytes());
    let expected = [
        "a2 6176 01 67656e7472696573 84",
        "a2 6166 5829",
        &descriptor(&describe(b"a")),
        "616e 6161",
        "a2 616c 642e2e2f61 616e 646c696e6b",
        "a3 6166 5829",
        &descriptor(&describe(b"#!")),
        "616e 6372756e 6178 f5",
        "a4 6162 00 6163 00 6164 5829",
        &descriptor(&folder(&empty)),
        "616e 63737562",
    ];
    let expected: String = expected.concat().split(' ').collect();
    assert_eq!(hex(&sample().to_bytes()), expected);
    assert_eq!(Manifest::from_bytes(&sample().to_bytes()), Ok(sample()));
}

#[test]
fn entries_are_sorted_by_the_bytes_of_their_names() {
    let names = [
        "ab",
        "a b",
        "a",
        "b",
        "é",
        "Z",
        "a.b",
        "\u{fffd}",
        "\u{10000}",
    ];
    let manifest = new(names.map(file)).unwrap();
    let sorted: Vec<_> = manifest.entries().iter().map(|e| &e.name[..]).collect();
    let expected = [
        "Z",
        "a",
        "a b",
        "a.b",
        "ab",
        "b",
        "é",
        "\u{fffd}",
        "\u{10000}",
    ];
    assert_eq!(sorted, expected);
}

#[test]
fn the_error_quotes_an_invalid_name() {
    let refused = [
        ("..", NameError::Dots),
        ("a/b", NameError::Separator),
        ("a\0b", NameError::Nul),
    ];
    for (name, source) in refused {
        let expected = ManifestError::Name {
            name: name.to_owned(),
            source,
        };
        assert_eq!(new([file("fine"), file(name)]), Err(expected));
    }
    let long = new([file(&"n".repeat(100_000))]).unwrap_err();
    assert!(long.to_string().len() < 400, "{long}");
}

/// A manifest may have names that some file systems cannot hold: the receiver chooses other names.
#[test]
fn names_that_only_some_systems_hold_are_unchanged() {
    let names = [
        "aux.c",
        "XT_DSCP.c",
        "xt_dscp.c",
        "\u{e9}",
        "e\u{301}",
        "end ",
        "end.",
        r"a\b",
        "C:",
        "a\nb",
        "\u{1b}[2J",
    ];
    let targets = ["/etc/passwd", "..", "a/../..", r"..\..\a", "\u{1b}[2J"];
    let links = targets.iter().enumerate();
    let links = links.map(|(number, target)| symlink(&format!("link {number}"), target));
    let manifest = new(names.map(file).into_iter().chain(links)).unwrap();
    assert_eq!(manifest.entries().len(), names.len() + targets.len());
    assert_eq!(Manifest::from_bytes(&manifest.to_bytes()), Ok(manifest));
}

#[test]
fn the_error_names_a_link_with_an_invalid_target() {
    for (target, source) in [("", TargetError::Empty), ("a\0", TargetError::Nul)] {
        let name = "link".to_owned();
        let expected = ManifestError::Target { name, source };
        assert_eq!(new([symlink("link", target)]), Err(expected));
    }
}

#[test]
fn a_repeated_name_is_refused() {
    let twice = ManifestError::Twice { name: "a".into() };
    assert_eq!(new([file("a"), file("b"), symlink("a", "b")]), Err(twice));
}

#[test]
fn descriptors_of_the_wrong_kind_are_refused() {
    let wrong = |kind| ManifestEntry {
        name: "x".to_owned(),
        kind,
    };
    let (a_file, a_folder) = (describe(b"x"), folder(&Manifest::default()));
    let as_file = EntryKind::File {
        descriptor: a_folder,
        executable: false,
    };
    let as_folder = EntryKind::Folder {
        descriptor: a_file,
        bytes: 1,
        files: 1,
    };
    for (kind, expected, found) in [
        (as_file, Kind::File, Kind::Folder),
        (as_folder, Kind::Folder, Kind::File),
    ] {
        let name = "x".to_owned();
        let error = ManifestError::Kind {
            name,
            expected,
            found,
        };
        assert_eq!(new([wrong(kind)]), Err(error));
    }
}

#[test]
fn what_is_too_long_is_refused_before_it_is_read() {
    let found = MAX_MANIFEST_LEN + 1;
    let long = vec![0; found as usize];
    let error = ManifestError::Length { found };
    assert_eq!(Manifest::from_bytes(&long), Err(error));

    let descriptor = Descriptor::new(Kind::Folder, found, [1; 32]).unwrap();
    let sub = ManifestEntry {
        name: "sub".to_owned(),
        kind: EntryKind::Folder {
            descriptor,
            bytes: 0,
            files: 0,
        },
    };
    let name = "sub".to_owned();
    let error = ManifestError::FolderLength { name, found };
    assert_eq!(new([sub]), Err(error));

    // A few entries with long names exceed the limit. A few bytes can claim many entries.
    let target = "t/".repeat(2000);
    let links = (0..17_000).map(|number| symlink(&number.to_string(), &target));
    assert!(matches!(new(links), Err(ManifestError::Length { .. })));
    let mut claims = sample().to_bytes()[..12].to_vec();
    claims.extend([0x9a, 0x00, 0x10, 0x00, 0x01]);
    let found = MAX_MANIFEST_ENTRIES as u64 + 1;
    let error = ManifestError::Entries { found };
    assert_eq!(Manifest::from_bytes(&claims), Err(error));
}

/// Other encodings of the same manifest, and fields that this version does not know.
#[test]
fn there_is_one_form_only() {
    let bytes = sample().to_bytes();
    let replaced = |from: &str, to: &str| {
        let text = hex(&bytes).replacen(from, to, 1);
        assert_ne!(text, hex(&bytes), "{from} is not there");
        let digits = text.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        Manifest::from_bytes(&digits.map(byte).collect::<Vec<_>>()).unwrap_err()
    };
    let form = ManifestError::Form;
    assert_eq!(replaced("617601", "61761801"), form, "a long number");
    assert_eq!(replaced("616e6161", "616e780161"), form, "a long length");
    assert_eq!(
        replaced("616e6161", "616e616d"),
        form,
        "the order of entries"
    );
    let long_list = "69657384";
    assert_eq!(replaced(long_list, "6965739f"), form, "no length");
    let link = "a2616c642e2e2f61616e646c696e6b";
    let swapped = "a2616e646c696e6b616c642e2e2f61";
    assert_eq!(replaced(link, swapped), form, "the order of keys");
    let twice = "a3616c642e2e2f61616c642e2e2f61616e646c696e6b";
    assert_eq!(replaced(link, twice), form, "a key twice");
    assert_eq!(replaced("6178f5", "6178f4"), form, "what is left out");

    let version = ManifestError::Version { found: 2 };
    assert_eq!(replaced("617601", "617602"), version);
    let key = ManifestError::Key {
        number: 3,
        key: "y".to_owned(),
    };
    assert_eq!(replaced("6178f5", "6179f5"), key);
    let malformed = |error| matches!(error, ManifestError::Malformed(_));
    assert!(malformed(replaced("a2617601", "a3617601")), "a third key");
    assert!(
        malformed(replaced("a2616c64", "a2616c44")),
        "bytes for text"
    );
    assert!(malformed(replaced("642e2e2f61", "64ff2e2f61")));
    let kind = ManifestError::Descriptor {
        name: "a".to_owned(),
        source: DescriptorError::Kind { found: 9 },
    };
    assert_eq!(replaced("582900", "582909"), kind);

    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(Manifest::from_bytes(&longer), Err(form));
    for end in 0..bytes.len() {
        assert!(Manifest::from_bytes(&bytes[..end]).is_err(), "{end}");
    }
}

fn any_entry() -> impl Strategy<Value = ManifestEntry> {
    let descriptor = |kind| {
        (1..1u64 << 20, any::<[u8; 32]>()).prop_map(move |(size, mut root)| {
            root[0] |= 1;
            Descriptor::new(kind, size, root).unwrap()
        })
    };
    let file = (descriptor(Kind::File), any::<bool>());
    let folder = (descriptor(Kind::Folder), any::<u64>(), any::<u64>());
    let kind = prop_oneof![
        file.prop_map(|(descriptor, executable)| EntryKind::File {
            descriptor,
            executable
        }),
        folder.prop_map(|(descriptor, bytes, files)| EntryKind::Folder {
            descriptor,
            bytes,
            files
        }),
        "[^\0]{1,12}|/?(\\.\\./){0,3}[a-z/]{1,9}".prop_map(|target| EntryKind::Symlink { target }),
    ];
    let name = prop_oneof!["[a-cA-C]{1,2}", "[^/\0]{1,9}", "[^/]{1,9}"];
    (name, kind).prop_map(|(name, kind)| ManifestEntry { name, kind })
}

proptest! {
    /// Every valid manifest can be read again, in whichever order its entries are given.
    #[test]
    fn manifests_round_trip(mut entries in prop::collection::vec(any_entry(), 0..12)) {
        if let Ok(manifest) = Manifest::new(entries.clone()) {
            entries.reverse();
            prop_assert_eq!(&Manifest::new(entries).unwrap(), &manifest);
            let read = Manifest::from_bytes(&manifest.to_bytes());
            prop_assert_eq!(read.as_ref(), Ok(&manifest));
        }
    }

    /// Different valid names are valid together.
    #[test]
    fn different_names_are_valid_together(names in prop::collection::btree_set("[^/\0]{3,9}", 0..12)) {
        let names: Vec<_> = names.iter().filter(|name| &name[..] != "...").collect();
        let manifest = Manifest::new(names.iter().map(|name| file(name)).collect()).unwrap();
        let found: Vec<_> = manifest.entries().iter().map(|entry| &entry.name).collect();
        prop_assert_eq!(found, names);
    }

    /// Bytes that are read as a manifest are written as the same bytes. Nothing panics.
    #[test]
    fn bytes_have_one_meaning(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let mut bytes = sample().to_bytes();
        for (at, byte) in changes {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        if let Ok(manifest) = Manifest::from_bytes(&bytes) {
            prop_assert_eq!(manifest.to_bytes(), bytes);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Manifest::from_bytes(&bytes);
    }
}
