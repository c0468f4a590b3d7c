//! Watched folders: changes in them change the shares.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
};

use serde_json::Value;

use super::world::{Home, World, assert_content, eventually, noise};

/// The names and hashes of the shares.
pub(crate) fn listed(home: &Home) -> Vec<(String, String)> {
    let list = home.json(&["list"]);
    let entry = |entry: &Value| {
        let text = |field: &str| entry[field].as_str().unwrap().to_owned();
        (text("name"), text("hash"))
    };
    list.as_array().unwrap().iter().map(entry).collect()
}

fn names(home: &Home) -> Vec<String> {
    listed(home).into_iter().map(|(name, _)| name).collect()
}

/// Waits until the names of the shares are exactly `expected`.
pub(crate) fn shares(home: &Home, expected: &[&str]) {
    let mut last = Vec::new();
    let what = format!("{expected:?} to be shared");
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(&what, || {
            last = names(home);
            (last == expected).then_some(())
        });
    }));
    assert!(waited.is_ok(), "shared is {last:?}");
}

pub(crate) fn put(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// ```text
///   B ── A      A's folder changes in every way while A runs
/// ```
#[test]
fn what_changes_in_a_folder_changes_what_is_shared() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let folder = a.path("shared");
    put(&folder, "first", b"1");
    let node = a.start(&["--dir", "shared"]);
    shares(&a, &["first"]);

    put(&folder, "new", &noise(1, 300_000));
    put(&folder, "deep/down/here", b"2");
    shares(&a, &["deep/down/here", "first", "new"]);
    let hash = listed(&a)[2].1.clone();
    b.run(&["download", &hash, "--peer", &node.address(), "-o", "got"])
        .done();
    assert_content(&b.path("got"), &noise(1, 300_000));
    let seen = b.run(&["list", "--peer", &node.address()]).done();
    seen.prints("deep/down/here");

    put(&folder, "new", &noise(2, 300_000));
    eventually("the changed file to be hashed again", || {
        (listed(&a)[2].1 != hash).then_some(())
    });
    b.run(&["download", "new", "--peer", &node.address(), "-o", "again"])
        .done();
    assert_content(&b.path("again"), &noise(2, 300_000));

    fs::remove_file(folder.join("first")).unwrap();
    shares(&a, &["deep/down/here", "new"]);
    fs::rename(folder.join("deep"), folder.join("moved")).unwrap();
    shares(&a, &["moved/down/here", "new"]);
    fs::rename(folder.join("moved"), a.path("outside")).unwrap();
    shares(&a, &["new"]);
    fs::rename(a.path("outside"), folder.join("inside")).unwrap();
    shares(&a, &["inside/down/here", "new"]);
    // Files behind a link are not shared.
    symlink(a.path("data"), folder.join("link")).unwrap();
    put(&folder, "last", b"4");
    shares(&a, &["inside/down/here", "last", "new"]);
    // A name that is not valid UTF-8 is counted until it is another.
    let unread = |count: u64| {
        eventually(&format!("{count} files that cannot be shared"), || {
            let watched = a.json(&["status"])["health"]["watches"][0].clone();
            (watched["unread_count"] == count).then_some(())
        });
    };
    let odd = folder.join(OsStr::from_bytes(b"odd\xff"));
    put(&odd, "file", b"5");
    node.run.err.line("not valid UTF-8");
    unread(1);
    a.run(&["status"]).prints("its name is not valid UTF-8");
    fs::rename(odd, folder.join("even")).unwrap();
    shares(&a, &["even/file", "inside/down/here", "last", "new"]);
    unread(0);
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    fs::create_dir(&folder).unwrap();
    let _node = a.start(&["--dir", "shared"]);
    let mut file = fs::File::create(folder.join("growing")).unwrap();
    let content = noise(3, 1_000_000);
    let whole = a.hash(&world.file("whole", &content));
    let (writes, mut at) = (content.chunks(50_000), 0);
    for write in writes {
        file.write_all(write).unwrap();
        at += write.len();
        // Meanwhile another file changes.
        put(&folder, "other", &at.to_le_bytes());
        for (name, hash) in listed(&a) {
            assert!(name != "growing" || hash == whole, "half of it is shared");
        }
    }
    drop(file);
    eventually("the whole file to be shared", || {
        let is_it = |(name, hash): &(String, String)| name == "growing" && *hash == whole;
        listed(&a).iter().any(is_it).then_some(())
    });
}

#[test]
fn what_the_rules_exclude_is_not_shared() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    put(&folder, ".pelagoignore", b"*.tmp\nbuild/\n");
    put(&folder, "a.tmp", b"1");
    put(&folder, "b.txt", b"2");
    put(&folder, "build/c.txt", b"3");
    let _node = a.start(&["--dir", "shared"]);
    shares(&a, &["b.txt"]);
    put(&folder, "d.tmp", b"4");
    put(&folder, "build/e.txt", b"5");
    put(&folder, "f.txt", b"6");
    shares(&a, &["b.txt", "f.txt"]);
    // The rules change.
    put(&folder, ".pelagoignore", b"*.txt\n");
    shares(&a, &["a.tmp", "d.tmp"]);
    fs::remove_file(folder.join(".pelagoignore")).unwrap();
    shares(
        &a,
        &[
            "a.tmp",
            "b.txt",
            "build/c.txt",
            "build/e.txt",
            "d.tmp",
            "f.txt",
        ],
    );
}

#[test]
fn a_folder_that_is_removed_and_created_again_is_still_watched() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    put(&folder, "a", b"1");
    let node = a.start(&["--dir", "shared"]);
    shares(&a, &["a"]);
    fs::remove_dir_all(&folder).unwrap();
    node.run.err.line("missing: its shares are offered again");
    assert_eq!(a.json(&["list"])[0]["state"], "missing");
    put(&folder, "b", b"2");
    shares(&a, &["b"]);
    put(&folder, "sub/deep/c", b"3");
    shares(&a, &["b", "sub/deep/c"]);
    fs::remove_dir_all(folder.join("sub")).unwrap();
    shares(&a, &["b"]);
    // Only the missing folder is worth a warning.
    let mut warnings = node.run.err.lines();
    warnings.retain(|line| line.contains("WARN") && !line.contains("the folder is missing"));
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn what_a_person_shared_is_not_withdrawn_by_the_folder() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    put(&folder, "mine.tmp", b"1");
    let _node = a.start(&["--dir", "shared"]);
    shares(&a, &["mine.tmp"]);
    a.share("shared/mine.tmp");
    put(&folder, ".pelagoignore", b"*.tmp\n");
    put(&folder, "b", b"2");
    shares(&a, &["b", "mine.tmp"]);
}

/// The files of the data folder are neither shared with a watched folder nor by a command.
#[test]
fn the_data_folder_is_never_shared() {
    let world = World::new();
    let a = world.home("a");
    put(&a.path("."), "x", b"1");
    let _node = a.start(&["--dir", "."]);
    shares(&a, &["x"]);
    // This writes to the data folder, so that the node sees events there.
    a.share("x");
    put(&a.path("."), "y", b"2");
    shares(&a, &["x", "y"]);
    for private in ["data/identity.key", "data/state.redb", "data/trees"] {
        a.run(&["share", private]).failed().says("data folder");
    }
}
