//! Shares follow the disk: their states, files that look changed, and exclusions.

use std::{
    fs::{self, FileTimes},
    os::unix::fs::{FileExt as _, PermissionsExt, symlink},
    path::Path,
    thread,
};

use serde_json::Value;

use super::{
    http::Url,
    system::{Disk, Exfat, Mount, is_root, run},
    watch::{put, shares},
    world::{Home, Node, World, assert_content, eventually, noise, text},
};

/// The names and states of the shares.
fn states(home: &Home) -> Vec<(String, String)> {
    let listed = home.json(&["list"]);
    let entry = |entry: &Value| {
        let text = |field: &str| entry[field].as_str().unwrap().to_owned();
        (text("name"), text("state"))
    };
    listed.as_array().unwrap().iter().map(entry).collect()
}

fn has_state(home: &Home, name: &str, state: &str) {
    let expected = (name.to_owned(), state.to_owned());
    eventually(&format!("{name} to be {state}"), || {
        states(home).contains(&expected).then_some(())
    });
}

fn set_modified(path: &Path, by: impl Fn(std::time::SystemTime) -> std::time::SystemTime) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(by(modified)))
        .unwrap();
}

fn get(home: &Home, hash: &str, address: &str, to: &str) {
    home.run(&[
        "download",
        hash,
        "--peer",
        address,
        "-o",
        to,
        "--timeout",
        "20",
    ])
    .done();
}

/// ```text
///   B ── A      the metadata of A's files changes in every way, and their content does not
/// ```
#[test]
fn a_folder_whose_files_look_changed_is_served_and_hashed_again() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let folder = a.path("box");
    let names = [
        "touched", "mode", "owner", "linked", "restored", "moved", "newer", "sub/same",
    ];
    for (at, name) in names.iter().enumerate() {
        put(&folder, name, &noise(at as u64, 400_000));
    }
    let node = a.start(&[]);
    let hash = a.share("box");
    let at = |name: &str| folder.join(name);

    set_modified(&at("touched"), |modified| modified);
    fs::set_permissions(at("mode"), fs::Permissions::from_mode(0o600)).unwrap();
    if is_root("another owner") {
        std::os::unix::fs::chown(at("owner"), Some(1234), None).unwrap();
    }
    fs::hard_link(at("linked"), a.path("link")).unwrap();
    let modified = fs::metadata(at("restored")).unwrap().modified().unwrap();
    fs::copy(at("restored"), a.path("copy")).unwrap();
    fs::remove_file(at("restored")).unwrap();
    fs::rename(a.path("copy"), at("restored")).unwrap();
    set_modified(&at("restored"), |_| modified);
    fs::rename(at("moved"), a.path("elsewhere")).unwrap();
    fs::rename(a.path("elsewhere"), at("moved")).unwrap();
    get(&b, &hash, &node.address(), "one");

    // A file with another time of modification is hashed before it is served.
    set_modified(&at("newer"), |modified| {
        modified + std::time::Duration::from_secs(5)
    });
    get(&b, &hash, &node.address(), "two");
    for (at, name) in names.iter().enumerate() {
        assert_content(&b.path("two").join(name), &noise(at as u64, 400_000));
    }
    // The folder is moved away, and back.
    let away = a.path("away");
    fs::rename(&folder, &away).unwrap();
    has_state(&a, "box", "missing");
    fs::rename(&away, &folder).unwrap();
    has_state(&a, "box", "available");
    get(&b, &hash, &node.address(), "three");
}

/// ```text
///   B ── A      one file of A's folder has other content
/// ```
#[test]
fn a_file_that_changed_is_not_offered_and_the_rest_of_its_folder_is() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let folder = a.path("box");
    for (at, name) in ["a", "b.txt", "b/c", "d"].iter().enumerate() {
        put(&folder, name, &noise(at as u64, 300_000));
    }
    let node = a.start(&[]);
    let hash = a.share("box");
    put(&folder, "b/c", &noise(9, 300_000));
    node.run
        .err
        .line("some files of the shared folder are not available");
    let listed = a.json(&["list"]);
    assert_eq!(listed[0]["state"], "available");
    assert_eq!(listed[0]["unavailable_files"], 1);
    let path = text(&folder.join("b/c"));
    a.run(&["list"]).done().prints(&format!("changed  {path}"));
    let doctor = a.run(&["doctor"]);
    assert!(
        doctor
            .stdout
            .contains(&format!("{path} (a file of a shared folder)")),
        "{doctor:#?}"
    );

    // B downloads the other files, and the last one when it is back.
    let download = b.spawn(&["download", &hash, "--peer", &node.address(), "-o", "got"]);
    for (at, name) in [(0, "a"), (1, "b.txt"), (3, "d")] {
        let part = b.path("got.part").join(name);
        eventually(&format!("{name} to come"), || {
            let found = fs::read(&part).ok()?;
            (found == noise(at, 300_000)).then_some(())
        });
    }
    put(&folder, "b/c", &noise(2, 300_000));
    download.end().done();
    assert_content(&b.path("got/b/c"), &noise(2, 300_000));
    eventually("nothing to be unavailable", || {
        a.json(&["list"])[0]
            .get("unavailable_files")
            .is_none()
            .then_some(())
    });
    assert!(a.run(&["doctor"]).stdout.contains("1 share: all available"));
}

/// ```text
///   B ── A      a file that A shares with a command is moved away, and back
/// ```
#[test]
fn a_file_that_is_gone_is_missing_until_it_is_back() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let (disk, away) = (a.path("disk"), a.path("away"));
    put(&disk, "film", &noise(1, 3_000_000));
    let node = a.start(&[]);
    let hash = a.share("disk/film");
    let address = node.address();
    let open = |address: &str, timeout: &str| {
        b.run(&["open", &hash, "--peer", address, "--timeout", timeout])
    };
    open(&address, "10").done().prints("all of it");
    let events = a.events("shares");
    events.line("event: ready");
    fs::rename(&disk, &away).unwrap();
    // This holds before the node has checked the file.
    open(&address, "2").failed().says("no source");
    has_state(&a, "film", "missing");
    events.line(r#""state":"missing""#);
    assert_eq!(
        b.json(&["list", "--peer", &address]),
        Value::Array(Vec::new())
    );
    let doctor = a.run(&["doctor"]);
    assert!(
        doctor.stdout.contains("film (a share) is missing"),
        "{doctor:#?}"
    );
    // A start without the file keeps the share, and does not hash the file when it is back.
    node.stop();
    let node = a.start(&[]);
    has_state(&a, "film", "missing");
    let before = node.run.read_bytes().unwrap();
    let events = a.events("shares");
    events.line(r#""state":"missing""#);
    fs::rename(&away, &disk).unwrap();
    has_state(&a, "film", "available");
    events.line(r#""state":"available""#);
    open(&node.address(), "10").done();
    let read = node.run.read_bytes().unwrap() - before;
    assert!(read < 2_000_000, "{read} bytes were read");
    get(&b, &hash, &node.address(), "got");
}

/// ```text
///   B ── A      A runs as a user who cannot read a file for a while
/// ```
#[test]
fn a_file_that_may_not_be_read_is_unreadable_until_it_may() {
    if !is_root("another user") {
        return;
    }
    let world = World::for_others();
    let (a, b) = (world.home("a").of_nobody(), world.home("b"));
    let content = noise(1, 3_000_000);
    put(&world.path("folder"), "film", &content);
    put(&world.path("folder"), "notes", b"notes");
    let film = world.path("folder/film");
    let node = a.start(&[]);
    let hash = a.share(&text(&film));
    let folder = a.share(&text(&world.path("folder")));
    let mode = |mode| fs::set_permissions(&film, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o600);
    has_state(&a, "film", "unreadable");
    let offered = b.json(&["list", "--peer", &node.address()]);
    let names: Vec<_> = offered
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["name"])
        .collect();
    assert_eq!(names, ["folder"]);
    let doctor = a.run(&["doctor"]).stdout;
    assert!(doctor.contains("film (a share) cannot be read"), "{doctor}");
    let row = doctor.lines().find(|line| line.contains("not shared"));
    assert!(row.unwrap().starts_with("warning"), "{doctor}");
    // The other file of the folder is available.
    let notes = [
        "download",
        &folder,
        "--peer",
        &node.address(),
        "-o",
        "got",
        "--only",
        "notes",
    ];
    b.run(&notes).done();
    mode(0o644);
    has_state(&a, "film", "available");
    get(&b, &hash, &node.address(), "film");
    assert_content(&b.path("film"), &content);
    node.stop();
    // A watched folder that may not be read keeps its shares.
    let watched = world.path("watched");
    put(&watched, "note", b"note");
    let _node = a.start(&["--dir", &text(&watched)]);
    has_state(&a, "note", "available");
    let mode = |mode| fs::set_permissions(&watched, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o700);
    has_state(&a, "note", "unreadable");
    let path = text(&watched);
    let expected = format!("{path} cannot be scanned: Permission denied");
    a.run(&["status"]).done().prints(&expected);
    mode(0o755);
    has_state(&a, "note", "available");
}

/// ```text
///   B ── A      A's disk is mounted again, and all its files have other inode numbers
/// ```
#[test]
fn shares_on_a_disk_that_was_plugged_in_again_are_served_without_being_read_first() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(disk) = Exfat::new(&a.path("disk")) else {
        return;
    };
    let (film, song) = (noise(1, 20_000_000), noise(2, 2_000_000));
    put(&a.path("disk"), "film", &film);
    put(&a.path("disk/album"), "song", &song);
    let node = a.start(&[]);
    let hash = a.share("disk/film");
    let album = a.share("disk/album");
    disk.mount_again();
    let before = node.run.read_bytes().unwrap();
    get(&b, &album, &node.address(), "album");
    assert_content(&b.path("album/song"), &song);
    let read = node.run.read_bytes().unwrap() - before;
    assert!(read < 15_000_000, "{read} bytes were read to send 2 MB");
    get(&b, &hash, &node.address(), "film");
    assert_content(&b.path("film"), &film);
    for name in ["film", "album"] {
        has_state(&a, name, "available");
    }
}

/// ```text
///   B ── A      A's file system keeps times in whole seconds, and a file is edited within one
/// ```
#[test]
fn a_share_that_is_edited_within_the_second_is_not_served_as_it_was() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(_disk) = Disk::new(a.path("disk"), "-I 128") else {
        return;
    };
    let content = noise(1, 300_000);
    put(&a.path("disk"), "film", &content);
    let node = a.start(&[]);
    let shared = a.json(&["share", "disk/film"]);
    let hash = shared[0]["hash"].as_str().unwrap().to_owned();
    // It is in doubt, but no program has it open.
    assert_eq!(shared[0].get("in_doubt"), None, "{shared}");
    let edit = |bytes: &[u8]| {
        let path = a.path("disk/film");
        let file = fs::File::options().write(true).open(path).unwrap();
        file.write_all_at(bytes, 1000).unwrap();
    };
    edit(b"not the same");
    let address = node.address();
    let download = ["download", &hash, "--peer", &address, "-o", "got"];
    b.run(&[&download[..], &["--timeout", "2"]].concat())
        .failed();
    let is_shared = || {
        let listed = a.json(&["list"]);
        listed[0]["hash"] == *hash
    };
    eventually("its new hash", || (!is_shared()).then_some(()));
    edit(&content[1000..1012]);
    eventually("its first hash", || is_shared().then_some(()));
    get(&b, &hash, &address, "got");
    assert_content(&b.path("got"), &content);
}

/// ```text
///   A      a disk with a watched folder on it is unmounted, and mounted again
/// ```
#[test]
fn shares_of_a_disk_that_is_not_mounted_wait_for_it() {
    let world = World::new();
    let a = world.home("a");
    let Some(backing) = Mount::new(world.path("backing"), "size=8m") else {
        return;
    };
    let disk = a.path("all/disk");
    fs::create_dir_all(&disk).unwrap();
    let bind = || {
        let (from, to) = (backing.path().display(), disk.display());
        run(&format!("mount --bind {from} {to}")).unwrap();
    };
    let unmount = || run(&format!("umount -l {}", disk.display())).unwrap();
    for watched in ["all/disk", "all"] {
        let name = if watched == "all" {
            "disk/film"
        } else {
            "film"
        };
        bind();
        put(&disk, "film", &noise(1, 500_000));
        let node = a.start(&["--dir", watched]);
        shares(&a, &[name]);
        unmount();
        has_state(&a, name, "missing");
        bind();
        has_state(&a, name, "available");
        node.stop();
        unmount();
        // Desktops remove the mount point, too.
        fs::remove_dir(&disk).unwrap();
        let node = a.start(&["--dir", watched]);
        node.run.err.line("missing: its shares are offered again");
        has_state(&a, name, "missing");
        assert!(!disk.exists(), "a folder is in the way of the disk");
        fs::create_dir(&disk).unwrap();
        let before = node.run.read_bytes().unwrap();
        bind();
        has_state(&a, name, "available");
        let read = node.run.read_bytes().unwrap() - before;
        assert!(read < 400_000, "{read} bytes were read");
        if watched == "all/disk" {
            // A file that is removed from a mounted disk is no longer a share.
            fs::remove_file(disk.join("film")).unwrap();
            shares(&a, &[]);
        }
        node.stop();
        unmount();
    }
}

/// ```text
///   A      unshares files of a watched folder
/// ```
#[test]
fn what_a_person_withdraws_from_a_watched_folder_stays_withdrawn() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    for name in ["keep", "private", "sub/x", "sub/y"] {
        put(&folder, name, name.as_bytes());
    }
    let node = a.start(&["--dir", "shared"]);
    shares(&a, &["keep", "private", "sub/x", "sub/y"]);
    let unshared = a.run(&["unshare", "shared/private"]).done();
    unshared
        .prints("private")
        .prints(&text(&folder.join("private")));
    let unshared = a.run(&["unshare", "./shared/sub"]).done();
    unshared.prints("sub/x").prints("sub/y");
    shares(&a, &["keep"]);
    put(&folder, "private", b"private again");
    put(&folder, "sub/z", b"new");
    put(&folder, "last", b"last");
    shares(&a, &["keep", "last"]);
    node.stop();
    let _node = a.start(&["--dir", "shared"]);
    shares(&a, &["keep", "last"]);
    put(&folder, "other", b"other");
    shares(&a, &["keep", "last", "other"]);
    let excluded = a.json(&["list", "--excluded"]);
    assert_eq!(excluded.as_array().unwrap().len(), 2);
    assert_eq!(excluded[0]["path"], text(&folder.join("private")));
    assert_eq!(excluded[0]["state"], "excluded");
    // The whole folder is shared without them.
    a.run(&["share", "shared"]).done().prints("2 paths");
    shares(&a, &["keep", "last", "other", "shared"]);
    a.run(&["unshare", "shared"]).done();
    a.share("shared/private");
    shares(&a, &["keep", "last", "other", "private"]);
    a.run(&["list", "--excluded"]).done().prints("shared/sub");
    // The node follows changes of the file again.
    fs::remove_file(folder.join("private")).unwrap();
    shares(&a, &["keep", "last", "other"]);
}

/// ```text
///   B ── A      what A keeps unlisted is renamed and copied below its watched folder
/// ```
#[test]
fn what_is_unlisted_stays_so_under_other_names() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let folder = a.path("shared");
    for name in ["open", "secret", "box/inside"] {
        put(&folder, name, name.as_bytes());
    }
    let node = a.start(&["--dir", "shared"]);
    shares(&a, &["box/inside", "open", "secret"]);
    let offered = |node: &Node, expected: &[&str]| {
        eventually(&format!("{expected:?} to be offered"), || {
            let listed = b.json(&["list", "--peer", &node.address()]);
            let names = listed.as_array()?.iter().map(|entry| &entry["name"]);
            names.eq(expected).then_some(())
        });
    };
    a.run(&["share", "shared/secret", "shared/box", "--unlisted"])
        .done();
    offered(&node, &["open"]);
    fs::rename(folder.join("secret"), folder.join("renamed")).unwrap();
    fs::copy(folder.join("renamed"), folder.join("copy")).unwrap();
    fs::rename(folder.join("box"), folder.join("moved")).unwrap();
    // What was shared by hand is missing at its old path.
    let all = ["box", "copy", "moved/inside", "open", "renamed", "secret"];
    shares(&a, &all);
    offered(&node, &["open"]);
    let listed = a.json(&["list"]);
    let unlisted = listed.as_array().unwrap().iter();
    let unlisted = unlisted.filter(|entry| entry["unlisted"] == true);
    assert_eq!(unlisted.count(), 5, "{listed:#}");
    a.run(&["list"]).done().prints("unlisted");
    node.stop();
    fs::rename(folder.join("copy"), folder.join("last")).unwrap();
    let node = a.start(&["--dir", "shared"]);
    let all = ["box", "last", "moved/inside", "open", "renamed", "secret"];
    shares(&a, &all);
    offered(&node, &["open"]);
    a.share("shared/last");
    offered(&node, &["last", "open", "renamed"]);
}

/// ```text
///   A      a directory is mounted below a watched folder, and files are put where it was
/// ```
#[test]
fn files_in_place_of_a_disk_do_not_replace_its_shares() {
    let world = World::new();
    let a = world.home("a");
    if !is_root("a mount") {
        return;
    }
    // The same file system, so that only the mount tells.
    let (backing, disk) = (a.path("backing"), a.path("all/disk"));
    put(&backing, "film", &noise(1, 300_000));
    fs::create_dir_all(&disk).unwrap();
    let bind = || {
        let (from, to) = (backing.display(), disk.display());
        run(&format!("mount --bind {from} {to}")).unwrap();
    };
    let unmount = || run(&format!("umount -l {}", disk.display())).unwrap();
    bind();
    let node = a.start(&["--dir", "all"]);
    shares(&a, &["disk/film"]);
    unmount();
    has_state(&a, "disk/film", "missing");
    put(&disk, "note", b"note");
    shares(&a, &["disk/film", "disk/note"]);
    node.stop();
    let _node = a.start(&["--dir", "all"]);
    shares(&a, &["disk/film", "disk/note"]);
    has_state(&a, "disk/film", "missing");
    has_state(&a, "disk/note", "available");
    bind();
    shares(&a, &["disk/film"]);
    has_state(&a, "disk/film", "available");
    unmount();
}

/// ```text
///   A      a file of a watched folder is replaced by a link
/// ```
#[test]
fn a_watched_file_that_becomes_a_link_is_gone_also_for_the_gateway() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    put(&folder, "film", &noise(1, 300_000));
    let _node = a.start(&["--dir", "shared"]);
    shares(&a, &["film"]);
    put(&a.path("."), "own", &noise(2, 300_000));
    a.share("own");
    let url = |name: &str| Url::new(&a.run(&["link", name, "--http"]).done().stdout);
    let (film, own) = (url("film"), url("own"));
    film.get(&[]).code(200);
    own.get(&[]).code(200);
    fs::rename(folder.join("film"), a.path("film")).unwrap();
    symlink(a.path("film"), folder.join("film")).unwrap();
    fs::remove_file(a.path("own")).unwrap();
    // The gateway looks for other sources for 3 s, at the same time for both.
    let both = |headers: &[&str]| {
        let of = |url: &Url| url.get(headers).status;
        thread::scope(|scope| {
            let film = scope.spawn(|| of(&film));
            [of(&own), film.join().unwrap()]
        })
    };
    for status in both(&["Range: bytes=0-9"]) {
        assert!(matches!(status, 206 | 404 | 410), "{status}");
    }
    shares(&a, &["own"]);
    has_state(&a, "own", "missing");
    for status in both(&[]) {
        assert!(matches!(status, 404 | 410), "{status}");
    }
}

/// ```text
///   A      `chmod -R` changes 1,000 files between two runs
/// ```
#[test]
fn files_with_other_permissions_are_served_before_they_are_read() {
    let world = World::new();
    let a = world.home("a");
    let (watched, by_hand) = (a.path("watched"), a.path("by hand"));
    for folder in [&watched, &by_hand] {
        fs::create_dir_all(folder).unwrap();
        for at in 0..1000_u64 {
            let path = folder.join(format!("{at:04}"));
            fs::write(&path, noise(at, 100)).unwrap();
            let file = fs::File::options().append(true).open(&path).unwrap();
            file.set_len(1 << 20).unwrap();
        }
    }
    let node = a.start(&["--dir", "watched"]);
    let hash = a.share("by hand");
    eventually("all to be shared", || {
        (a.json(&["list"]).as_array().unwrap().len() == 1001).then_some(())
    });
    node.stop();
    for folder in [&watched, &by_hand] {
        for entry in fs::read_dir(folder).unwrap() {
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(entry.unwrap().path(), mode).unwrap();
        }
    }
    let node = a.start(&["--dir", "watched"]);
    let b = world.home("b");
    let before = node.run.read_bytes().unwrap();
    let listed = b.json(&["list", "--peer", &node.address()]);
    assert_eq!(listed.as_array().unwrap().len(), 1001);
    b.run(&["open", &hash, "--peer", &node.address()])
        .done()
        .prints("all of it");
    b.run(&[
        "download",
        &hash,
        "--only",
        "0500",
        "--peer",
        &node.address(),
        "-o",
        "got",
    ])
    .done();
    let read = node.run.read_bytes().unwrap();
    eprintln!(
        "{before} bytes read until ready, {} more until one file was served",
        read - before
    );
    assert!(
        read < 400 << 20,
        "{read} of 2000 MiB were read before one was served"
    );
    assert_eq!(
        states(&a)
            .iter()
            .filter(|(_, state)| state == "available")
            .count(),
        1001
    );
}
