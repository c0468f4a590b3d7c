//! The data folder: its version, a damaged database, and a start on a full disk.

use std::{fs, io::Write as _, path::Path};

use crate::system::Mount;
use crate::world::{Ended, Home, World, eventually, noise, text};

/// The paths of all entries of a folder, and the contents of its files.
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
        ours.starts_with("pelago data folder, format 3, written by "),
        "{ours}"
    );
    // The newer version also left settings that this version does not know.
    fs::write(home.data().join("settings.toml"), "[transfer]\nwarp = 9\n").unwrap();
    let shared = world.file("y", b"other");
    for (line, says) in [
        (
            "pelago data folder, format 4, written by 0.9.0\n",
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
            let output = format!("{}{}", ended.stdout, ended.stderr).to_lowercase();
            assert!(output.contains(says), "{ended:#?}");
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
    // The first version wrote no such file, and a power cut leaves an empty one that was not
    // synced.
    fs::remove_file(&format).unwrap();
    assert_eq!(home.json(&["list"]).as_array().unwrap().len(), 1);
    assert_eq!(fs::read(&format).unwrap(), ours);
    fs::write(&format, "").unwrap();
    assert_eq!(home.json(&["list"]).as_array().unwrap().len(), 1);
    assert_eq!(fs::read(&format).unwrap(), ours);
}

/// The hashes and names of the shares.
fn listed(home: &Home) -> Vec<(String, String)> {
    let listed = home.json(&["list"]);
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let listed = listed.as_array().unwrap().iter();
    let mut listed: Vec<_> = listed
        .map(|share| (word(&share["hash"]), word(&share["name"])))
        .collect();
    listed.sort();
    listed
}

#[track_caller]
fn without_panic(ended: &Ended) {
    let output = format!("{}{}", ended.stdout, ended.stderr);
    assert!(
        !output.contains("panicked") && !output.contains("RUST_BACKTRACE"),
        "{output}"
    );
}

#[test]
fn a_damaged_database_costs_no_share_and_is_reported() {
    let world = World::new();
    let home = world.home("a");
    let mut arguments = vec!["share".to_owned(), "--no-serve".to_owned()];
    for number in 0..100 {
        arguments.push(world.file(&format!("single-{number}"), &noise(number, 1000)));
    }
    for number in 0..300 {
        let name = format!("folder-{}/{number}", number % 3);
        world.file(&name, &noise(1000 + number, 1000));
        world.file(&format!("watched/{number}"), &noise(2000 + number, 1000));
    }
    arguments.extend((0..3).map(|number| text(&world.path(&format!("folder-{number}")))));
    home.run(&arguments).done();
    let watched = ["--dir".to_owned(), text(&world.path("watched"))];
    let watched = watched.each_ref().map(String::as_str);
    let node = home.start(&watched);
    let all = eventually("all shares", || {
        Some(listed(&home)).filter(|listed| listed.len() == 403)
    });
    node.stop();
    home.run(&["doctor"]).prints("it is intact");

    let path = home.data().join("state.redb");
    let good = fs::read(&path).unwrap();
    let overwritten = |from: usize| {
        let mut database = good.clone();
        database[from..from + 80_000].copy_from_slice(&noise(7, 80_000));
        database
    };
    // A damaged header, damaged rows, a truncated file, and no database at all.
    let damaged = [
        overwritten(0),
        overwritten(8192),
        good[..good.len() / 2].to_vec(),
        b"a note to myself\n".to_vec(),
    ];
    for (number, database) in damaged.iter().enumerate() {
        fs::write(&path, database).unwrap();
        let doctor = home.run(&["doctor"]).failed();
        without_panic(&doctor);
        assert!(doctor.stdout.contains("problem  database"), "{doctor:#?}");
        assert!(
            &fs::read(&path).unwrap() == database,
            "doctor changes nothing"
        );

        // In half of the rounds, a command without a node is the first to open the database.
        if number.is_multiple_of(2) {
            let list = home.run(&["list"]).done().says("the database was damaged");
            without_panic(&list);
            assert!(list.stdout.contains("single-7"), "{list:#?}");
        }
        let node = home.start(&watched);
        eventually("what was shared", || {
            Some(()).filter(|()| listed(&home) == all)
        });
        let doctor = home.run(&["doctor"]).prints("damaged files were set aside");
        let aside = format!("state.redb.damaged-{}", number + 1);
        assert!(doctor.stdout.contains(&aside), "{doctor:#?}");
        assert!(&fs::read(home.data().join(&aside)).unwrap() == database);
        without_panic(&node.stop());
    }
}

#[test]
fn what_is_not_found_again_after_damage_is_listed_until_it_is() {
    let world = World::new();
    let home = world.home("a");
    world.file("folder/x", b"in the folder");
    let [folder, file] = [text(&world.path("folder")), world.file("y", b"alone")];
    home.run(&["share", "--no-serve", &folder, &file]).done();
    // Both paths are missing, as on a disk that is not mounted.
    for name in ["folder", "y"] {
        fs::rename(world.path(name), world.path(&format!("{name}-away"))).unwrap();
    }
    let path = home.data().join("state.redb");
    fs::write(&path, b"").unwrap();
    let node = home.start(&[]);
    node.run
        .err
        .line("2 shares were lost with the damaged database");
    home.run(&["doctor"]).prints(&folder).prints(&file);
    node.stop();

    fs::rename(world.path("folder-away"), &folder).unwrap();
    let node = home.start(&[]);
    eventually("the folder", || {
        Some(()).filter(|()| listed(&home).len() == 1)
    });
    let doctor = eventually("the list without the folder", || {
        let doctor = home.run(&["doctor"]);
        (!doctor.stdout.contains(&folder)).then_some(doctor)
    });
    doctor.prints(&file);
    node.stop();

    // An error of the disk is not taken for damage: the command changes nothing.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let before = listing(&home.data());
    home.run(&["list"]).failed().says("state.redb");
    assert!(listing(&home.data()) == before);
}

/// ```text
///   B ── A      the disk with B's data folder and downloads is full when B starts
/// ```
#[test]
fn a_node_starts_on_a_full_disk_and_room_is_made_while_it_runs() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(mount) = Mount::new(world.path("disk"), "size=24m") else {
        return;
    };
    let b = b.with("PELAGO_DATA_DIR", &text(&mount.path().join("data")));
    let a_node = a.start(&[]);
    let address = a_node.address();
    let target = |name: &str| text(&mount.path().join(name));
    let download = |name: &str, hash: &str| {
        b.run(&["download", hash, "--peer", &address, "-o", &target(name)])
    };
    let share = |name: &str, size: usize| a.share(&world.file(name, &noise(size as u64, size)));
    let (one, two, big) = (
        share("one", 4 << 20),
        share("two", 3 << 20),
        share("big", 32 << 20),
    );
    let small = share("small", 5);
    let fill = |name: &str| {
        let mut file = fs::File::create(mount.path().join(name)).unwrap();
        for piece in [65_536, 4096, 1] {
            while file.write_all(&vec![1; piece]).is_ok() {}
        }
    };
    let node = b.start(&[]);
    download("one", &one).done();
    download("big", &big).failed();
    node.stop();
    fill("fill");

    let node = b.start(&[]);
    node.run.err.line("is full");
    assert_eq!(listed(&b).len(), 1);
    // Downloads may fail on a full disk.
    download("two", &two).failed();
    b.run(&["unshare", "one"]).done();
    assert_eq!(listed(&b).len(), 0);
    b.run(&["cancel", "two"]).done();
    b.run(&["cancel", "big"]).done();
    assert!(!mount.path().join("big.part").exists());

    // There is space again, and the same node uses it.
    download("two", &two).done();
    assert_eq!(listed(&b).len(), 1);
    fill("more");
    b.run(&["remove", "two", "--with-data"]).done();
    assert!(!mount.path().join("two").exists());
    download("small", &small).done();
    node.stop();

    let _node = b.start(&[]);
    assert_eq!(listed(&b).len(), 1);
    let downloads = b.json(&["downloads"]);
    let names: Vec<_> = downloads
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["one", "small"]);
}
