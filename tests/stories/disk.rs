//! Disks that do not take what is to be written.

use std::{fs, os::unix::fs::PermissionsExt};

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

    let refused = b
        .run(&download)
        .failed()
        .says("the disk is full")
        .says(&text(&target));
    let words = refused.stderr.split(' ').collect::<Vec<_>>();
    let bytes = words
        .iter()
        .position(|word| *word == "bytes")
        .expect("bytes missing");
    let missing: u64 = words[bytes - 1].parse().unwrap();
    assert!((4 << 20..8 << 20).contains(&missing), "{refused:?}");
    assert!(mount.path().join("x.bin.part").exists() && !target.exists());

    // Still full: the same again, and nothing is lost.
    b.run(&download).failed().says("the disk is full");
    mount.remount("size=16m");
    let download: Vec<_> = download.iter().map(String::as_str).collect();
    let again = b.json(&download);
    assert_eq!(
        again["resumed_bytes"].as_u64().unwrap(),
        (8 << 20) - missing,
        "{again}"
    );
    assert_content(&target, &content);
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
