//! Other programs change the files of a download. Pelago uses, replaces and removes only its own
//! files, and the result has the right content.

use std::{
    fs::{self, OpenOptions},
    os::unix::{
        fs::{FileExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{
    downloads::{listed, until},
    valve::Valve,
    world::{Home, Node, World, assert_content, eventually, noise, text},
};

/// Bytes of the shared file.
const SIZE: usize = 8 << 20;

/// Bytes of the large file in the folder, and of its small ones.
const LARGE: usize = 3 << 20;
const SMALL: usize = 200_000;

/// The content of files of the user, which have to stay.
const OWN: &[u8] = b"a file of the user";

/// ```text
///   B ──valve── A      B runs a node, which downloads what A shares
/// ```
struct Scene {
    world: World,
    b: Home,
    valve: Valve,
    hash: String,
    content: Vec<u8>,
    _nodes: (Node, Node),
}

impl Scene {
    /// A shares one file.
    fn with_file() -> Self {
        let content = noise(1, SIZE);
        Self::new(content, |world| world.file("x.bin", &noise(1, SIZE)))
    }

    /// A shares a folder with a large file in `s`, and small ones. Some of them, in any order,
    /// arrive before the valve is shut.
    fn with_folder() -> Self {
        Self::new(noise(1, LARGE), |world| {
            world.file("album/s/large", &noise(1, LARGE));
            for n in 0..20 {
                world.file(&format!("album/s/{n}"), &noise(100 + n, 3000));
                world.file(&format!("album/{n}.jpg"), &noise(200 + n, SMALL));
            }
            text(&world.path("album"))
        })
    }

    fn new(content: Vec<u8>, make: impl FnOnce(&World) -> String) -> Self {
        let world = World::new();
        let (a, b) = (world.home("a"), world.home("b"));
        let path = make(&world);
        let a_node = a.start(&[]);
        let hash = a.share(&path);
        let valve = Valve::new(&a_node.address(), 5 << 20);
        let b_node = b.start(&[]);
        Self {
            world,
            b,
            valve,
            hash,
            content,
            _nodes: (a_node, b_node),
        }
    }

    fn begin(&self, more: &[&str]) {
        let through_valve = self.valve.address();
        let begin = ["download", &self.hash, "--peer", &through_valve, "--detach"];
        self.b.run(&[&begin, more].concat()).done();
        eventually("some of it", || {
            let download = listed(&self.b, &self.hash)?;
            (download["verified_bytes"].as_u64()? > 0).then_some(())
        });
    }

    fn end(&self) -> Value {
        self.valve.open();
        until(&self.b, &self.hash, "done")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.b.path(name)
    }
}

/// What another program does to a file.
type Change = fn(&Path);

fn write_in_place(path: &Path) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(OWN, 12_345).unwrap();
}

fn cut(path: &Path) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(1000).unwrap();
}

fn replace(path: &Path) {
    let other = path.with_extension("other");
    fs::write(&other, OWN).unwrap();
    fs::rename(other, path).unwrap();
}

/// Another program empties the file.
fn empty(path: &Path) {
    let done = Command::new("truncate").arg("-s0").arg(path).status();
    assert!(done.unwrap().success());
}

/// Another program opens the file, writes in the middle of it, and closes it.
fn dd(path: &Path) {
    let of = format!("of={}", path.display());
    let done = Command::new("dd")
        .args([
            "if=/dev/zero",
            "bs=1000",
            "count=1",
            "seek=3",
            "conv=notrunc,fsync",
        ])
        .arg(of)
        .stderr(std::process::Stdio::null())
        .status();
    assert!(done.unwrap().success());
}

#[test]
fn what_another_program_does_to_a_part_file_is_never_in_the_result() {
    let changes: [(&str, Change); 6] = [
        ("written in place", write_in_place),
        ("cut short", cut),
        ("replaced", replace),
        ("emptied", empty),
        ("written by dd", dd),
        ("removed", |path| fs::remove_file(path).unwrap()),
    ];
    for (what, change) in changes {
        let scene = Scene::with_file();
        scene.begin(&["-o", "got"]);
        change(&scene.path("got.part"));
        scene.end();
        assert_content(&scene.path("got"), &scene.content);
        // The replacement belongs to another program, and stays.
        if what == "replaced" {
            assert_content(&scene.path("got.part"), OWN);
        } else {
            assert!(!scene.path("got.part").exists(), "{what}");
        }
        let shared = scene.b.json(&["list"]);
        assert_eq!(shared[0]["hash"], scene.hash.as_str(), "{what}: {shared}");
    }
}

#[test]
fn what_another_program_does_to_an_unfinished_folder_is_never_in_the_result() {
    let changes: [(&str, Change); 4] = [
        ("written in place", write_in_place),
        ("emptied", empty),
        ("replaced", replace),
        ("removed", |path| fs::remove_file(path).unwrap()),
    ];
    for in_place in [false, true] {
        for (what, change) in changes {
            let scene = Scene::with_folder();
            let album = scene.path("got/album");
            fs::create_dir(scene.path("got")).unwrap();
            if in_place {
                // The target already has a file of the folder, and a file of another program.
                fs::create_dir(&album).unwrap();
                fs::write(album.join("0.jpg"), noise(200, SMALL)).unwrap();
                fs::write(album.join("1.jpg.part"), OWN).unwrap();
            }
            scene.begin(&["-o", "got"]);
            let part = scene.path("got/album.part");
            change(&some_small(&part, &[]));
            let large = part.join("s/large");
            eventually("the large file", || large.exists().then_some(()));
            change(&large);
            scene.end();
            if in_place {
                assert_content(&album.join("1.jpg.part"), OWN);
                fs::remove_file(album.join("1.jpg.part")).unwrap();
            }
            assert_same(&scene.world.path("album"), &album, what);
        }
    }
}

/// A small file that is complete, other than these.
fn some_small(part: &Path, others: &[&PathBuf]) -> PathBuf {
    eventually("a small file", || {
        let names = fs::read_dir(part).ok()?.map(|entry| entry.unwrap().path());
        let mut small = names.filter(|path| path.extension().is_some_and(|end| end == "jpg"));
        small.find(|path| !others.contains(&path) && path.metadata().unwrap().len() == SMALL as u64)
    })
}

/// Compares the shared folder with the download, without the kept files of other programs.
#[track_caller]
fn assert_same(shared: &Path, got: &Path, what: &str) {
    let done = Command::new("diff")
        .args([
            "-r",
            "--no-dereference",
            "--exclude=*.kept-*",
            "--exclude=*.other",
        ])
        .args([shared, got])
        .output()
        .unwrap();
    let differences = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{what}: {differences}");
}

#[test]
fn a_persons_part_file_stays_after_every_command() {
    let scene = Scene::with_file();
    fs::write(scene.path("movie.mkv.part"), OWN).unwrap();
    fs::create_dir(scene.path("movie.mkv.2.part")).unwrap();
    fs::write(scene.path("movie.mkv.2.part/in it"), OWN).unwrap();
    fs::write(scene.path("movie.mkv"), "replace this").unwrap();
    scene.begin(&["-o", "movie.mkv", "--overwrite"]);
    assert!(scene.path("movie.mkv.3.part").exists());
    scene.b.run(&["pause", &scene.hash]).done();
    scene.b.run(&["resume", &scene.hash]).done();
    scene.end();
    assert_content(&scene.path("movie.mkv"), &scene.content);
    assert_content(&scene.path("movie.mkv.part"), OWN);
    assert_content(&scene.path("movie.mkv.2.part/in it"), OWN);
    assert!(!scene.path("movie.mkv.3.part").exists());
}

#[test]
fn cancel_removes_what_the_download_made_and_nothing_else() {
    let scene = Scene::with_file();
    scene.begin(&["-o", "got"]);
    replace(&scene.path("got.part"));
    scene.b.run(&["cancel", &scene.hash]).done();
    assert_content(&scene.path("got.part"), OWN);

    let scene = Scene::with_folder();
    scene.begin(&["-o", "got"]);
    let part = scene.path("got.part");
    let replaced = some_small(&part, &[]);
    let edited = some_small(&part, &[&replaced]);
    scene.b.run(&["pause", &scene.hash]).done();
    fs::write(part.join("notes.txt"), OWN).unwrap();
    fs::create_dir_all(part.join("mine/deep")).unwrap();
    fs::write(part.join("mine/deep/er"), OWN).unwrap();
    replace(&replaced);
    scene.b.run(&["cancel", &scene.hash]).done();
    let replaced_name = replaced.file_name().unwrap().to_str().unwrap();
    let mut expected = vec![replaced_name, "mine", "notes.txt"];
    expected.sort_unstable();
    assert_eq!(names(&part), expected);
    assert!(!edited.exists());
    assert_content(&replaced, OWN);
    assert_content(&part.join("mine/deep/er"), OWN);
    assert_eq!(scene.b.json(&["downloads"]), serde_json::json!([]));
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn nothing_is_removed_through_a_link() {
    let scene = Scene::with_folder();
    scene.begin(&["-o", "album"]);
    scene.end();
    let (album, keep) = (scene.path("album"), scene.path("keep"));
    fs::create_dir(&keep).unwrap();
    fs::rename(album.join("s"), keep.join("s")).unwrap();
    symlink(keep.join("s"), album.join("s")).unwrap();
    scene.b.run(&["remove", &scene.hash, "--with-data"]);
    assert_eq!(names(&keep.join("s")).len(), 21);
    assert_content(&keep.join("s/large"), &scene.content);

    // The folder itself, then the folder that contains it, is replaced by a link.
    for above in [false, true] {
        let scene = Scene::with_folder();
        fs::create_dir(scene.path("in")).unwrap();
        scene.begin(&["-o", "in/album"]);
        scene.end();
        let moved = if above { "in" } else { "in/album" };
        fs::rename(scene.path(moved), scene.path("keep")).unwrap();
        symlink(scene.path("keep"), scene.path(moved)).unwrap();
        scene
            .b
            .run(&["remove", &scene.hash, "--with-data"])
            .failed();
        let kept = scene.path(if above { "keep/album" } else { "keep" });
        assert_same(&scene.world.path("album"), &kept, moved);
    }
}

#[test]
fn what_was_edited_or_replaced_after_the_download_is_not_removed() {
    let changes: [(&str, Change); 3] = [
        ("edited", write_in_place),
        ("replaced", replace),
        ("replaced by the same content", |path| {
            let copy = path.with_extension("copy");
            fs::copy(path, &copy).unwrap();
            fs::rename(copy, path).unwrap();
        }),
    ];
    for (what, change) in changes {
        let scene = Scene::with_file();
        scene.begin(&["-o", "got"]);
        scene.end();
        change(&scene.path("got"));
        let ended = scene.b.run(&["remove", &scene.hash, "--with-data"]);
        assert!(scene.path("got").exists(), "{what}");
        ended.failed().says(&text(&scene.path("got")));
    }
}

/// During the download, another program swaps a directory of the folder for a link.
#[test]
fn a_directory_that_is_swapped_for_a_link_leads_nowhere() {
    let scene = Scene::with_folder();
    scene.begin(&["-o", "got"]);
    let (keep, part) = (scene.path("keep"), scene.path("got.part"));
    fs::create_dir(&keep).unwrap();
    eventually("the folder", || part.join("s").exists().then_some(()));
    fs::rename(part.join("s"), scene.path("moved")).unwrap();
    symlink(&keep, part.join("s")).unwrap();
    scene.valve.open();
    eventually("the end", || {
        let state = listed(&scene.b, &scene.hash)?["state"].clone();
        (state == "failed" || state == "done").then_some(())
    });
    let ended = listed(&scene.b, &scene.hash).unwrap();
    if ended["state"] == "failed" {
        let why = ended["error"]["message"].as_str().unwrap();
        // Which of them, depends on the step that meets the link first.
        let met = [
            "a symbolic link or a file is where a folder should be",
            "something other than a folder is there",
        ];
        assert!(met.iter().any(|met| why.contains(met)), "{why}");
    }
    assert_eq!(names(&keep), [] as [String; 0]);
}

/// A program that keeps the file open for writing has written to it during the download.
#[test]
fn a_file_that_a_program_has_open_is_proven_again() {
    let scene = Scene::with_file();
    scene.begin(&["-o", "got"]);
    let mut writer = Command::new("sh");
    writer
        .arg("-c")
        .arg("exec 3<>got.part; printf X | dd bs=1 seek=70000 conv=notrunc of=/proc/self/fd/3 2>/dev/null; read _")
        .current_dir(scene.path("."))
        .stdin(std::process::Stdio::piped())
        .process_group(0);
    let mut writer = writer.spawn().unwrap();
    scene.end();
    assert_content(&scene.path("got"), &scene.content);
    drop(writer.stdin.take());
    writer.wait().unwrap();
    assert_content(&scene.path("got"), &scene.content);
}
