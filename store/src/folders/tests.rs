use std::{collections::BTreeSet, fs, time::SystemTime};

use pelago_content::{Hash, Kind, Listing, verify};

use super::*;
use crate::{
    Links, Partial, PartialSpec, ReadError, Scope, Share, Store,
    testing::{Home, absent, bytes, describe, go_on, on_every_store, unfold},
    unfinished_downloads,
};

/// Writes files, and creates the folders above them.
fn write(root: &Path, files: &[(&str, &[u8])]) {
    for (path, data) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }
}

fn new(path: &Path, scope: Scope) -> NewFolder {
    NewFolder {
        path: path.to_owned(),
        name: "folder".to_owned(),
        scopes: scope.into(),
        origin: Origin::Explicit,
    }
}

fn share(store: &Store, path: &Path) -> Share {
    let folder = new(path, Scope::Everyone);
    let (descriptor, totals) = store.share_folder(&folder, &go_on).unwrap();
    let share = store.share_at(path).unwrap().unwrap();
    assert_eq!((share.descriptor, share.totals), (descriptor, totals));
    share
}

fn try_hash(path: &Path, growing: &UnfinishedDownloads) -> Result<MadeFolder, FolderError> {
    hash_folder(path, growing, None, FolderOptions::default(), &go_on)
}

fn hash_of(path: &Path) -> Hash {
    let made = try_hash(path, &UnfinishedDownloads::default());
    made.unwrap().descriptor.hash()
}

/// Reads all content of a hash in chunks of `level`, and proves each.
fn read(store: &Store, hash: &Hash, level: u8) -> Result<Vec<u8>, ReadError> {
    let mut data = Vec::new();
    for index in 0.. {
        let read = match store.read_chunk(hash, level, index, true) {
            Err(ReadError::OutOfRange { .. }) => break,
            read => read?,
        };
        assert_eq!(read.descriptor.hash(), *hash);
        verify(&read.descriptor, read.chunk, &read.data, &read.proof).unwrap();
        data.extend(read.data);
    }
    Ok(data)
}

/// The listing of a folder, from manifests that the store serves.
fn listing(store: &Store, folder: &Share) -> Listing {
    unfold(folder.descriptor, |hash| {
        let manifest = Manifest::from_bytes(&read(store, hash, 0).unwrap()).unwrap();
        assert_eq!(store.manifest(hash).unwrap().as_ref(), Some(&manifest));
        manifest
    })
}

/// The names in a folder of the data folder; none for a store in memory.
fn kept(home: &Home, folder: &str) -> BTreeSet<String> {
    let Ok(found) = fs::read_dir(home.path("data").join(folder)) else {
        return BTreeSet::new();
    };
    let names = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "unfinished").collect()
}

#[test]
fn a_shared_folder_is_served_with_all_that_is_in_it() {
    on_every_store(|home| {
        let root = home.path("root");
        let (large, small) = (bytes(5_000_000, 1), bytes(20_000, 2));
        let files: [(&str, &[u8]); 5] = [
            ("large", &large),
            ("a/small", &small),
            ("a/b/same", &small),
            ("a/empty", b""),
            ("a.txt", b"x"),
        ];
        write(&root, &files);
        fs::create_dir(root.join("none")).unwrap();
        let folder = share(&home.store, &root);
        assert_eq!(folder.descriptor.kind(), Kind::Folder);
        let listing = listing(&home.store, &folder);
        assert_eq!(listing.totals(), folder.totals);
        let paths: Vec<_> = listing.entries().map(|entry| entry.path()).collect();
        let expected = [
            "a", "a/b", "a/b/same", "a/empty", "a/small", "a.txt", "large", "none",
        ];
        assert_eq!(paths, expected);
        for file in listing.files() {
            let data = fs::read(root.join(file.path())).unwrap();
            assert_eq!(file.descriptor, describe(&data));
            let hash = file.descriptor.hash();
            assert!(read(&home.store, &hash, 4).unwrap() == data);
            let held = home.store.holding(&hash).unwrap().unwrap();
            assert_eq!(held.1.len(), file.descriptor.geometry().blocks());
        }
        let held = home.store.holding(&folder.hash).unwrap().unwrap();
        assert_eq!(held, (folder.descriptor, (0..listing.blocks()).into()));
        let EntryKind::Folder { descriptor, .. } = listing.get(0).unwrap().kind() else {
            panic!("a folder");
        };
        let held = home.store.holding(&descriptor.hash()).unwrap().unwrap();
        assert_eq!(held, (*descriptor, (0..4).into()));
    });
}

#[test]
fn only_the_folder_itself_is_a_share() {
    on_every_store(|home| {
        let root = home.path("root");
        write(&root, &[("sub/file", b"content")]);
        let folder = share(&home.store, &root);
        assert_eq!(home.store.count().unwrap(), 1);
        let page = home.store.shares_page(None, 100, |_| true).unwrap();
        assert_eq!(page.shares.len(), 1);
        let found = &page.shares[0];
        assert_eq!((found.hash, found.totals), (folder.hash, folder.totals));
        assert_eq!((found.totals.bytes, found.totals.files), (7, 1));
        let file = describe(b"content").hash();
        assert_eq!(home.store.shares_of(&file).unwrap(), []);
        assert_eq!(home.store.shares_named("file").unwrap(), []);
        assert_eq!(home.store.share_at(&root.join("sub/file")).unwrap(), None);
    });
}

#[test]
fn one_tree_has_one_hash_at_any_path() {
    let home = Home::in_memory();
    let files: [(&str, &[u8]); 3] = [("b", b"1"), ("a/c", b"2"), ("a/d", b"")];
    let (one, other) = (home.path("one"), home.path("other"));
    write(&one, &files);
    for file in files.iter().rev() {
        write(&other, &[*file]);
    }
    let long_ago = SystemTime::UNIX_EPOCH;
    let file = fs::File::options()
        .write(true)
        .open(other.join("b"))
        .unwrap();
    file.set_modified(long_ago).unwrap();
    assert_eq!(hash_of(&one), hash_of(&other));
    assert_eq!(share(&home.store, &one).hash, hash_of(&other));

    let mut seen = BTreeSet::from([hash_of(&one)]);
    fs::rename(other.join("b"), other.join("B")).unwrap();
    assert!(seen.insert(hash_of(&other)), "a name");
    write(&other, &[("B", b"2")]);
    assert!(seen.insert(hash_of(&other)), "content");
    fs::create_dir(other.join("e")).unwrap();
    assert!(seen.insert(hash_of(&other)), "an empty folder");
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
#[test]
fn entries_with_the_mark_are_left_out_and_those_with_only_the_name_are_not() {
    let home = Home::in_memory();
    let root = home.path("root");
    write(&root, &[("a", b"1"), ("box/inner", b"2")]);
    let before = hash_of(&root);
    write(&root, &[("film.part", b"3"), ("tree.part/x", b"4")]);
    let with_all = hash_of(&root);
    assert_ne!(with_all, before);
    let marked = ["film.part", "tree.part"].map(|name| root.join(name));
    for path in &marked {
        unfinished_downloads::mark(&fs::File::open(path).unwrap());
    }
    if !UnfinishedDownloads::default().contains(&marked[0]) {
        eprintln!("skipped: the file system has no extended attributes");
        return;
    }
    assert_eq!(hash_of(&root), before);
    assert_eq!(share(&home.store, &root).hash, before);
    // A mark that a crash left on a complete entry has no effect.
    unfinished_downloads::mark(&fs::File::open(root.join("box")).unwrap());
    assert_eq!(hash_of(&root), before);
    unfinished_downloads::unmark(&fs::File::open(root.join("box")).unwrap());
    for path in &marked {
        unfinished_downloads::unmark(&fs::File::open(path).unwrap());
    }
    assert_eq!(hash_of(&root), with_all);
    assert_eq!(share(&home.store, &root).hash, with_all);
}

#[test]
fn a_part_file_with_a_record_is_left_out() {
    let home = Home::on_disk();
    let root = home.path("root");
    write(&root, &[("a", b"1")]);
    let before = hash_of(&root);
    let spec = PartialSpec {
        descriptor: describe(&bytes(300_000, 1)),
        target: root.join("film"),
        name: "film".to_owned(),
        scopes: Scope::Everyone.into(),
        resume_on_start: true,
        only: Vec::new(),
        part_of: None,
        overwrite: false,
        is_named: true,
        links: Links::default(),
        strict_names: false,
    };
    let partial = Partial::create_or_resume(&home.store, spec, &|_| ()).unwrap();
    // Without the mark, as on a file system without extended attributes.
    unfinished_downloads::unmark(&fs::File::open(root.join("film.part")).unwrap());
    let recorded = UnfinishedDownloads::in_data_folder(&home.path("data")).unwrap();
    let hashed = try_hash(&root, &recorded).unwrap();
    assert_eq!(hashed.descriptor.hash(), before);
    assert_eq!(share(&home.store, &root).hash, before);
    drop(partial);
}

#[cfg(unix)]
#[test]
fn executable_files_and_links_are_part_of_a_folder() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let home = Home::in_memory();
    let root = home.path("root");
    write(&root, &[("a/run", b"#!"), ("b", b"")]);
    let mut seen = BTreeSet::from([hash_of(&root)]);
    for (mode, is_new) in [(0o600, false), (0o777, true), (0o500, false)] {
        let run = root.join("a/run");
        fs::set_permissions(run, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(seen.insert(hash_of(&root)), is_new, "{mode:o}");
    }
    for target in ["../b", "run", "nowhere"] {
        symlink(target, root.join("a/link")).unwrap();
        assert!(seen.insert(hash_of(&root)), "{target}");
        fs::remove_file(root.join("a/link")).unwrap();
    }
}

#[test]
fn sharing_again_hashes_what_has_changed_and_no_more() {
    on_every_store(|home| {
        let root = home.path("root");
        let (old, large) = (bytes(2000, 2), bytes(300_000, 3));
        write(
            &root,
            &[("a/changed", &old), ("b/gone", b"gone"), ("kept", &large)],
        );
        let before = share(&home.store, &root);

        // The store uses what it knows of a file that has not changed, even if it is wrong.
        let mut members = home.store.members(&root).unwrap();
        let invented = describe(b"not what is there");
        for member in members.iter_mut().filter(|member| member.path == "kept") {
            member.descriptor = invented;
        }
        let row = NewShare {
            descriptor: before.descriptor,
            name: before.name.clone(),
            path: root.clone(),
            scopes: before.scopes.clone(),
            origin: Origin::Explicit,
            fingerprint: before.fingerprint,
        };
        home.store
            .add_folder(&row, before.totals, &members)
            .unwrap();

        write(&root, &[("a/changed", b"changed")]);
        fs::remove_dir_all(root.join("b")).unwrap();
        let after = share(&home.store, &root);
        assert_ne!(before.hash, after.hash);
        let paths = |members: Vec<Member>| members.into_iter().map(|member| member.path);
        let members = home.store.members(&root).unwrap();
        let kept_file = members.iter().find(|member| member.path == "kept");
        assert_eq!(kept_file.unwrap().descriptor, invented);
        assert!(paths(members).eq(["a", "a/changed", "kept"]));
        assert_eq!(home.store.count().unwrap(), 1);
        home.store.collect().unwrap();
        for gone in [before.hash, describe(&old).hash(), describe(b"gone").hash()] {
            assert!(home.store.holding(&gone).unwrap().is_none());
            assert!(matches!(
                read(&home.store, &gone, 0),
                Err(ReadError::Absent)
            ));
            assert_eq!(home.store.scopes(&gone).unwrap(), None);
        }
        assert_eq!(
            read(&home.store, &describe(b"changed").hash(), 0).unwrap(),
            b"changed"
        );
    });
}

#[test]
fn a_folder_that_is_unshared_leaves_nothing() {
    on_every_store(|home| {
        let root = home.path("root");
        let large = bytes(600_000, 1);
        let files: [(&str, &[u8]); 3] = [
            ("a/large", &large),
            ("b/file", b"content"),
            ("\u{10ffff}last", b"sorts behind all"),
        ];
        write(&root, &files);
        let folder = share(&home.store, &root);
        assert_eq!(home.store.members(&root).unwrap().len(), 5);
        let by_itself = home.share("file", &large);
        let removed = home.store.remove_shares(&[(folder.hash, root.clone())]);
        assert_eq!(removed.unwrap(), 1);
        assert_eq!(home.store.members(&root).unwrap(), []);
        home.store.collect().unwrap();
        assert!(read(&home.store, &by_itself.descriptor.hash(), 4).unwrap() == large);
        let last = describe(b"sorts behind all").hash();
        for hash in [folder.hash, describe(b"content").hash(), last] {
            assert!(matches!(
                read(&home.store, &hash, 0),
                Err(ReadError::Absent)
            ));
        }
        assert_eq!(home.store.manifest(&folder.hash).unwrap(), None);
        assert_eq!(kept(&home, "manifests"), BTreeSet::new());
        let removed = [(by_itself.descriptor.hash(), by_itself.path)];
        home.store.remove_shares(&removed).unwrap();
        home.store.collect().unwrap();
        assert_eq!(kept(&home, "trees"), BTreeSet::new());
    });
}

#[test]
fn a_file_in_the_place_of_a_folder_replaces_all_of_it() {
    on_every_store(|home| {
        let root = home.path("root");
        write(&root, &[("a/file", b"content")]);
        let folder = share(&home.store, &root);
        fs::remove_dir_all(&root).unwrap();
        let file = home.share("root", b"a file");
        assert_eq!(home.store.members(&root).unwrap(), []);
        assert!(home.store.holding(&folder.hash).unwrap().is_none());
        assert_eq!(home.store.count().unwrap(), 1);
        assert!(
            home.store
                .holding(&file.descriptor.hash())
                .unwrap()
                .is_some()
        );
    });
}

#[test]
fn members_have_the_scopes_of_all_their_folders() {
    on_every_store(|home| {
        let (outer, inner) = (home.path("outer"), home.path("outer/inner"));
        write(&outer, &[("inner/deep/file", b"content")]);
        let store = &home.store;
        let file = describe(b"content").hash();
        let shared = store.share_folder(&new(&outer, Scope::Unlisted), &go_on);
        let outer_hash = shared.unwrap().0.hash();
        let deep = hash_of(&inner.join("deep"));
        for hash in [file, deep, outer_hash, hash_of(&inner)] {
            assert_eq!(store.scopes(&hash).unwrap(), Some(Scope::Unlisted.into()));
        }
        let inner_hash = share(store, &inner).hash;
        for hash in [file, deep, inner_hash] {
            let scopes = store.scopes(&hash).unwrap().unwrap();
            assert!(scopes.contains(Scope::Everyone) && scopes.contains(Scope::Unlisted));
        }
        assert_eq!(
            store.scopes(&outer_hash).unwrap(),
            Some(Scope::Unlisted.into())
        );
        let over = store.members_at(&inner.join("deep/file")).unwrap();
        let over = over
            .into_iter()
            .map(|(folder, member)| (folder, member.path));
        let paths = ["deep/file", "inner/deep/file"].map(str::to_owned);
        let expected = [inner.clone(), outer.clone()].into_iter().zip(paths);
        assert!(over.eq(expected));
        store.remove_shares(&[(outer_hash, outer)]).unwrap();
        assert_eq!(store.scopes(&file).unwrap(), Some(Scope::Everyone.into()));
        assert_eq!(store.scopes(&absent()).unwrap(), None);
        assert!(read(store, &deep, 0).is_ok());
    });
}

#[test]
fn a_changed_member_is_not_served_under_its_old_hash() {
    on_every_store(|home| {
        let root = home.path("root");
        write(&root, &[("sub/file", b"content"), ("copy", b"other")]);
        share(&home.store, &root);
        let hash = describe(b"content").hash();
        assert!(read(&home.store, &hash, 0).is_ok());
        write(&root, &[("sub/file", b"CONTENT")]);
        let error = read(&home.store, &hash, 0).unwrap_err();
        let changed = root.join("sub/file");
        assert!(matches!(error, ReadError::Changed { path } if path == changed));
        // Another file of the folder with the same content is served instead.
        write(&root, &[("copy", b"content")]);
        share(&home.store, &root);
        assert_eq!(read(&home.store, &hash, 0).unwrap(), b"content");
    });
}

#[test]
fn a_damaged_manifest_is_not_served_and_made_again() {
    let home = Home::on_disk();
    let root = home.path("root");
    write(&root, &[("file", b"content")]);
    let folder = share(&home.store, &root);
    let manifest = home.path("data/manifests").join(folder.hash.to_string());
    for damaged in [&b"damaged"[..], b""] {
        fs::write(&manifest, damaged).unwrap();
        assert!(matches!(
            read(&home.store, &folder.hash, 0),
            Err(ReadError::Absent)
        ));
        assert_eq!(home.store.manifest(&folder.hash).unwrap(), None);
        assert_eq!(share(&home.store, &root).hash, folder.hash);
        assert!(read(&home.store, &folder.hash, 0).is_ok());
        home.store.inner.open_files.forget_all();
    }
}

#[test]
fn a_long_manifest_is_served_in_chunks_of_every_level() {
    on_every_store(|home| {
        let entry = |number: u32| ManifestEntry {
            name: format!("{number:0200}"),
            kind: EntryKind::Symlink {
                target: "x".to_owned(),
            },
        };
        let manifest = Manifest::new((0..6000).map(entry).collect()).unwrap();
        let hash = home.store.keep_manifest(&manifest).unwrap().hash();
        for level in 0..=8 {
            let read = read(&home.store, &hash, level).unwrap();
            assert!(read == manifest.to_bytes(), "level {level}");
        }
    });
}

#[test]
fn manifests_that_are_released_go_unless_a_shared_folder_has_them() {
    let home = Home::on_disk();
    let root = home.path("root");
    write(&root, &[("sub/file", b"content")]);
    let hashes = [share(&home.store, &root).hash, hash_of(&root.join("sub"))];
    let manifest = Manifest::new(Vec::new()).unwrap();
    let fetched = home.store.keep_manifest(&manifest).unwrap().hash();
    home.store.collect().unwrap();
    assert!(
        read(&home.store, &fetched, 0).is_ok(),
        "a download may need it"
    );
    home.store
        .release_manifests(&[fetched, hashes[0], hashes[1], absent()]);
    home.store.collect().unwrap();
    assert!(matches!(
        read(&home.store, &fetched, 0),
        Err(ReadError::Absent)
    ));
    assert!(hashes.iter().all(|hash| read(&home.store, hash, 0).is_ok()));
}

/// Names and targets of links that are invalid on other systems are shared.
#[cfg(unix)]
#[test]
fn a_directory_is_shared_as_it_is() {
    use std::os::unix::fs::symlink;
    let home = Home::in_memory();
    let root = home.path("root");
    let names = [
        "NUL.txt",
        "aux.c",
        "back\\slash",
        "e\u{301}",
        "ends.",
        "new\nline",
        "readme",
        "README",
        "\u{e9}",
        &"n".repeat(255),
    ];
    for name in names {
        write(&root, &[(&format!("com1/{name}"), name.as_bytes())]);
    }
    let targets = ["/etc/passwd", "../../x", "com1/../..", "..", r"C:\x"];
    for (number, target) in targets.iter().enumerate() {
        symlink(target, root.join(format!("link {number}"))).unwrap();
    }
    let folder = share(&home.store, &root);
    let listing = listing(&home.store, &folder);
    let found: BTreeSet<_> = listing
        .files()
        .map(|file| file.entry.name().to_owned())
        .collect();
    assert_eq!(found, names.map(str::to_owned).into());
    for (number, target) in targets.iter().enumerate() {
        let link = format!("link {number}");
        let link = listing
            .entries()
            .find(|entry| entry.name() == link)
            .unwrap();
        assert!(matches!(link.kind(), EntryKind::Symlink { target: found } if found == target));
    }
}

#[cfg(unix)]
#[test]
fn what_has_no_content_is_left_out() {
    use std::os::unix::net;
    let home = Home::on_disk();
    let root = home.path("root");
    write(&root, &[("sub/file", b"content")]);
    let before = hash_of(&root);
    for name in ["one", "sub/two"] {
        drop(net::UnixListener::bind(root.join(name)).unwrap());
    }
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = root.join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let made = try_hash(&root, &UnfinishedDownloads::default()).unwrap();
    assert_eq!(made.descriptor.hash(), before);
    let expected = "left out, as it has no content: 1 fifo, 2 sockets";
    assert_eq!(made.left_out.lines(), [expected]);
    assert_eq!(share(&home.store, &root).hash, before);
}

#[cfg(unix)]
#[test]
fn what_cannot_be_carried_is_named_and_left_out_on_request() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt, os::unix::fs::symlink};
    let home = Home::on_disk();
    let root = home.path("root");
    write(&root, &[("sub/file", b"content")]);
    let before = hash_of(&root);
    fs::write(root.join(OsStr::from_bytes(b"sub/\xff\n")), "x").unwrap();
    symlink(OsStr::from_bytes(b"\xfe"), root.join("link")).unwrap();
    let folder = new(&root, Scope::Everyone);
    let error = home.store.share_folder(&folder, &go_on).unwrap_err();
    assert!(matches!(error, FolderError::Unsupported { count: 2, .. }));
    let message = error.to_string();
    assert!(
        message.contains(r"sub/\xff\n: its name is not valid UTF-8"),
        "{message}"
    );
    assert!(
        message.contains("link: it is a link whose target is not valid UTF-8"),
        "{message}"
    );
    assert_eq!(home.store.count().unwrap(), 0);
    let options = FolderOptions {
        skip_unsupported: true,
        ..FolderOptions::default()
    };
    let made = home
        .store
        .share_folder_as(&folder, options, &go_on)
        .unwrap();
    assert_eq!(made.descriptor.hash(), before);
    assert!(made.left_out.lines()[0].contains("2 entries\n"));
    let made = hash_folder(
        &root,
        &UnfinishedDownloads::default(),
        None,
        options,
        &go_on,
    )
    .unwrap();
    assert_eq!(made.descriptor.hash(), before);
}

#[test]
fn what_the_rules_exclude_is_left_out_with_the_rules() {
    let home = Home::on_disk();
    let root = home.path("root");
    write(
        &root,
        &[
            ("a.txt", b"1"),
            ("sub/b.txt", b"2"),
            ("sub/deep/c.txt", b"3"),
        ],
    );
    let before = hash_of(&root);
    write(
        &root,
        &[
            (".pelagoignore", b"*.tmp\nnode_modules/\n/only-here\n"),
            ("sub/.pelagoignore", b"secret\n!kept.tmp\n"),
            ("x.tmp", b"x"),
            ("sub/deep/x.tmp", b"x"),
            ("node_modules/m/index.js", b"x"),
            ("only-here/x", b"x"),
            ("sub/secret/key", b"x"),
        ],
    );
    assert_eq!(hash_of(&root), before);
    assert_eq!(share(&home.store, &root).hash, before);
    write(&root, &[("sub/kept.tmp", b"x")]);
    assert_ne!(hash_of(&root), before, "the nearest rules decide");
    fs::remove_file(root.join("sub/kept.tmp")).unwrap();
    fs::remove_file(root.join(".pelagoignore")).unwrap();
    assert_ne!(hash_of(&root), before);
}

/// Earlier versions also shared the file with the rules.
#[test]
fn a_folder_that_was_shared_with_its_rules_is_found_again() {
    let home = Home::on_disk();
    let root = home.path("root");
    write(&root, &[("a.tmp", b"1"), (".pelagoignore", b"*.tmp")]);
    let folder = new(&root, Scope::Everyone);
    let options = FolderOptions {
        has_rules: false,
        ..FolderOptions::default()
    };
    let before = home
        .store
        .share_folder_as(&folder, options, &go_on)
        .unwrap();
    let hash = before.descriptor.hash();
    assert_ne!(hash, hash_of(&root));
    let again = home
        .store
        .share_folder_again(&folder, &hash, &go_on)
        .unwrap();
    assert_eq!(again, (before.descriptor, before.totals));
}

#[test]
fn deep_directories_are_named() {
    let home = Home::in_memory();
    let root = home.path("root");
    let deep = root.join(["d"; 64].join("/"));
    fs::create_dir_all(&deep).unwrap();
    let before = hash_of(&root);
    fs::write(deep.join("file"), "").unwrap();
    let error = try_hash(&root, &UnfinishedDownloads::default()).unwrap_err();
    assert!(matches!(error, FolderError::Unsupported { count: 1, .. }));
    assert!(
        error.to_string().contains("deeper than 64 levels"),
        "{error}"
    );
    let options = FolderOptions {
        skip_unsupported: true,
        ..FolderOptions::default()
    };
    let made = hash_folder(
        &root,
        &UnfinishedDownloads::default(),
        None,
        options,
        &go_on,
    )
    .unwrap();
    assert_eq!(made.descriptor.hash(), before);
}

#[test]
fn the_data_folder_is_left_out_of_a_folder_that_holds_it() {
    let home = Home::on_disk();
    let root = home.folder.path();
    write(root, &[("mine/file", b"content")]);
    let folder = new(root, Scope::Everyone);
    let made = home
        .store
        .share_folder_as(&folder, FolderOptions::default(), &go_on)
        .unwrap();
    assert_eq!(
        made.left_out.lines(),
        ["left out: the data folder of this node"]
    );
    let members = home.store.members(root).unwrap();
    let paths: Vec<_> = members.into_iter().map(|member| member.path).collect();
    assert_eq!(paths, ["mine", "mine/file"]);
    let data = home.path("data");
    let options = FolderOptions::default();
    let hashed = hash_folder(
        root,
        &UnfinishedDownloads::default(),
        Some(&data),
        options,
        &go_on,
    )
    .unwrap();
    assert_eq!(hashed.descriptor, made.descriptor);
}

#[test]
fn what_is_not_there_or_private_is_not_shared() {
    let home = Home::on_disk();
    let error = try_hash(&home.path("none"), &UnfinishedDownloads::default()).unwrap_err();
    assert!(matches!(error, FolderError::Missing { .. }));
    for private in [home.path("data"), home.path("data/manifests")] {
        let folder = new(&private, Scope::Everyone);
        let error = home.store.share_folder(&folder, &go_on).unwrap_err();
        assert!(matches!(error, FolderError::HoldsData { .. }), "{error}");
    }
    assert_eq!(home.store.count().unwrap(), 0);
}

#[test]
fn hashing_reports_progress_and_stops_on_request() {
    let home = Home::in_memory();
    let root = home.path("root");
    let large = bytes(9_000_000, 1);
    write(&root, &[("small", b"12345"), ("large", &large)]);
    let last = std::cell::Cell::new(0);
    let watch = |bytes| {
        assert!(bytes >= last.get());
        last.set(bytes);
        ControlFlow::Continue(())
    };
    hash_folder(
        &root,
        &UnfinishedDownloads::default(),
        None,
        FolderOptions::default(),
        &watch,
    )
    .unwrap();
    assert_eq!(last.get(), 9_000_005);
    let stop = |_| ControlFlow::Break(());
    let error = hash_folder(
        &root,
        &UnfinishedDownloads::default(),
        None,
        FolderOptions::default(),
        &stop,
    )
    .unwrap_err();
    assert!(matches!(error, FolderError::Stopped { path } if path == root));
}
