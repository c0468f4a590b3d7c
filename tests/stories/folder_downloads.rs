//! Folders that are downloaded: whole, in parts, again, and in spite of what happens meanwhile.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    system::Mount,
    valve::Valve,
    world::{Home, Node, World, assert_content, eventually, noise, text},
};

/// Files with their sizes; those of the same size are the same. Up to 256 KiB is small.
const FILES: [(&str, usize); 9] = [
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
const SIZE: usize = 3_661_299;

/// Bytes of all contents, each once.
const TO_FETCH: usize = SIZE - 5;

/// Writes the folder with all that folders may have.
fn plant(folder: &Path) {
    for (path, size) in FILES {
        write(folder, path, &noise(size as u64, size));
    }
    fs::create_dir_all(folder.join("no files/at all")).unwrap();
    fs::set_permissions(folder.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../small", folder.join("sub/link")).unwrap();
    symlink("leads/nowhere", folder.join("dangling")).unwrap();
}

fn write(folder: &Path, path: &str, content: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[derive(PartialEq)]
enum Thing {
    Folder,
    Link(PathBuf),
    File { content: Vec<u8>, may_run: bool },
}

/// Everything below a folder, by path.
fn things(folder: &Path) -> BTreeMap<PathBuf, Thing> {
    let mut things = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let name = PathBuf::from(path.file_name().unwrap());
        let thing = if metadata.is_symlink() {
            Thing::Link(fs::read_link(&path).unwrap())
        } else if metadata.is_dir() {
            let below = self::things(&path).into_iter();
            things.extend(below.map(|(inner, thing)| (name.join(inner), thing)));
            Thing::Folder
        } else {
            let content = fs::read(&path).unwrap();
            let may_run = metadata.permissions().mode() & 0o100 != 0;
            Thing::File { content, may_run }
        };
        things.insert(name, thing);
    }
    things
}

/// Compares names, bytes, links and who may run what.
#[track_caller]
fn assert_same(folder: &Path, original: &Path) {
    let (found, expected) = (things(folder), things(original));
    let all = found.keys().chain(expected.keys());
    let differ: Vec<_> = all
        .filter(|path| found.get(*path) != expected.get(*path))
        .collect();
    assert!(differ.is_empty(), "these differ: {differ:?}");
}

fn number(finished: &Value, field: &str) -> usize {
    finished[field].as_u64().unwrap() as usize
}

/// A, who shares the folder `box`, and B, who is to have it.
struct Pair {
    world: World,
    a: Home,
    b: Home,
    node: Node,
    hash: String,
}

impl Pair {
    fn new() -> Self {
        Self::sharing(plant)
    }

    fn sharing(plant: impl Fn(&Path)) -> Self {
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

    fn original(&self) -> PathBuf {
        self.world.path("box")
    }

    /// The command by which B gets it from A.
    fn download<'s>(&'s self, more: &[&'s str]) -> Vec<String> {
        self.download_by(&self.node.address(), more)
    }

    /// The same by another way.
    fn download_by(&self, address: &str, more: &[&str]) -> Vec<String> {
        let command = ["download", &self.hash, "--peer", address];
        let all = [&command, more].concat();
        all.into_iter().map(str::to_owned).collect()
    }
}

/// ```text
///   B ── A      B gets the folder, and again
/// ```
#[test]
fn a_folder_arrives_as_it_is_and_is_not_fetched_twice() {
    let pair = Pair::new();
    let b = &pair.b;
    let first = b.json(&pair.download(&[]));
    assert_eq!(first["path"], text(&b.path("box")));
    assert_eq!(number(&first, "size"), SIZE);
    assert_eq!(number(&first, "fetched_bytes"), TO_FETCH);
    assert_same(&b.path("box"), &pair.original());
    assert_eq!(fs::read_dir(b.data().join("partial")).unwrap().count(), 0);

    let again = b.json(&pair.download(&[]));
    assert_eq!(number(&again, "fetched_bytes"), 0, "{again}");
    assert_eq!(number(&again, "resumed_bytes"), SIZE);
    b.run(&pair.download(&[])).done().prints("was here already");

    // A file that went, and a link: only what is missing comes.
    fs::remove_file(b.path("box/sub/just small")).unwrap();
    fs::remove_file(b.path("box/sub/link")).unwrap();
    let repaired = b.json(&pair.download(&[]));
    assert_eq!(number(&repaired, "fetched_bytes"), 262_144);
    assert_same(&b.path("box"), &pair.original());
}

/// ```text
///   C ── B ── A      what B got, it shares on as the same folder; A is not there any more
/// ```
#[test]
fn a_folder_that_was_downloaded_is_had_from_whoever_got_it() {
    let pair = Pair::new();
    let (b, c) = (&pair.b, pair.world.home("c"));
    let b_node = b.start(&[]);
    b.run(&pair.download(&[])).done();
    eventually("B to share it", || {
        let listed = b.json(&["list"]);
        (listed[0]["hash"] == pair.hash.as_str()).then_some(())
    });
    let way = b_node.address();
    let command = pair.download_by(&way, &[]);
    let original = pair.world.path("box");
    drop(pair.node);
    c.run(&command).done();
    assert_same(&c.path("box"), &original);
}

/// ```text
///   B ── A      B chooses twice, and gets the rest
/// ```
#[test]
fn what_is_chosen_comes_first_and_the_rest_later() {
    let pair = Pair::new();
    let b = &pair.b;
    let mut fetched = 0;
    let mut get = |more: &[&str]| {
        let finished = b.json(&pair.download(more));
        fetched += number(&finished, "fetched_bytes");
        let files = things(&b.path("box"));
        let is_file = |thing: &&Thing| matches!(thing, Thing::File { .. });
        (finished, files.values().filter(is_file).count())
    };
    let (chosen, files) = get(&["--only", "large", "--only", "*/link"]);
    assert_eq!((number(&chosen, "size"), files), (3_000_000, 1));
    assert_eq!(
        fs::read_link(b.path("box/sub/link")).unwrap(),
        Path::new("../small")
    );
    let (chosen, files) = get(&["--only", "sub/deeper", "--only", "just*"]);
    assert_eq!(number(&chosen, "fetched_bytes"), 100_005 + 524_289);
    assert_eq!((number(&chosen, "resumed_bytes"), files), (0, 5));
    get(&[]);
    assert_eq!(fetched, TO_FETCH);
    assert_same(&b.path("box"), &pair.original());

    let refused = b.run(&pair.download(&["--only", "*.jpg", "-o", "none"]));
    refused.failed().says("*.jpg");
    b.run(&pair.download(&["--only", "a[", "-o", "none"]))
        .failed()
        .says("a[");
    assert!(!b.path("none").exists() && !b.path("none.part").exists());
}

/// ```text
///   B's command ── B's node ── A      a file changes, and A shares the folder again
/// ```
#[test]
fn of_a_folder_that_changed_only_the_changed_file_is_fetched() {
    let mut pair = Pair::new();
    let b = pair.b.clone();
    let _b_node = b.start(&[]);
    b.run(&pair.download(&[])).done();
    eventually("B to share it", || {
        (b.json(&["status"])["shares"] == 1).then_some(())
    });
    let content = noise(9, 300_000);
    write(&pair.original(), "sub/deeper/medium", &content);
    let old = std::mem::take(&mut pair.hash);
    pair.hash = pair.a.share(&text(&pair.original()));
    assert_ne!(pair.hash, old);

    // Elsewhere: the rest is copied from the folder that B has.
    let elsewhere = b.json(&pair.download(&["-o", "elsewhere"]));
    assert_eq!(number(&elsewhere, "fetched_bytes"), 300_000, "{elsewhere}");
    assert_same(&b.path("elsewhere"), &pair.original());
    // In the same place: what is in the way is named, and replaced only if that is asked for. By now
    // B has the changed file elsewhere.
    let before = things(&b.path("box"));
    let refused = b.run(&pair.download(&[])).failed();
    refused
        .says(&text(&b.path("box/sub/deeper/medium")))
        .says("--overwrite");
    assert!(things(&b.path("box")) == before);
    let replaced = b.json(&pair.download(&["--overwrite"]));
    assert_eq!(number(&replaced, "fetched_bytes"), 0, "{replaced}");
    assert_same(&b.path("box"), &pair.original());
}

/// ```text
///   B ── A      a file changes, and A shares the folder again; B has no node, and remembers nothing
/// ```
#[test]
fn a_changed_file_is_replaced_in_place_if_that_is_asked_for() {
    let mut pair = Pair::new();
    let b = pair.b.clone();
    b.run(&pair.download(&[])).done();
    write(&pair.original(), "large", &noise(9, 400_000));
    write(&b.path("box"), "my own", b"stays");
    pair.hash = pair.a.share(&text(&pair.original()));
    b.run(&pair.download(&[]))
        .failed()
        .says(&text(&b.path("box/large")));
    let replaced = b.json(&pair.download(&["--overwrite"]));
    assert_eq!(number(&replaced, "fetched_bytes"), 400_000, "{replaced}");
    assert_content(&b.path("box/my own"), b"stays");
    fs::remove_file(b.path("box/my own")).unwrap();
    assert_same(&b.path("box"), &pair.original());
}

/// What B has in the place of the folder, or in it, and where.
type InTheWay = fn(&Path);

/// ```text
///   B ── A      something else lies where the folder is to be, or a file in it
/// ```
#[test]
fn what_is_in_the_way_is_named_and_stays() {
    let pair = Pair::new();
    let cases: [(&str, InTheWay); 6] = [
        ("box", |b| fs::write(b.join("box"), "other").unwrap()),
        ("box", |b| symlink("..", b.join("box")).unwrap()),
        ("box/small", |b| write(&b.join("box"), "small", b"other")),
        ("box/large", |b| {
            write(&b.join("box"), "large", &noise(7, 3_000_000));
        }),
        ("box/empty", |b| write(&b.join("box"), "empty", b"other")),
        ("box/large", |b| {
            write(&b.join("box"), "large/my own", b"other");
        }),
    ];
    for (number, (path, put)) in cases.into_iter().enumerate() {
        let b = pair.world.home(&format!("b{number}"));
        put(&b.path(""));
        let before = things(&b.path(""));
        b.run(&pair.download(&[]))
            .failed()
            .says(&text(&b.path(path)));
        fs::remove_dir_all(b.data()).unwrap();
        assert!(things(&b.path("")) == before, "{path}");
    }
}

/// ```text
///   B ── A      something else lies where a link or a sub-folder is to be
/// ```
#[test]
fn what_is_in_the_way_of_a_link_or_a_sub_folder_is_named_and_stays_unless_it_is_to_be_replaced() {
    let pair = Pair::new();
    let cases: [(&str, InTheWay); 3] = [
        ("box/dangling", |b| {
            write(&b.join("box"), "dangling", b"other")
        }),
        ("box/dangling", |b| {
            fs::create_dir(b.join("box")).unwrap();
            symlink("elsewhere", b.join("box/dangling")).unwrap();
        }),
        ("box/no files", |b| {
            write(&b.join("box"), "no files", b"other")
        }),
    ];
    for (number, (path, put)) in cases.into_iter().enumerate() {
        let b = pair.world.home(&format!("b{number}"));
        put(&b.path(""));
        let before = things(&b.path("box"));
        b.run(&pair.download(&[]))
            .failed()
            .says(&text(&b.path(path)))
            .says("--overwrite");
        assert!(things(&b.path("box")) == before, "{path}");

        let replaced = b.run(&pair.download(&["--overwrite"]));
        if number < 2 {
            replaced.done();
            assert_same(&b.path("box"), &pair.original());
        } else {
            replaced.failed().says(&text(&b.path(path)));
            assert_content(&b.path(path), b"other");
        }
    }
}

/// ```text
///   B ── A      in B's folder lie links that lead out
/// ```
#[test]
fn nothing_is_written_through_a_planted_link() {
    let pair = Pair::new();
    for (number, (planted, leads_to)) in [
        ("box/sub", "outside/folder"),
        ("box/no files", "outside/folder"),
        ("box/large", "outside/file"),
        ("box/small", "outside/file"),
        ("box/empty", "outside/file"),
        ("box/small.part", "outside/file"),
        ("box/large.part", "outside/file"),
        ("box/large", "outside/folder/new"),
        ("box.part", "outside/folder"),
        ("box", "outside/folder"),
    ]
    .into_iter()
    .enumerate()
    {
        for overwrite in [&[][..], &["--overwrite"]] {
            let b = pair.world.home(&format!("b{number}{}", overwrite.len()));
            fs::create_dir_all(b.path("outside/folder")).unwrap();
            fs::write(b.path("outside/file"), "precious").unwrap();
            let planted = b.path(planted);
            fs::create_dir_all(planted.parent().unwrap()).unwrap();
            symlink(b.path(leads_to), planted).unwrap();
            let before = things(&b.path("outside"));

            // Whether it can be done without is another matter.
            b.run(&pair.download(overwrite));

            let is_same = things(&b.path("outside")) == before;
            assert!(is_same, "{number} {overwrite:?}");
        }
    }
}

/// Many small files and a few large ones.
fn plant_many(folder: &Path) {
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

/// Small files, up to 240 KB.
const MANY: usize = 60;

/// Bytes of a large file.
const LARGE: usize = 6 << 20;

/// Bytes in all.
const MANY_SIZE: usize = MANY * 1000 + 4001 * MANY * (MANY - 1) / 2 + 3 * LARGE;

/// `kill -9`, so many times in one download.
const KILLS: usize = 12;

/// Bytes that may pass between two kills: 0 to this, 2 MiB in the mean.
const MOST: u64 = 4 << 20;

/// Bytes that may have come and not been kept when a process is killed, in the mean: what is under way
/// or waits for hash and disk, as of one file, and small files that are not whole.
const LOST_A_KILL: usize = 2 << 20;

/// ```text
///   B ──valve── A      B is killed 12 times, each after some bytes more
/// ```
#[test]
fn kills_cost_a_folder_no_more_than_what_was_not_yet_verified() {
    let pair = Pair::sharing(plant_many);
    let b = &pair.b;
    let points = noise(3, 8 * KILLS);
    let points = points.as_chunks::<8>().0.iter();
    let mut passed = 0;
    for bytes in points.map(|point| u64::from_le_bytes(*point) % MOST) {
        let valve = Valve::new(&pair.node.address(), bytes);
        let run = b.spawn(&pair.download_by(&valve.address(), &[]));
        valve.is_shut();
        run.signal("KILL");
        run.end();
        assert!(!b.path("box").exists(), "not before it is whole");
        passed += valve.passed() as usize;
    }

    let last = b.json(&pair.download(&[]));

    assert_same(&b.path("box"), &pair.original());
    assert!(!b.path("box.part").exists());
    let kept = number(&last, "resumed_bytes");
    assert_eq!(kept + number(&last, "fetched_bytes"), MANY_SIZE);
    assert!(
        passed <= kept + KILLS * LOST_A_KILL,
        "of {passed} bytes that came, {kept} were kept"
    );
    // Manifests come on top, and so does what frames them.
    assert!(kept > 0 && kept <= passed, "{kept} of {passed}");
}

/// ```text
///   B's node ──valve── A      B is killed twice, starts again, and is asked for nothing
/// ```
#[test]
fn a_node_that_was_killed_goes_on_with_a_folder_by_itself() {
    let pair = Pair::sharing(plant_many);
    let b = &pair.b;
    let mut passed = 0;
    for round in 0..3 {
        // The first time hardly more than the manifests.
        let bytes = [100_000, 5 << 20, u64::MAX][round];
        let valve = Valve::new(&pair.node.address(), bytes);
        let way = valve.address();
        let node = b.start(&["-b", &way]);
        if round == 0 {
            b.run(&pair.download_by(&way, &["--detach", "-o", &text(&b.path("got"))]))
                .done();
        }
        if round < 2 {
            valve.is_shut();
            node.kill();
        } else {
            eventually("the folder", || b.path("got").exists().then_some(()));
        }
        passed += valve.passed() as usize;
    }
    assert_same(&b.path("got"), &pair.original());
    let most = MANY_SIZE + 3 * LOST_A_KILL;
    assert!(passed < most, "{passed} bytes came of {MANY_SIZE}");
}

/// ```text
///   B ── A      B's disk holds 8 MiB of 25
/// ```
#[test]
fn a_full_disk_keeps_what_came_of_a_folder_and_it_goes_on_after_room_is_made() {
    let pair = Pair::sharing(plant_many);
    let Some(mount) = Mount::new(pair.world.path("small"), "size=8m") else {
        return;
    };
    let target = mount.path().join("got");
    let output = text(&target);
    let b = &pair.b;
    let command = pair.download(&["-o", &output]);
    for _ in 0..2 {
        b.run(&command)
            .failed()
            .says("the disk is full")
            .says(&text(mount.path()));
        assert!(!target.exists());
    }

    mount.remount("size=64m");
    let again = b.json(&command);

    assert_same(&target, &pair.original());
    let (kept, fetched) = (
        number(&again, "resumed_bytes"),
        number(&again, "fetched_bytes"),
    );
    assert_eq!(kept + fetched, MANY_SIZE);
    assert!(kept > 4 << 20, "{again}");
    assert_eq!(fs::read_dir(mount.path()).unwrap().count(), 1);
}

/// ```text
///   A ──valve── C ──valve── B      a file of A's changes when C has some of it; B's does not
/// ```
#[test]
fn a_file_of_a_folder_that_changes_midway_comes_from_whoever_still_has_it() {
    let pair = Pair::sharing(plant_many);
    let other = pair.world.path("other/box");
    plant_many(&other);
    let b_node = pair.b.start(&[]);
    assert_eq!(pair.b.share(&text(&other)), pair.hash);
    // Of A comes a part; of B, until then, nothing at all.
    let from_a = Valve::new(&pair.node.address(), 5 << 20);
    let from_b = Valve::new(&b_node.address(), 0);
    let c = pair.world.home("c");
    let way = from_b.address();
    let run = c.spawn(&pair.download_by(&from_a.address(), &["--peer", &way]));
    from_a.is_shut();

    for number in 0..3 {
        write(
            &pair.original(),
            &format!("large/{number}"),
            &noise(7, LARGE),
        );
    }
    from_a.open();
    from_b.open();

    run.end().done();
    assert_same(&c.path("box"), &other);
}
