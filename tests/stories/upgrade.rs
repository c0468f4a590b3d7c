//! A data folder that an earlier version wrote, opened by today's build.
//!
//! `tests/fixtures/` has the folder as an archive. Its records name absolute paths, so every story
//! here unpacks it at one fixed path, and locks that path.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::{
    metrics,
    trees::{assert_same, tree_entries, write},
    world::{Home, Node, World, assert_content, eventually, noise, text},
};

/// The path at which the fixture was made, and at which stories unpack it.
const FIXTURE_PATH: &str = "/var/tmp/pelago-fixture-1";

/// The fixture, as a path in the repository.
const ARCHIVE: &str = "tests/fixtures/data-folder-1.tar.gz";

/// The variable that names the earlier build with which the fixture is made.
const BUILD_VARIABLE: &str = "PELAGO_FIXTURE_BUILD";

/// The file beside the data folder with the lists as the earlier build printed them.
const LISTED: &str = "listed.json";

/// B's download limit, which is a setting in the fixture, in bytes a second.
const LIMIT: u64 = 250_000;

/// The shares of B: paths and sizes. `folder` is shared as a folder, `watched` is a watched folder.
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

/// The shares of A, which B downloads: a file that B pauses, a file that is done, a folder that is
/// assembled in `album.part`, and a folder whose files are added to the existing `project`.
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

/// The downloads that B pauses, and their sizes.
const PAUSED: [(&str, u64); 3] = [
    ("movie.bin", 900_000),
    ("album", 640_000),
    ("project", 622_000),
];

/// A file of `project` that B already has. Without it, B would not take its folder for the same
/// one.
const HAD: (&str, usize) = ("project/readme", 2_000);

/// A file of the user in `project`.
const OWN: (&str, &[u8]) = ("project/my own.txt", b"stays");

/// A small file in `project` that had arrived in part. The earlier build gave it neither a mark nor
/// a record, so the node cannot know that it may remove the file.
const UNPROVEN: &str = "project/data 1.part";

/// A hash without a source.
fn absent() -> String {
    "ab".repeat(32)
}

/// The content of a file, which depends on its path only.
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

/// The folder at the fixed path, which one story at a time may use.
struct Fixture {
    world: World,
    _lock: File,
}

impl Fixture {
    /// Waits until no other test uses the folder, and empties it.
    fn new() -> Self {
        let lock = File::create(format!("{FIXTURE_PATH}.lock"));
        let lock = lock.unwrap_or_else(|error| panic!("{FIXTURE_PATH}.lock: {error}: remove it"));
        lock.lock().unwrap();
        let _ = fs::remove_dir_all(FIXTURE_PATH);
        fs::create_dir(FIXTURE_PATH)
            .unwrap_or_else(|error| panic!("{FIXTURE_PATH}: {error}: remove it"));
        Self {
            world: World::at(Path::new(FIXTURE_PATH)),
            _lock: lock,
        }
    }

    /// Unpacks the archive. Prints why and returns `None` if that is impossible.
    fn unpacked() -> Option<Self> {
        let fixture = Self::new();
        let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(ARCHIVE);
        assert!(archive.exists(), "{} is missing", archive.display());
        let tar = Command::new("tar")
            .args(["--xattrs", "--xattrs-include=user.*", "-xzf"])
            .arg(&archive)
            .args(["-C", FIXTURE_PATH])
            .output();
        let why = match tar {
            Err(error) => format!("tar: {error}"),
            Ok(output) if !output.status.success() => {
                format!("tar: {}", String::from_utf8_lossy(&output.stderr))
            }
            Ok(_) if !is_marked(&fixture.world.path("b/movie.bin.part")) => {
                format!("{FIXTURE_PATH} keeps no attributes")
            }
            Ok(_) => return Some(fixture),
        };
        eprintln!("skipped: {why}");
        None
    }

    /// Starts A, which shares all that B downloads, and returns the hashes of the paused downloads.
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

impl Drop for Fixture {
    fn drop(&mut self) {
        // If this fails, the next run empties the folder.
        let _ = fs::remove_dir_all(FIXTURE_PATH);
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

/// These fields of the entries of a list, which a later version must print in the same way.
fn stable_fields(list: &Value, fields: &[&str]) -> Vec<Value> {
    let entries = list.as_array().unwrap().iter();
    let entry = |entry: &Value| fields.iter().map(|field| entry[field].clone()).collect();
    let mut entries: Vec<Value> = entries.map(entry).collect();
    entries.sort_by_key(|entry| entry[0].to_string());
    entries
}

fn listed(b: &Home) -> Value {
    let shares = b.json(&["list"]);
    let downloads = b.json(&["downloads"]);
    let settings = b.json(&["settings"]);
    let is_kept = |setting: &&Value| setting["origin"]["kind"] == "kept";
    let kept: Vec<_> = settings.as_array().unwrap().iter().collect();
    let kept: Vec<_> = kept.into_iter().filter(is_kept).cloned().collect();
    json!({
        "shares": stable_fields(&shares, &["hash", "name", "size", "kind"]),
        "downloads": stable_fields(
            &downloads,
            &["hash", "name", "path", "state", "size", "verified_bytes", "position"],
        ),
        "settings": stable_fields(&Value::Array(kept), &["name", "value"]),
    })
}

/// The paths below `folder` with the names of part files and staging directories.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let mut parts: Vec<_> = tree_entries(folder).into_keys().collect();
    parts.retain(|path| text(path).ends_with(".part"));
    parts
}

/// ```text
///   C ── B ── A      an earlier version wrote B's data folder, with paused downloads from A
/// ```
#[test]
fn a_data_folder_of_an_earlier_version_opens_as_it_was_and_its_downloads_resume() {
    let Some(fixture) = Fixture::unpacked() else {
        return;
    };
    let (b, c) = (fixture.world.home("b"), fixture.world.home("c"));
    let (a_node, paused) = fixture.source();
    let was: Value = serde_json::from_slice(&fs::read(b.path(LISTED)).unwrap()).unwrap();
    let b_node = start(&b, &a_node);
    b_node.run.err.line("scanned a watched folder");

    assert_eq!(listed(&b), was);
    assert_shares_are_served(&b, &b_node, &c);
    assert_downloads_resume(&b, &paused, &was);
    b_node.stop();
    // Today's build opens the data folder a second time.
    let _b_node = start(&b, &a_node);
    for hash in &paused {
        assert_eq!(download(&b, hash).unwrap()["state"], "done");
    }
}

/// C downloads all that B shares, and gets the original contents.
#[track_caller]
fn assert_shares_are_served(b: &Home, node: &Node, c: &Home) {
    // Unpacked files have other inodes, and the node does not check a folder again by itself.
    let folder = b.share(&text(&b.path("shared/folder")));
    let address = node.address();
    let fetch = |hash: &str, name: &str| {
        let command = ["download", hash, "--peer", &address, "-o", name];
        // For the same reason, B may first have to hash a file.
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

/// B resumes the downloads, and fetches only what it had not verified.
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
    // Incomplete small files were not verified, and manifests count as well.
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

/// Makes a new fixture. Run it with `tests/fixtures/make.sh BUILD`.
///
/// ```text
///   B ── A      B has a limit, and pauses its downloads from A
/// ```
#[test]
#[ignore = "makes the fixture with an earlier build: tests/fixtures/make.sh"]
fn make_the_fixture() {
    let build = std::env::var(BUILD_VARIABLE);
    let build = build.unwrap_or_else(|_| panic!("{BUILD_VARIABLE} names no build"));
    let fixture = Fixture::new();
    let b = fixture.world.home("b").of_build(build);
    let (a_node, paused) = fixture.source();
    plant(&b.path("."), &SHARED);
    plant(&b.path("."), &[HAD]);
    write(&b.path("."), OWN.0, OWN.1);
    let b_node = start(&b, &a_node);
    b_node.run.err.line("scanned a watched folder");
    for path in ["shared/small.txt", "shared/large.bin", "shared/folder"] {
        b.share(&text(&b.path(path)));
    }
    let unlisted = text(&b.path("shared/unlisted.bin"));
    b.run(&["share", "--unlisted", &unlisted]).done();
    let song = b.hash(&text(&fixture.world.path("a/from/song.bin")));
    b.run(&["download", &song]).done();
    b.run(&["download", &absent(), "--timeout", "1"]).failed();

    b.run(&["limit", "--download", &LIMIT.to_string()]).done();
    b.run(&["settings", "transfer.max_downloads", "4"]).done();
    for (hash, (name, size)) in paused.iter().zip(PAUSED) {
        b.run(&["download", hash, "--detach"]).done();
        // More than the small files of a folder have, so that a part of the large one is there.
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
            tree_entries(&b.path(folder)).keys().any(small),
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
        .args(["-C", FIXTURE_PATH, "b"])
        .status();
    assert!(packed.unwrap().success(), "tar cannot write {ARCHIVE}");
}
