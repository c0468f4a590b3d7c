//! Disks that do not take what is to be written.

use std::{fs, io::Write, os::unix::fs::PermissionsExt};

use super::{
    system::{Mount, is_root},
    world::{World, assert_content, noise, text},
};

/// ```text
///   B ── A      B's disk holds 4 MiB of 8
/// ```
#[test]
fn a_full_disk_keeps_what_was_verified_and_the_download_goes_on_after_room_is_made() {
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

    // Of 8 MiB at least half is missing.
    let missing = || -> u64 {
        let refused = b
            .run(&download)
            .failed()
            .says("the disk is full")
            .says(&text(&target));
        assert!(mount.path().join("x.bin.part").exists() && !target.exists());
        let words: Vec<_> = refused.stderr.split(' ').collect();
        let bytes = words
            .iter()
            .position(|word| *word == "bytes")
            .expect("bytes missing");
        words[bytes - 1].parse().unwrap()
    };
    let first = missing();
    assert!((4 << 20..8 << 20).contains(&first), "{first}");
    // Still full: the same again, and nothing is lost. A little more may fit: what was cut off in the first run has
    // its room already.
    let second = missing();
    assert!(
        (4 << 20..=first).contains(&second),
        "{second} after {first}"
    );

    mount.remount("size=16m");
    let download: Vec<_> = download.iter().map(String::as_str).collect();
    let again = b.json(&download);
    assert_eq!(
        again["resumed_bytes"].as_u64().unwrap(),
        (8 << 20) - second,
        "{again}"
    );
    assert_content(&target, &content);
}

/// ```text
///   B's command ── B's node ── A      the disk is full, then it is not; the node runs all the time
/// ```
#[test]
fn a_node_survives_a_full_disk_and_goes_on_when_asked_again() {
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
    // There are other places to write to.
    b.run(&["download", &other, "--peer", &address, "-o", "other"])
        .done();
    assert_content(&b.path("other"), &other_content);

    mount.remount("size=16m");
    let again = b.json(&download);
    assert_content(&target, &content);
    assert!(again["resumed_bytes"].as_u64().unwrap() > 0, "{again}");
}

/// ```text
///   B ── A      what is full is the disk with B's data folder
/// ```
#[test]
fn a_full_data_folder_is_named_and_the_download_goes_on_after_room_is_made() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(_mount) = Mount::new(b.data(), "size=1m") else {
        return;
    };
    let content = noise(1, 8 << 20);
    let node = a.start(&[]);
    let address = node.address();
    let hash = a.share(&world.file("x.bin", &content));
    // Once everything else that belongs there is in its place.
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
///   B ── A      B may not write there
/// ```
#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let folder = world.path("sealed");
    // Permissions do not hold root back; a disk that is mounted so does.
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

    // The data folder, too.
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
