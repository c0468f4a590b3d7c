//! Downloads of folders: complete, in parts and again, also into folders that are not empty.

use std::{fs, os::unix::fs::symlink, path::Path};

use super::{
    downloads::until,
    trees::{Pair, SIZE, TO_FETCH, TreeEntry, assert_same, number, plant, tree_entries, write},
    valve::Valve,
    world::{assert_content, eventually, noise, text},
};

/// ```text
///   B ── A      B downloads the folder twice
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

    // With a file and a link missing, only the content of the file is fetched.
    fs::remove_file(b.path("box/sub/just small")).unwrap();
    fs::remove_file(b.path("box/sub/link")).unwrap();
    let repaired = b.json(&pair.download(&[]));
    assert_eq!(number(&repaired, "fetched_bytes"), 262_144);
    assert_same(&b.path("box"), &pair.original());
}

/// ```text
///   C ── B ── A      B downloads the folder and shares it again; A ends
/// ```
#[test]
fn a_folder_that_was_downloaded_is_served_to_others() {
    let pair = Pair::new();
    let (b, c) = (&pair.b, pair.world.home("c"));
    let b_node = b.start(&[]);
    b.run(&pair.download(&[])).done();
    eventually("B to share it", || {
        let listed = b.json(&["list"]);
        (listed[0]["hash"] == pair.hash.as_str()).then_some(())
    });
    let command = pair.download_by(&b_node.address(), &[]);
    let original = pair.world.path("box");
    drop(pair.node);
    c.run(&command).done();
    assert_same(&c.path("box"), &original);
}

/// ```text
///   B ── A      B chooses files twice, and then downloads the rest
/// ```
#[test]
fn what_is_chosen_comes_first_and_the_rest_later() {
    let pair = Pair::new();
    let b = &pair.b;
    let mut fetched = 0;
    let mut get = |more: &[&str]| {
        let finished = b.json(&pair.download(more));
        fetched += number(&finished, "fetched_bytes");
        let files = tree_entries(&b.path("box"));
        let is_file = |entry: &&TreeEntry| matches!(entry, TreeEntry::File { .. });
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

    // To another target, B copies the other files from the folder that it has.
    let elsewhere = b.json(&pair.download(&["-o", "elsewhere"]));
    assert_eq!(number(&elsewhere, "fetched_bytes"), 300_000, "{elsewhere}");
    assert_same(&b.path("elsewhere"), &pair.original());
    // To the same target, the command names the file that differs, and replaces it with
    // `--overwrite`. By now B has the changed file in the other folder.
    let before = tree_entries(&b.path("box"));
    let refused = b.run(&pair.download(&["-o", "."])).failed();
    refused
        .says(&text(&b.path("box/sub/deeper/medium")))
        .says("--overwrite");
    assert!(tree_entries(&b.path("box")) == before);
    let replaced = b.json(&pair.download(&["--overwrite"]));
    assert_eq!(number(&replaced, "fetched_bytes"), 0, "{replaced}");
    assert_same(&b.path("box"), &pair.original());
}

/// ```text
///   B ── A      a file changes, and A shares the folder again; B runs no node
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

/// Writes an entry where the download is to write.
type InTheWay = fn(&Path);

/// ```text
///   B ── A      B has another entry at the path of the folder, or of a file in it
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
        let before = tree_entries(&b.path(""));
        b.run(&pair.download(&[]))
            .failed()
            .says(&text(&b.path(path)));
        fs::remove_dir_all(b.data()).unwrap();
        assert!(tree_entries(&b.path("")) == before, "{path}");
    }
}

/// ```text
///   B ── A      B has another entry at the path of a link or of a sub-folder
/// ```
#[test]
fn what_is_in_the_way_of_a_link_or_a_sub_folder_is_named_and_stays_unless_it_is_to_be_replaced() {
    let pair = Pair::new();
    let cases: [(&str, InTheWay); 3] = [
        ("box/dangling", |b| {
            write(&b.join("box"), "dangling", b"other");
        }),
        ("box/dangling", |b| {
            fs::create_dir(b.join("box")).unwrap();
            symlink("elsewhere", b.join("box/dangling")).unwrap();
        }),
        ("box/no files", |b| {
            write(&b.join("box"), "no files", b"other");
        }),
    ];
    for (number, (path, put)) in cases.into_iter().enumerate() {
        let b = pair.world.home(&format!("b{number}"));
        put(&b.path(""));
        let before = tree_entries(&b.path("box"));
        b.run(&pair.download(&[]))
            .failed()
            .says(&text(&b.path(path)))
            .says("--overwrite");
        assert!(tree_entries(&b.path("box")) == before, "{path}");

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
///   B ── A      B's folder has links that lead out
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
            let before = tree_entries(&b.path("outside"));

            // The download may fail or succeed.
            b.run(&pair.download(overwrite));

            let is_same = tree_entries(&b.path("outside")) == before;
            assert!(is_same, "{number} {overwrite:?}");
        }
    }
}

/// ```text
///   B ── A      B names the path of the folder, and downloads it to there twice
/// ```
#[test]
fn a_folder_that_is_at_its_target_is_not_put_inside_itself() {
    let pair = Pair::new();
    let b = &pair.b;
    let _node = b.start(&[]);
    let target = text(&b.path("target"));
    let first = b.json(&pair.download(&["-o", &target]));
    assert_eq!(first["path"], target);
    eventually("B to share it", || {
        (b.json(&["list"])[0]["hash"] == pair.hash.as_str()).then_some(())
    });
    let again = b.json(&pair.download(&["-o", &target]));
    assert_eq!(again["path"], target);
    assert_eq!(number(&again, "fetched_bytes"), 0);
    assert_same(&b.path("target"), &pair.original());

    // With another folder as the target, the folder is put inside it.
    fs::create_dir(b.path("other")).unwrap();
    let inside = b.json(&pair.download(&["-o", &text(&b.path("other"))]));
    assert_eq!(inside["path"], text(&b.path("other/box")));
}

/// ```text
///   B ┄┄ A      B is to download the folder, and has no source yet. Then the folder appears at the
///               target, as after a power cut just before the node has recorded the end
/// ```
#[test]
fn a_target_that_was_settled_stays_the_same_after_a_restart() {
    let pair = Pair::new();
    let b = &pair.b;
    let valve = Valve::new(&pair.node.address(), 0);
    let (through_valve, target) = (valve.address(), text(&b.path("target")));
    let node = b.start(&[]);
    b.run(&pair.download_by(&through_valve, &["-o", &target, "--detach"]))
        .done();
    node.kill();
    plant(&b.path("target"));
    let _node = b.start(&[]);
    valve.open();
    let done = until(b, &pair.hash, "done");
    assert_eq!(done["path"], target);
    assert_same(&b.path("target"), &pair.original());
}
