//! Files to which a program writes through a memory mapping. On tmpfs, such a write changes neither
//! size nor times, so that only the content shows it.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::world::{Home, PATIENCE, World, assert_content, eventually, noise, text};

/// Writes one byte to a file through a mapping; the arguments are path, position and byte.
const WRITER: &str = r#"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
int main(int count, char **words) {
    int file = open(words[1], O_RDWR);
    struct stat found;
    if (count != 4 || file < 0 || fstat(file, &found) != 0) return 1;
    char *bytes = mmap(NULL, found.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED) return 1;
    bytes[atol(words[2])] = atoi(words[3]);
    return 0;
}
"#;

/// Bytes of a file: more than one run of blocks, which are proven together.
const SIZE: usize = 1_000_000;

/// A folder on tmpfs, and a program that writes through mappings.
struct Memory {
    folder: TempDir,
    writer: PathBuf,
}

impl Memory {
    /// Prints why and returns `None` without tmpfs, or if writes through mappings show there.
    fn new(world: &World) -> Option<Self> {
        let source = world.file("writer.c", WRITER.as_bytes());
        let writer = world.path("writer");
        let built = Command::new("cc")
            .args(["-o", &text(&writer), &source])
            .status();
        if !built.is_ok_and(|status| status.success()) {
            eprintln!("skipped: there is no C compiler");
            return None;
        }
        let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
            eprintln!("skipped: there is no /dev/shm");
            return None;
        };
        let memory = Self { folder, writer };
        let probe = memory.file("probe", b"probe");
        let is_silent = memory.write(&probe, 0, b'P');
        if !is_silent {
            eprintln!("skipped: a write through a mapping leaves a mark in /dev/shm");
        }
        is_silent.then_some(memory)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes one byte through a mapping. Returns whether the metadata stayed the same.
    fn write(&self, path: &Path, at: usize, byte: u8) -> bool {
        let metadata = || {
            let found = fs::metadata(path).unwrap();
            (
                found.size(),
                found.mtime_nsec(),
                found.ctime_nsec(),
                found.ino(),
            )
        };
        let before = metadata();
        let mut writer = Command::new(&self.writer);
        let status = writer
            .arg(path)
            .args([at.to_string(), byte.to_string()])
            .status();
        assert!(
            status.unwrap().success(),
            "{} cannot be mapped",
            path.display()
        );
        before == metadata()
    }
}

/// The hash of the share with this name.
fn listed(home: &Home, name: &str) -> Option<String> {
    let listed = home.json(&["list"]);
    let mut listed = listed.as_array().unwrap().iter();
    let share = listed.find(|share| share["name"] == name)?;
    Some(share["hash"].as_str().unwrap().to_owned())
}

/// ```text
///   A (its file was changed) ◀── B ──▶ C (its file is unchanged), which B names later
/// ```
#[test]
fn a_download_says_why_a_source_lost_the_file_and_the_source_finds_out() {
    let world = World::new();
    let Some(memory) = Memory::new(&world) else {
        return;
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| world.home(name));
    let original = noise(1, SIZE);
    let (path, copy) = (memory.file("data", &original), world.path("copy"));
    let (first, second) = (a.start(&[]), c.start(&[]));
    let hash = a.share(&text(&path));
    assert_eq!(c.share(&world.file("data", &original)), hash);

    // The last run changes, so that the first one can be proven.
    let at = SIZE - 1;
    assert!(memory.write(&path, at, !original[at]));
    let now = b.hash(&text(&path));
    assert_ne!(now, hash);
    assert_eq!(a.share(&text(&path)), hash, "nothing but the content tells");

    let (target, address) = (text(&copy), first.address());
    let get = [
        "download",
        &hash,
        "-o",
        &target,
        "--peer",
        &address,
        "--timeout",
        "3",
    ];
    b.run(&get)
        .failed()
        .says("may have changed since it was shared");
    assert!(!copy.exists());
    first
        .run
        .err
        .line("the changed file is shared under its new hash");
    eventually("A to list what it has", || {
        (listed(&a, "data").as_ref() == Some(&now)).then_some(())
    });

    let other = second.address();
    b.run(&[&get[..], &["--peer", &other]].concat()).done();
    assert_content(&copy, &original);
    let changed = text(&world.path("changed"));
    b.run(&["download", &now, "-o", &changed, "--peer", &address])
        .done();
    assert_content(&world.path("changed"), &fs::read(&path).unwrap());
    for node in [first, second] {
        node.stop();
    }
}

/// ```text
///   A (one of its two files was changed) ◀── B ──▶ C (its folder is unchanged)
/// ```
#[test]
fn a_folder_with_such_a_file_comes_from_that_source_and_another() {
    let world = World::new();
    let Some(memory) = Memory::new(&world) else {
        return;
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| world.home(name));
    let files = [("box/x", noise(1, SIZE)), ("box/y", noise(2, SIZE))];
    for (name, content) in &files {
        memory.file(name, content);
        world.file(name, content);
    }
    let (first, second) = (a.start(&[]), c.start(&[]));
    let hash = a.share(&text(&memory.folder.path().join("box")));
    assert_eq!(c.share(&text(&world.path("box"))), hash);
    let harmed = memory.folder.path().join("box/y");
    assert!(memory.write(&harmed, 0, !files[1].1[0]));

    let (copy, address) = (text(&world.path("copy")), first.address());
    let get = [
        "download",
        &hash,
        "-o",
        &copy,
        "--peer",
        &address,
        "--timeout",
        "3",
    ];
    let refused = b
        .run(&get)
        .failed()
        .says("is not asked for 1 file any more");
    assert!(!refused.stderr.contains("wrong data"), "{refused:?}");
    first.run.err.line("share the folder again");

    let other = second.address();
    let done = b.json(&[&get[..], &["--peer", &other]].concat());
    assert!(
        done["fetched_bytes"].as_u64() <= Some(SIZE as u64),
        "{done}"
    );
    for (name, content) in &files {
        let name = name.strip_prefix("box/").unwrap();
        assert_content(&world.path("copy").join(name), content);
    }
    for node in [first, second] {
        node.stop();
    }
}

#[test]
fn what_changed_without_a_mark_is_found_by_the_doctor_and_put_right_by_a_share() {
    let world = World::new();
    let Some(memory) = Memory::new(&world) else {
        return;
    };
    let a = world.home("a");
    let original = noise(1, SIZE);
    let single = memory.file("data", &original);
    memory.file("box/file", &original);
    let tree = memory.folder.path().join("box");
    for is_running in [false, true] {
        let node = is_running.then(|| a.start(&[]));
        let no_serve: &[&str] = if is_running { &[] } else { &["--no-serve"] };
        let share = |path: &Path, more: &[&str]| {
            let path = text(path);
            a.json(&[&["share", &path], more, no_serve].concat())[0].clone()
        };
        for path in [&single, &tree] {
            share(path, &["--rehash"]);
        }
        a.run(&["doctor", "--check-shares"])
            .prints("ok       shares      2 shares read (2.0 MB): all hold the listed content")
            .says("reading 2 shares, 2.0 MB");
        for (path, file) in [(&single, single.clone()), (&tree, tree.join("file"))] {
            let before = share(path, &[])["hash"].clone();
            let byte = fs::read(&file).unwrap()[7];
            assert!(memory.write(&file, 7, !byte));
            assert_eq!(share(path, &[])["hash"], before);

            let checked = a.run(&["doctor", "--check-shares"]).failed();
            let checked =
                checked.prints("2 shares read (2.0 MB): 1 with other content than listed");
            let hint = format!("pelago share --rehash {}", path.display());
            checked.prints(&hint);

            let after = share(path, &["--rehash"]);
            assert_eq!(after["replaced"], before);
            let now = a.hash(&text(path));
            assert_eq!(after["hash"], now.as_str());
            a.run(&["doctor", "--check-shares"])
                .prints("all hold the listed content");
        }
        node.map(super::world::Node::stop);
    }
    // `share --rehash` reports the difference.
    assert!(memory.write(&single, 9, !fs::read(&single).unwrap()[9]));
    a.run(&["share", &text(&single), "--rehash", "--no-serve"])
        .done()
        .prints("the content differs from what was listed");
}

/// ```text
///   A (its stored trees are damaged) ◀── B
/// ```
#[test]
fn damaged_and_lost_trees_are_rebuilt_on_a_request() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let file = world.file("file", &noise(1, SIZE));
    let member = noise(2, SIZE);
    world.file("box/member", &member);
    let hashes = [file, text(&world.path("box"))].map(|path| {
        let shared = a.json(&["share", &path, "--no-serve"]);
        shared[0]["hash"].as_str().unwrap().to_owned()
    });
    let trees = a.data().join("trees");
    type Harm = fn(&Path);
    let harms: [Harm; 3] = [
        |tree| fs::remove_file(tree).unwrap(),
        |tree| fs::write(tree, b"").unwrap(),
        |tree| fs::write(tree, vec![0; fs::metadata(tree).unwrap().len() as usize]).unwrap(),
    ];
    for (number, harm) in harms.into_iter().enumerate() {
        let stored = fs::read_dir(&trees)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let stored: Vec<_> = stored.filter(|path| path.is_file()).collect();
        assert_eq!(stored.len(), 2);
        stored.iter().for_each(|tree| harm(tree));
        let node = a.start(&[]);
        for hash in &hashes {
            let target = text(&world.path(&format!("copy {number} {hash}")));
            let seconds = PATIENCE.as_secs().to_string();
            b.run(&[
                "download",
                hash,
                "-o",
                &target,
                "--peer",
                &node.address(),
                "--timeout",
                &seconds,
            ])
            .done();
        }
        node.run
            .err
            .line("served again: its stored tree was rebuilt");
        node.stop();
    }
}
