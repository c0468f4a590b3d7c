//! Disks that refuse writes.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path};

use super::{
    http::Url,
    system::{Mount, is_root},
    world::{Home, Run, World, assert_content, noise, text},
};

const MIB: usize = 1 << 20;

/// Bytes that are free on the disk of `path`.
fn free(path: &Path) -> u64 {
    let disk = rustix::fs::statvfs(path).unwrap();
    disk.f_bavail * disk.f_frsize
}

/// Writes to `path` until `left` bytes are free on its disk.
fn fill(path: &Path, left: u64) {
    let mut file = fs::File::create(path).unwrap();
    let folder = path.parent().unwrap();
    while free(folder) > left {
        file.write_all(&[1; 4096]).unwrap();
    }
}

/// Starts a command that may write files of at most 4 MiB.
fn limited(home: &Home, arguments: &[&str]) -> Run {
    let script = [
        "-c",
        "ulimit -f 8192; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_pelago"),
    ];
    Run::new(home.program("sh", &[&script, arguments].concat()))
}

/// ```text
///   B ── A      B's disk has space for 4 MiB of 8
/// ```
#[test]
fn a_full_disk_keeps_what_was_verified_and_the_download_resumes_once_there_is_space() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(mount) = Mount::new(world.path("small"), "size=4m") else {
        return;
    };
    let content = noise(1, 8 << 20);
    let node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let target = mount.path().join("x.bin");
    let address = node.address();
    let download = ["download", &hash, "--peer", &address, "-o", &text(&target)].map(str::to_owned);

    // At least half of the 8 MiB are missing.
    let missing = || -> u64 {
        let refused = b
            .run(&download)
            .failed()
            .says("the disk is full")
            .says(&text(&target));
        assert!(mount.path().join("x.bin.part").exists() && !target.exists());
        let (before, _) = refused.stderr.split_once(" MB are still missing").unwrap();
        let megabytes = before.rsplit(' ').next().unwrap();
        let megabytes: f64 = megabytes.parse().unwrap();
        (megabytes * 1e6) as u64
    };
    // Sizes are shown with one digit after the point.
    let precision = 50_000;
    let first = missing();
    let half = (4 << 20) - precision;
    assert!((half..8 << 20).contains(&first), "{first}");
    // The disk is still full, and nothing is lost. A little more may fit, because the file already
    // has space for the block that the first run could not complete.
    let second = missing();
    assert!((half..=first).contains(&second), "{second} after {first}");

    mount.remount("size=16m");
    let download: Vec<_> = download.iter().map(String::as_str).collect();
    let again = b.json(&download);
    let resumed = again["resumed_bytes"].as_u64().unwrap();
    let kept = (8 << 20) - second;
    assert!(resumed.abs_diff(kept) <= precision, "{again}: {kept}");
    assert_content(&target, &content);
}

/// ```text
///   B's command ── B's node ── A      B's disk is full, then it has space; the node keeps running
/// ```
#[test]
fn a_node_survives_a_full_disk_and_resumes_on_request() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(mount) = Mount::new(world.path("small"), "size=4m") else {
        return;
    };
    let content = noise(1, 8 << 20);
    let a_node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let other_content = noise(2, 100_000);
    let other = a.share(&world.file("other.bin", &other_content));
    let _b_node = b.start(&[]);
    let target = mount.path().join("x.bin");
    let (address, output) = (a_node.address(), text(&target));
    let download = ["download", &hash, "--peer", &address, "-o", &output];

    b.run(&download).failed().says("the disk is full");
    assert_eq!(b.json(&["downloads"])[0]["state"], "failed");
    // Other disks have space.
    b.run(&["download", &other, "--peer", &address, "-o", "other"])
        .done();
    assert_content(&b.path("other"), &other_content);

    mount.remount("size=16m");
    let again = b.json(&download);
    assert_content(&target, &content);
    assert!(again["resumed_bytes"].as_u64().unwrap() > 0, "{again}");
}

/// ```text
///   B ── A      the disk with B's data folder is full
/// ```
#[test]
fn a_full_data_folder_is_named_and_the_download_resumes_once_there_is_space() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(_mount) = Mount::new(b.data(), "size=1m") else {
        return;
    };
    let content = noise(1, 8 << 20);
    let node = a.start(&[]);
    let address = node.address();
    let hash = a.share(&world.file("x.bin", &content));
    // A first download creates all other files of the data folder.
    let small = a.share(&world.file("small.bin", b"small"));
    b.run(&["download", &small, "--peer", &address]).done();
    let fill = b.data().join("fill");
    let mut file = fs::File::create(&fill).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    drop(file);

    let download = ["download", &hash, "--peer", &address, "-o", "got"];
    b.run(&download).failed().says(&text(&b.data()));
    assert!(!b.path("got").exists());

    fs::remove_file(fill).unwrap();
    b.run(&download).done();
    assert_content(&b.path("got"), &content);
}

/// ```text
///   B ── A      B has no write permission for its target or its data folder
/// ```
#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let folder = world.path("sealed");
    // Root ignores permissions, but cannot write to a disk that is mounted read-only.
    let _mount = if is_root("a read-only mount (a folder without permission does as well)") {
        let Some(mount) = Mount::new(folder.clone(), "ro,size=1m") else {
            return;
        };
        Some(mount)
    } else {
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
        None
    };
    let node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &noise(1, 1000)));
    let target = text(&folder.join("x.bin"));
    b.run(&["download", &hash, "--peer", &node.address(), "-o", &target])
        .failed()
        .says(&target);

    // The same with a data folder.
    let data = text(&folder.join("data"));
    for arguments in [
        &["start", "-p", "0"][..],
        &["list"],
        &["share", &target, "--no-serve"],
    ] {
        b.run(&[arguments, &["--data-dir", &data]].concat())
            .failed()
            .says(&data);
    }
}

/// ```text
///   browser ── B ── A      the disk with B's data folder has 32 MiB, of which 1.6 must stay free
/// ```
#[test]
fn what_is_read_leaves_room_on_the_disk_and_gives_way_to_a_download() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(mount) = Mount::new(b.data(), "size=32m") else {
        return;
    };
    let reserve = 32 * MIB as u64 / 20;
    let a_node = a.start(&[]);
    let shared = |name: &str, content: &[u8]| {
        let shared = a.json(&["share", &world.file(name, content)]);
        shared[0]["link"].as_str().unwrap().to_owned()
    };
    let (long, short) = (noise(1, 40 * MIB), noise(2, 20 * MIB));
    let (long_link, short_link) = (shared("long", &long), shared("short", &short));
    let other = shared("other", &noise(3, 4 * MIB));
    let kept = noise(4, 20 * MIB);
    let kept_link = shared("kept", &kept);
    let b_node = b.start(&[]);
    let url = |link: &str| Url::new(&b.run(&["link", link, "--http"]).done().stdout);

    // One file is larger than the disk, the other one fits into the cache.
    for (link, content) in [(&long_link, &long), (&short_link, &short)] {
        url(link).get(&[]).code(200).is(content);
        assert!(free(mount.path()) >= reserve, "{}", free(mount.path()));
    }
    let before = free(mount.path());
    assert!(before < kept.len() as u64, "{before} are free");
    let target = mount.path().join("kept");
    b.run(&["download", &kept_link, "-o", &text(&target)])
        .done();
    assert_content(&target, &kept);

    // Now there is enough space for the node, but not for the gateway's cache. The restart empties
    // the cache, which would otherwise give way.
    b_node.stop();
    let _b_node = b.start(&[]);
    let fill_path = mount.path().join("fill");
    fill(&fill_path, reserve + 300_000);
    let cut = url(&other).begin("GET", &[]).whole();
    assert!(cut.body.len() < 4 * MIB, "the disk has no room for it");
    assert!(free(mount.path()) >= reserve, "{}", free(mount.path()));
    assert_eq!(b.json(&["downloads"])[0]["state"], "done");
    fs::remove_file(fill_path).unwrap();
    url(&other).get(&[]).code(200).is(&noise(3, 4 * MIB));
    drop(a_node);
}

/// ```text
///   B ── A      B's disk has 4 MiB, of which 0.2 have to stay free
/// ```
#[test]
fn a_download_that_will_not_fit_is_warned_of_and_leaves_the_reserve() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(mount) = Mount::new(world.path("small"), "size=4m") else {
        return;
    };
    let node = a.start(&[]);
    let address = node.address();
    let file = a.share(&world.file("x.bin", &noise(1, 8 * MIB)));
    // A folder with small files and a large one.
    for name in ["a", "b", "c"] {
        world.file(&format!("box/{name}"), &noise(2, 250_000));
    }
    world.file("box/large", &noise(3, 6 * MIB));
    let folder = a.share(&text(&world.path("box")));
    let at = |name: &str| text(&mount.path().join(name));
    let reserve = 4 * MIB as u64 / 20;

    let target = at("x.bin");
    let warned = b.run(&["download", &file, "--peer", &address, "-o", &target]);
    warned
        .failed()
        .says("may not fit: 8.4 MB still have to be written, and the disk has room for 4.0 MB")
        .says("the disk is full");
    assert!(free(mount.path()) >= reserve, "{}", free(mount.path()));

    // A running node sends the warning to the command, and lists it with the download.
    let _node = b
        .clone()
        .with("PELAGO_TRANSFER_DOWNLOAD_LIMIT", "3000000")
        .start(&[]);
    fs::remove_file(at("x.bin.part")).unwrap();
    b.run(&["download", &folder, "--peer", &address, "-o", &at("box")])
        .failed()
        .says("may not fit: 7.0 MB still have to be written")
        .says("the disk is full");
    let downloads = b.json(&["downloads"]);
    let failed = downloads.as_array().unwrap().iter();
    let mut failed = failed.filter(|download| download["hash"] == folder.as_str());
    let failed = failed.next().unwrap();
    assert!(failed["notice"].as_str().unwrap().contains("may not fit"));
    assert!(free(mount.path()) >= reserve, "{}", free(mount.path()));
}

/// ```text
///   B ── A      the content has 64 MiB, all but 32 KiB of them zeros; B's disk has 8 MiB
/// ```
#[test]
fn an_image_that_is_mostly_zeros_fits_on_a_disk_smaller_than_it() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(mount) = Mount::new(world.path("small"), "size=8m") else {
        return;
    };
    let mut content = vec![0; 64 * MIB];
    for at in [5 * MIB, 60 * MIB + 12_345] {
        content[at..at + 16_384].copy_from_slice(&noise(at as u64, 16_384));
    }
    let node = a.start(&[]);
    let hash = a.share(&world.file("disk.img", &content));
    let target = mount.path().join("disk.img");
    b.run(&[
        "download",
        &hash,
        "--peer",
        &node.address(),
        "-o",
        &text(&target),
    ])
    .done()
    .says("may not fit: 67.1 MB still have to be written");
    assert_content(&target, &content);
    let taken = 8 * MIB as u64 - free(mount.path());
    assert!(taken < 512 * 1024, "{taken} bytes are taken");
}

/// ```text
///   B ── A      B may write files of at most 4 MiB, and the content has 8
/// ```
#[test]
fn a_limit_on_the_size_of_files_fails_a_download_and_ends_no_process() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let a_node = a.start(&[]);
    let address = a_node.address();
    let large = a.share(&world.file("large", &noise(1, 8 * MIB)));
    let small = a.share(&world.file("small", &noise(2, MIB)));
    let of = |hash, name| ["download", hash, "--peer", &address, "-o", name];

    limited(&b, &of(&large, "one shot"))
        .end()
        .failed()
        .says("a limit of this process (`ulimit -f`) allows files of at most 4.2 MB")
        .says("raise that limit where Pelago is started");

    let node = limited(
        &b,
        &["start", "--listen", "/ip4/127.0.0.1/tcp/0", "--dir", "none"],
    );
    node.out.line("ready");
    b.run(&of(&large, "large")).failed().says("ulimit -f");
    b.run(&of(&small, "small")).done();
    assert_content(&b.path("small"), &noise(2, MIB));
    assert_eq!(b.json(&["status"])["shares"], 1);
}

/// ```text
///   B ── A      B chooses a name that no file system accepts
/// ```
#[test]
fn a_name_that_is_too_long_is_reported() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &noise(1, 1000)));
    let name = "x".repeat(300);
    let refused = b.run(&["download", &hash, "--peer", &node.address(), "-o", &name]);
    let refused = refused
        .failed()
        .says("the file system refuses the name, or it is too long")
        .says("-o");
    assert!(!refused.stderr.contains("make room"), "{refused:#?}");
}

/// ```text
///   B ── A      B's disk has fewer inodes left than A's folder has entries
/// ```
#[test]
fn a_folder_with_more_entries_than_free_inodes_is_refused_before_anything_is_written() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(mount) = Mount::new(world.path("small"), "size=4m,nr_inodes=30") else {
        return;
    };
    let node = a.start(&[]);
    for number in 0..40 {
        world.file(&format!("box/{number}"), &noise(number, 10));
    }
    let hash = a.share(&text(&world.path("box")));
    let (address, target) = (node.address(), text(&mount.path().join("box")));
    let download = ["download", &hash, "--peer", &address, "-o", &target];

    b.run(&download)
        .failed()
        .says("the folder has 40 entries")
        .says("free inodes");
    assert_eq!(fs::read_dir(mount.path()).unwrap().count(), 0);

    mount.remount("size=4m,nr_inodes=100");
    b.run(&download).done();
}
