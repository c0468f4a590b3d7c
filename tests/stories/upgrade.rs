//! A data folder that an earlier version wrote, opened by today's build.
//!
//! `tests/fixtures/` holds the folder as an archive. Its records name absolute paths, so every story here
//! unpacks it at one fixed place and holds a lock on that place.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::{
    metrics,
    trees::{assert_same, things, write},
    world::{Home, Node, World, assert_content, eventually, noise, text},
};

/// The path at which the fixture was made and is unpacked.
const PLACE: &str = "/var/tmp/pelago-fixture-1";

/// The fixture, from the top of the repository.
const ARCHIVE: &str = "tests/fixtures/data-folder-1.tar.gz";

/// Names the earlier build that makes the fixture.
const BUILD_VARIABLE: &str = "PELAGO_FIXTURE_BUILD";

/// The lists at the time the fixture was made, beside the data folder.
const LISTED: &str = "listed.json";

/// B's download limit while the fixture was made, and after, in bytes a second.
const LIMIT: u64 = 250_000;

/// The shares of B: paths, sizes; `folder` is shared whole, `watched` is the watched folder.
const SHARED: [(&str, usize); 8] = [
    ("shared/small.txt", 5_000),
    ("shared/large.bin", 400_000),
    ("shared/unlisted.bin", 3_000),
    ("shared/folder/one", 2_000),
    ("shared/folder/sub/two", 3_000),
    ("shared/folder/sub/large", 270_000),
    ("watched/at the top", 4_000),
    ("watched/sub/below", 1_000),
];

/// The shares of A, which B downloads: one file that B pauses, one that is done, a folder that grows in
/// `album.part`, and a folder that grows among what is in `project` already.
const DOWNLOADED: [(&str, usize); 14] = [
    ("movie.bin", 900_000),
    ("song.bin", 10_000),
    ("album/cover", 20_000),
    ("album/film", 500_000),
    ("album/track 1", 30_000),
    ("album/track 2", 30_000),
    ("album/sub/track 3", 30_000),
    ("album/sub/track 4", 30_000),
    ("project/big", 500_000),
    ("project/data 1", 30_000),
    ("project/data 2", 30_000),
    ("project/sub/data 3", 30_000),
    ("project/sub/data 4", 30_000),
    HAD,
];

/// The download that B pauses, with its size.
const PAUSED: [(&str, u64); 3] = [
    ("movie.bin", 900_000),
    ("album", 640_000),
    ("project", 622_000),
];

/// A file of `project` that B has already: without one, the folder would be refused as another.
const HAD: (&str, usize) = ("project/readme", 2_000);

/// A file of B's own in the folder that is downloaded in place.
const OWN: (&str, &[u8]) = ("project/my own.txt", b"stays");

/// A small file that had arrived in part, in the folder that was there before. The earlier build left it
/// neither a mark nor a record, so nothing but its content says whose it is: it may stay.
const UNPROVEN: &str = "project/data 1.part";

/// A hash without a source.
fn nobodys() -> String {
    "ab".repeat(32)
}

/// The content of a file: the same whenever it is asked for.
fn content(path: &str, size: usize) -> Vec<u8> {
    let seed = path
        .bytes()
        .fold(1, |seed, byte| seed * 31 % 65_521 + u64::from(byte));
    noise(seed, size)
}

fn plant(folder: &Path, files: &[(&str, usize)]) {
    for (path, size) in files {
        write(folder, path, &content(path, *size));
    }
}

/// The fixed place, for one story at a time.
struct Place {
    world: World,
    _lock: File,
}

impl Place {
    /// Waits until no other test uses the folder, and clears it.
    fn new() -> Self {
        let lock = File::create(format!("{PLACE}.lock"));
        let lock = lock.unwrap_or_else(|error| panic!("{PLACE}.lock: {error}: remove it"));
        lock.lock().unwrap();
        let _ = fs::remove_dir_all(PLACE);
        fs::create_dir(PLACE).unwrap_or_else(|error| panic!("{PLACE}: {error}: remove it"));
        Self {
            world: World::at(Path::new(PLACE)),
            _lock: lock,
        }
    }

    /// The same with the fixture in it; none where that cannot be had whole, which it says.
    fn unpacked() -> Option<Self> {
        let place = Self::new();
        let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(ARCHIVE);
        assert!(archive.exists(), "{} is missing", archive.display());
        let tar = Command::new("tar")
            .args(["--xattrs", "--xattrs-include=user.*", "-xzf"])
            .arg(&archive)
            .args(["-C", PLACE])
            .output();
        let why = match tar {
            Err(error) => format!("tar: {error}"),
            Ok(output) if !output.status.success() => {
                format!("tar: {}", String::from_utf8_lossy(&output.stderr))
            }
            Ok(_) if !is_marked(&place.world.path("b/movie.bin.part")) => {
                format!("{PLACE} keeps no attributes")
            }
            Ok(_) => return Some(place),
        };
        eprintln!("skipped: {why}");
        None
    }

    /// A with all that B downloads, and the hashes of what is paused.
    fn source(&self) -> (Node, Vec<String>) {
        let a = self.world.home("a");
        plant(&a.path("from"), &DOWNLOADED);
        let node = a.start(&[]);
        let shared = |name: &str| a.share(&text(&a.path("from").join(name)));
        shared("song.bin");
        let hashes = PAUSED.iter().map(|(name, _)| shared(name)).collect();
        (node, hashes)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Another run clears it as well.
        let _ = fs::remove_dir_all(PLACE);
    }
}

fn is_marked(path: &Path) -> bool {
    rustix::fs::getxattr(path, "user.pelago.part", &mut [0_u8; 0]).is_ok()
}

fn start(b: &Home, source: &Node) -> Node {
    let (watched, address) = (text(&b.path("watched")), source.address());
    b.start(&["--dir", &watched, "-b", &address])
}

fn download(b: &Home, hash: &str) -> Option<Value> {
    let downloads = b.json(&["downloads"]);
    let mut downloads = downloads.as_array().unwrap().iter();
    downloads.find(|one| one["hash"] == hash).cloned()
}

/// The fields of a list's entries that a later version must tell in the same way, by hash.
fn told(list: &Value, fields: &[&str]) -> Vec<Value> {
    let entries = list.as_array().unwrap().iter();
    let entry = |entry: &Value| fields.iter().map(|field| entry[field].clone()).collect();
    let mut told: Vec<Value> = entries.map(entry).collect();
    told.sort_by_key(|entry| entry[0].to_string());
    told
}

fn listed(b: &Home) -> Value {
    let shares = b.json(&["list"]);
    let downloads = b.json(&["downloads"]);
    let settings = b.json(&["settings"]);
    let is_kept = |setting: &&Value| setting["origin"]["kind"] == "kept";
    let kept: Vec<_> = settings.as_array().unwrap().iter().collect();
    let kept: Vec<_> = kept.into_iter().filter(is_kept).cloned().collect();
    json!({
        "shares": told(&shares, &["hash", "name", "size", "kind"]),
        "downloads": told(
            &downloads,
            &["hash", "name", "path", "state", "size", "verified_bytes", "position"],
        ),
        "settings": told(&Value::Array(kept), &["name", "value"]),
    })
}

/// Every path below `folder` that ends as what is not whole.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let mut parts: Vec<_> = things(folder).into_keys().collect();
    parts.retain(|path| text(path).ends_with(".part"));
    parts
}

/// ```text
///   C ── B ── A      B's data folder is of an earlier version, with downloads from A that are paused
/// ```
#[test]
fn a_data_folder_of_an_earlier_version_opens_as_it_was_and_its_downloads_resume() {
    let Some(place) = Place::unpacked() else {
        return;
    };
    let (b, c) = (place.world.home("b"), place.world.home("c"));
    let (a_node, paused) = place.source();
    let was: Value = serde_json::from_slice(&fs::read(b.path(LISTED)).unwrap()).unwrap();
    let b_node = start(&b, &a_node);
    b_node.run.err.line("folder shared");

    assert_eq!(listed(&b), was);
    assert_shares_are_served(&b, &b_node, &c);
    assert_downloads_resume(&b, &paused, &was);
    b_node.stop();
    // The data folder that today's build has written opens again.
    let _b_node = start(&b, &a_node);
    for hash in &paused {
        assert_eq!(download(&b, hash).unwrap()["state"], "done");
    }
}

/// C downloads from B all that B shares, and finds the files as they were made.
#[track_caller]
fn assert_shares_are_served(b: &Home, node: &Node, c: &Home) {
    // Unpacked files have other inodes, and a folder is not looked at again by itself.
    let folder = b.share(&text(&b.path("shared/folder")));
    let address = node.address();
    let fetch = |hash: &str, name: &str| {
        let command = ["download", hash, "--peer", &address, "-o", name];
        // For the same reason B may have to hash a file before it serves it.
        eventually(&format!("{name} from B"), || {
            let ended = c.run(&[&command[..], &["--timeout", "2"]].concat());
            ended.status.success().then_some(())
        });
    };
    fetch(&folder, "folder");
    assert_same(&c.path("folder"), &b.path("shared/folder"));
    for (path, size) in SHARED {
        let made = content(path, size);
        assert_content(&b.path(path), &made);
        if !path.starts_with("shared/folder/") {
            let name = path.replace('/', " ");
            fetch(&b.hash(&text(&b.path(path))), &name);
            assert_content(&c.path(&name), &made);
        }
    }
}

/// B resumes what was paused, and fetches only what it had not verified.
#[track_caller]
fn assert_downloads_resume(b: &Home, paused: &[String], was: &Value) {
    b.run(&["limit", "--download", "off"]).done();
    let downloads = was["downloads"].as_array().unwrap();
    let verified = |hash: &String| {
        let found = downloads.iter().find(|download| download[0] == **hash);
        found.expect("it is listed")[5].as_u64().unwrap()
    };
    let missing = paused.iter().zip(PAUSED);
    let missing: u64 = missing.map(|(hash, (_, size))| size - verified(hash)).sum();
    for hash in paused {
        b.run(&["resume", hash]).done();
    }
    for hash in paused {
        eventually(&format!("{hash:.8} to be done"), || {
            let download = download(b, hash)?;
            assert_ne!(download["state"], "failed", "{download}");
            (download["state"] == "done").then_some(())
        });
    }
    let received = metrics::of(b)["pelago_content_received_bytes_total"];
    // Partly arrived small files were not verified, and manifests are fetched with them.
    assert!(
        received <= (missing + 16_384) as f64,
        "{received} bytes were fetched where {missing} were missing"
    );
    for (path, size) in DOWNLOADED {
        assert_content(&b.path(path), &content(path, size));
    }
    assert_content(&b.path(OWN.0), OWN.1);
    let mut parts = parts(&b.path("."));
    parts.retain(|part| part != Path::new(UNPROVEN));
    assert_eq!(parts, Vec::<PathBuf>::new());
    assert_eq!(fs::read_dir(b.path("data/partial")).unwrap().count(), 0);
}

/// Makes the fixture anew: `tests/fixtures/make.sh BUILD`.
///
/// ```text
///   B ── A      B is limited, and pauses what it downloads from A
/// ```
#[test]
#[ignore = "makes the fixture with an earlier build: tests/fixtures/make.sh"]
fn make_the_fixture() {
    let build = std::env::var(BUILD_VARIABLE);
    let build = build.unwrap_or_else(|_| panic!("{BUILD_VARIABLE} names no build"));
    let place = Place::new();
    let b = place.world.home("b").of_build(build);
    let (a_node, paused) = place.source();
    plant(&b.path("."), &SHARED);
    plant(&b.path("."), &[HAD]);
    write(&b.path("."), OWN.0, OWN.1);
    let b_node = start(&b, &a_node);
    b_node.run.err.line("folder shared");
    for path in ["shared/small.txt", "shared/large.bin", "shared/folder"] {
        b.share(&text(&b.path(path)));
    }
    let unlisted = text(&b.path("shared/unlisted.bin"));
    b.run(&["share", "--unlisted", &unlisted]).done();
    let song = b.hash(&text(&place.world.path("a/from/song.bin")));
    b.run(&["download", &song]).done();
    b.run(&["download", &nobodys(), "--timeout", "1"]).failed();

    b.run(&["limit", "--download", &LIMIT.to_string()]).done();
    b.run(&["settings", "transfer.max_downloads", "4"]).done();
    for (hash, (name, size)) in paused.iter().zip(PAUSED) {
        b.run(&["download", hash, "--detach"]).done();
        // More than all small files of a folder together, so that a part of the large one is there.
        eventually("half of it", || {
            let verified = download(&b, hash)?["verified_bytes"].as_u64()?;
            (verified > size * 2 / 5).then_some(())
        });
        let paused = b.json(&["pause", hash]);
        assert_eq!(
            paused[0]["state"], "paused",
            "{name} was too fast: {paused}"
        );
    }
    for part in ["movie.bin.part", "album.part/film.part", "project/big.part"] {
        assert!(is_marked(&b.path(part)), "{part} has no mark");
    }
    for folder in ["album.part", "project"] {
        let small = |path: &PathBuf| {
            text(path).contains(if folder == "project" { "data" } else { "track" })
        };
        assert!(
            things(&b.path(folder)).keys().any(small),
            "{folder}: no small file is done: again"
        );
    }
    let listed = serde_json::to_vec_pretty(&listed(&b)).unwrap();
    fs::write(b.path(LISTED), listed).unwrap();
    b_node.stop();
    pack();
}

fn pack() {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(ARCHIVE);
    let packed = Command::new("tar")
        .args(["--xattrs", "--xattrs-include=user.*", "--sparse"])
        .args(["--owner=0", "--group=0", "--numeric-owner", "--sort=name"])
        .args(["-I", "gzip -9n", "-cf"])
        .arg(&archive)
        .args(["-C", PLACE, "b"])
        .status();
    assert!(packed.unwrap().success(), "tar cannot write {ARCHIVE}");
}
