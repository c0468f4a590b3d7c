//! The data folder: which version wrote it.

use std::{fs, path::Path};

use crate::world::{World, text};

/// Paths, and contents of files, of all that is in a folder.
fn listing(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut listing = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            listing.push((text(&path), Vec::new()));
            listing.extend(self::listing(&path));
        } else {
            listing.push((text(&path), fs::read(&path).unwrap()));
        }
    }
    listing.sort();
    listing
}

#[test]
fn a_data_folder_of_a_newer_version_is_refused_and_not_touched() {
    let world = World::new();
    let home = world.home("a");
    let file = world.file("x", b"content");
    home.run(&["share", &file, "--no-serve"]).done();
    let format = home.data().join("format");
    let ours = fs::read_to_string(&format).unwrap();
    assert!(
        ours.starts_with("pelago data folder, format 2, written by "),
        "{ours}"
    );
    // It has settings that this version does not know, too.
    fs::write(home.data().join("settings.toml"), "[transfer]\nwarp = 9\n").unwrap();
    let shared = world.file("y", b"other");
    for (line, says) in [
        (
            "pelago data folder, format 3, written by 0.9.0\n",
            "use pelago 0.9.0 or newer",
        ),
        ("not ours\n", "\"not ours\""),
    ] {
        fs::write(&format, line).unwrap();
        let before = listing(&home.data());
        for arguments in [
            &["list"][..],
            &["start", "-p", "0"],
            &["share", &shared],
            &["unshare", "x"],
            &["settings", "limits.upload", "1MB"],
            &["doctor"],
        ] {
            let ended = home.run(arguments).failed();
            let told = format!("{}{}", ended.stdout, ended.stderr).to_lowercase();
            assert!(told.contains(says), "{ended:#?}");
        }
        assert!(listing(&home.data()) == before);
    }
    fs::remove_file(home.data().join("settings.toml")).unwrap();
    fs::write(&format, ours).unwrap();
    assert_eq!(home.json(&["list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_data_folder_without_a_format_is_taken_and_marked() {
    let world = World::new();
    let home = world.home("a");
    let file = world.file("x", b"content");
    home.run(&["share", &file, "--no-serve"]).done();
    let format = home.data().join("format");
    let ours = fs::read(&format).unwrap();
    // As the first version left it, and as a power cut leaves a file that was not synced.
    fs::remove_file(&format).unwrap();
    assert_eq!(home.json(&["list"]).as_array().unwrap().len(), 1);
    assert_eq!(fs::read(&format).unwrap(), ours);
    fs::write(&format, "").unwrap();
    assert_eq!(home.json(&["list"]).as_array().unwrap().len(), 1);
    assert_eq!(fs::read(&format).unwrap(), ours);
}
