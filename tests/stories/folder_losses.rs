//! Downloads of folders despite kills, full disks, changed sources, and sources that have parts.

use std::{fs, path::Path};

use super::{
    interrupt::resume_line,
    system::Mount,
    trees::{
        LARGE, MANY_SIZE, Pair, TreeEntry, assert_same, number, plant_many, tree_entries, write,
    },
    valve::Valve,
    world::{Home, Node, assert_content, eventually, noise, text},
};

/// How often B is killed in one download.
const KILLS: usize = 12;

/// Bytes that may pass between two kills, at most; half of that on average.
const MOST: u64 = 4 << 20;

/// Received bytes that one kill may cost on average: those that are in flight or wait to be
/// verified or written, and small files that are not complete.
const LOST_A_KILL: usize = 2 << 20;

/// ```text
///   B ──valve── A      B is killed 12 times, each time after some more bytes
/// ```
fn kills_cost_no_more_than_what_was_not_yet_verified(pair: &Pair) {
    let b = &pair.b;
    let is_in_place = b.path("box").exists();
    let points = noise(3, 8 * KILLS);
    let points = points.as_chunks::<8>().0.iter();
    let mut passed = 0;
    for bytes in points.map(|point| u64::from_le_bytes(*point) % MOST) {
        let valve = Valve::new(&pair.node.address(), bytes);
        let run = b.spawn(&pair.download_by(&valve.address(), &[]));
        valve.is_shut();
        run.signal("KILL");
        run.end();
        assert_eq!(
            b.path("box").exists(),
            is_in_place,
            "not before it is whole"
        );
        passed += valve.passed() as usize;
    }

    let last = b.json(&pair.download(&[]));

    let kept = number(&last, "resumed_bytes");
    assert_eq!(kept + number(&last, "fetched_bytes"), MANY_SIZE);
    assert!(
        passed <= kept + KILLS * LOST_A_KILL,
        "of {passed} bytes that came, {kept} were kept"
    );
    // The valve also counts manifests, proofs and frames.
    assert!(kept > 0 && kept <= passed, "{kept} of {passed}");
    assert!(!b.path("box.part").exists());
    let records = fs::read_dir(b.data().join("partial")).unwrap();
    assert_eq!(records.count(), 0);
}

#[test]
fn kills_cost_a_folder_little() {
    let pair = Pair::sharing(plant_many);
    kills_cost_no_more_than_what_was_not_yet_verified(&pair);
    assert_same(&pair.b.path("box"), &pair.original());
}

#[test]
fn kills_cost_a_folder_little_where_there_is_one_already() {
    let pair = Pair::sharing(plant_many);
    let own = pair.b.path("box/1/my own");
    write(&pair.b.path("box"), "1/my own", b"stays");
    // A file in common shows that B means this folder.
    let one = pair.original().join("1/1");
    fs::copy(one, pair.b.path("box/1/1")).unwrap();
    kills_cost_no_more_than_what_was_not_yet_verified(&pair);
    assert_content(&own, b"stays");
    fs::remove_file(own).unwrap();
    assert_same(&pair.b.path("box"), &pair.original());
}

/// ```text
///   B ──valve── A      B is interrupted, and prints how to resume
/// ```
#[test]
fn an_interrupted_download_resumes_what_was_chosen() {
    let pair = Pair::sharing(plant_many);
    let b = &pair.b;
    let valve = Valve::new(&pair.node.address(), 4 << 20);
    let chosen = ["--only", "large/[01]", "--only", "5*"];
    let run = b.spawn(&pair.download_by(&valve.address(), &chosen));
    valve.is_shut();
    run.has_some();
    run.signal("INT");
    let line = resume_line(&run.end().failed());
    valve.open();
    let again = b.run_line(&format!("{line} --json")).done().document();
    assert!(number(&again, "resumed_bytes") > 0, "{again}");
    let mut original = tree_entries(&pair.original());
    let is_chosen = |path: &Path| {
        let mut names = path.iter().map(|name| name.to_str().unwrap());
        let is_large = ["large/0", "large/1"].map(Path::new).contains(&path);
        is_large || names.any(|name| name.starts_with('5'))
    };
    original.retain(|path, entry| *entry != TreeEntry::Folder && is_chosen(path));
    let mut found = tree_entries(&b.path("box"));
    found.retain(|_, entry| *entry != TreeEntry::Folder);
    assert!(found == original, "{:?}", found.keys());
}

/// ```text
///   B's node ──valve── A      B is killed twice, and starts again without a further command
/// ```
fn a_killed_node_resumes_its_downloads(chosen: &[&str], size: usize) -> Pair {
    let pair = Pair::sharing(plant_many);
    let b = &pair.b;
    let got = text(&b.path("got"));
    let mut passed = 0;
    // At first little more than the manifests may pass.
    for (round, bytes) in [100_000, 5 << 20, u64::MAX].into_iter().enumerate() {
        let valve = Valve::new(&pair.node.address(), bytes);
        let through_valve = valve.address();
        let node = b.start(&["-b", &through_valve]);
        if round == 0 {
            let detached = [&["--detach", "-o", &got], chosen].concat();
            b.run(&pair.download_by(&through_valve, &detached)).done();
        }
        if bytes < u64::MAX {
            valve.is_shut();
            node.kill();
        } else {
            eventually("the folder", || b.path("got").exists().then_some(()));
        }
        passed += valve.passed() as usize;
    }
    assert!(
        passed < size + 3 * LOST_A_KILL,
        "{passed} of {size} bytes came"
    );
    pair
}

#[test]
fn a_node_that_was_killed_resumes_a_folder_by_itself() {
    let pair = a_killed_node_resumes_its_downloads(&[], MANY_SIZE);
    assert_same(&pair.b.path("got"), &pair.original());
}

#[test]
fn a_node_that_was_killed_resumes_what_was_chosen() {
    let pair = a_killed_node_resumes_its_downloads(&["--only", "/large"], 3 * LARGE);
    assert_same(&pair.b.path("got/large"), &pair.original().join("large"));
    assert_eq!(fs::read_dir(pair.b.path("got")).unwrap().count(), 1);
}

/// ```text
///   B ── A      B's disk has space for 8 MiB of 25
/// ```
#[test]
fn a_full_disk_keeps_the_verified_part_of_a_folder_which_resumes_once_there_is_space() {
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
///   A ──valve── C ──valve── B      C downloads from A and B; a file of A changes when C has a part
/// ```
#[test]
fn a_file_of_a_folder_that_changes_midway_comes_from_another_source() {
    let pair = Pair::sharing(plant_many);
    let other = pair.world.path("other/box");
    plant_many(&other);
    let b_node = pair.b.start(&[]);
    assert_eq!(pair.b.share(&text(&other)), pair.hash);
    // Until then, a part passes from A, and nothing from B.
    let from_a = Valve::new(&pair.node.address(), 5 << 20);
    let from_b = Valve::new(&b_node.address(), 0);
    let c = pair.world.home("c");
    let address = from_b.address();
    let run = c.spawn(&pair.download_by(&from_a.address(), &["--peer", &address]));
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

/// How many nodes download the same folder.
const DOWNLOADERS: usize = 4;

/// Starts all downloaders and their downloads, and lets `bytes` pass from A to each. Each connects
/// to A through its valve before it meets another one: otherwise A could learn its address, and
/// dial it without the valve.
fn start_all(pair: &Pair, bytes: usize) -> Vec<(Home, Valve, Node)> {
    let mut all: Vec<(Home, Valve, Node)> = Vec::new();
    for number in 0..DOWNLOADERS {
        let home = pair.world.home(&format!("downloader {number}"));
        let valve = Valve::new(&pair.node.address(), bytes as u64);
        let node = home.start(&["-b", &valve.address()]);
        eventually("it to be connected to A", || {
            let peers = home.json(&["peers"]);
            (!peers.as_array().unwrap().is_empty()).then_some(())
        });
        all.push((home, valve, node));
    }
    let first = all[0].2.address();
    for (home, valve, _) in &all {
        home.run(&pair.download_by(&valve.address(), &["-b", &first, "--detach"]))
            .done();
    }
    all
}

fn all_get_it(pair: &Pair, all: &[(Home, Valve, Node)]) {
    for (home, valve, _) in all {
        // This command follows the running download.
        let finished = home.json(&pair.download_by(&valve.address(), &[]));
        let path = finished["path"].as_str().unwrap();
        assert_same(Path::new(path), &pair.original());
    }
}

/// ```text
///        ┌──valve── B ─┐
///   A ───┼──valve── C ─┼── connected to each other; each has a part when the valves open
///        └──valve── ...┘
/// ```
#[test]
fn all_who_want_the_same_folder_get_it() {
    let pair = Pair::sharing(plant_many);
    let all = start_all(&pair, 2 << 20);
    all.iter().for_each(|(_, valve, _)| valve.is_shut());
    all.iter().for_each(|(_, valve, _)| valve.open());
    all_get_it(&pair, &all);
}

/// ```text
///        ┌──valve── B ─┐
///   A ───┼──valve── C ─┼── connected to each other
///        └──valve── ...┘      each may get at most seven eighths of the folder from A
/// ```
#[test]
fn those_who_have_parts_of_a_folder_give_each_other_the_rest() {
    let pair = Pair::sharing(plant_many);
    let all = start_all(&pair, MANY_SIZE / 8 * 7);
    all_get_it(&pair, &all);
}
