//! Folders to share in stories, and their comparison.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::world::{Home, Node, World, noise, text};

/// Files with their sizes. Files of the same size have the same content. Up to 256 KiB are small.
pub(crate) const FILES: [(&str, usize); 9] = [
    ("empty", 0),
    ("large", 3_000_000),
    ("run", 20_000),
    ("small", 5),
    ("sub/deeper/medium", 100_000),
    ("sub/deeper/small again", 5),
    ("sub/just large", 262_145),
    ("sub/just small", 262_144),
    ("sub/ünïcödé ☃ 文", 17_000),
];

/// Bytes of all files.
pub(crate) const SIZE: usize = 3_661_299;

/// Bytes of all files, with each content counted once.
pub(crate) const TO_FETCH: usize = SIZE - 5;

/// Writes a folder with all kinds of entries.
pub(crate) fn plant(folder: &Path) {
    for (path, size) in FILES {
        write(folder, path, &noise(size as u64, size));
    }
    fs::create_dir_all(folder.join("no files/at all")).unwrap();
    fs::set_permissions(folder.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../small", folder.join("sub/link")).unwrap();
    symlink("leads/nowhere", folder.join("dangling")).unwrap();
}

pub(crate) fn write(folder: &Path, path: &str, content: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[derive(PartialEq)]
pub(crate) enum TreeEntry {
    Folder,
    Link(PathBuf),
    File {
        content: Vec<u8>,
        is_executable: bool,
    },
}

/// All entries below a folder, by path.
pub(crate) fn tree_entries(folder: &Path) -> BTreeMap<PathBuf, TreeEntry> {
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let name = PathBuf::from(path.file_name().unwrap());
        let entry = if metadata.is_symlink() {
            TreeEntry::Link(fs::read_link(&path).unwrap())
        } else if metadata.is_dir() {
            let below = tree_entries(&path).into_iter();
            entries.extend(below.map(|(inner, entry)| (name.join(inner), entry)));
            TreeEntry::Folder
        } else {
            let content = fs::read(&path).unwrap();
            let is_executable = metadata.permissions().mode() & 0o100 != 0;
            TreeEntry::File {
                content,
                is_executable,
            }
        };
        entries.insert(name, entry);
    }
    entries
}

/// Compares names, contents, links, and which files are executable.
#[track_caller]
pub(crate) fn assert_same(folder: &Path, original: &Path) {
    let (found, expected) = (tree_entries(folder), tree_entries(original));
    let all = found.keys().chain(expected.keys());
    let differ: Vec<_> = all
        .filter(|path| found.get(*path) != expected.get(*path))
        .collect();
    assert!(differ.is_empty(), "these differ: {differ:?}");
}

pub(crate) fn number(finished: &Value, field: &str) -> usize {
    finished[field].as_u64().unwrap() as usize
}

/// A shares the folder `box`, and B is to download it.
pub(crate) struct Pair {
    pub(crate) world: World,
    pub(crate) a: Home,
    pub(crate) b: Home,
    pub(crate) node: Node,
    pub(crate) hash: String,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::sharing(plant)
    }

    pub(crate) fn sharing(plant: impl Fn(&Path)) -> Self {
        let world = World::new();
        let (a, b) = (world.home("a"), world.home("b"));
        plant(&world.path("box"));
        let node = a.start(&[]);
        let hash = a.share(&text(&world.path("box")));
        Self {
            world,
            a,
            b,
            node,
            hash,
        }
    }

    pub(crate) fn original(&self) -> PathBuf {
        self.world.path("box")
    }

    /// The command that downloads the folder from A.
    pub(crate) fn download<'s>(&'s self, more: &[&'s str]) -> Vec<String> {
        self.download_by(&self.node.address(), more)
    }

    /// The command that downloads the folder from `address`.
    pub(crate) fn download_by(&self, address: &str, more: &[&str]) -> Vec<String> {
        let command = ["download", &self.hash, "--peer", address];
        let all = [&command, more].concat();
        all.into_iter().map(str::to_owned).collect()
    }
}

/// Writes many small files and a few large ones.
pub(crate) fn plant_many(folder: &Path) {
    for number in 0..MANY {
        let size = 1000 + 4001 * number;
        write(
            folder,
            &format!("{}/{number}", number % 7),
            &noise(number as u64, size),
        );
    }
    for number in 0..3 {
        write(
            folder,
            &format!("large/{number}"),
            &noise(1000 + number, LARGE),
        );
    }
}

/// How many small files there are, of up to 240 KB.
pub(crate) const MANY: usize = 60;

/// Bytes of a large file.
pub(crate) const LARGE: usize = 6 << 20;

/// Bytes of all files.
pub(crate) const MANY_SIZE: usize = MANY * 1000 + 4001 * MANY * (MANY - 1) / 2 + 3 * LARGE;
