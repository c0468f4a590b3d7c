//! Watching recovers by itself: from disks that are mounted and unmounted, lost events, full disks,
//! and changes that raise no events.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::{
    system::{Mount, is_root, run},
    watch::{listed, put, shares},
    world::{Home, Node, Run, World, assert_content, eventually, noise, text},
};

/// The status of the first watched folder.
fn watched(home: &Home) -> Value {
    home.json(&["status"])["health"]["watches"][0].clone()
}

/// Waits until there is a share with this name.
fn shared(home: &Home, name: &str) {
    eventually(&format!("{name} to be shared"), || {
        let listed = listed(home);
        listed
            .iter()
            .any(|(listed, _)| listed == name)
            .then_some(())
    });
}

/// Starts a node through another program, which becomes the node.
fn started_by(home: &Home, program: &[&str], arguments: &[&str]) -> Run {
    let binary = env!("CARGO_BIN_EXE_pelago");
    let mut all: Vec<&str> = program[1..].to_vec();
    all.extend([binary, "start", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    all.extend(arguments);
    let run = Run::new(home.program(program[0], &all));
    run.out.wait(|line| line == "ready", "ready");
    run
}

/// ```text
///   shared/ ── here
///           └─ disk/   a disk that is mounted, unmounted and mounted again while the node runs
/// ```
#[test]
fn a_disk_that_comes_and_goes_below_a_watched_folder_is_watched_each_time() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    put(&folder, "here", b"1");
    fs::create_dir(folder.join("disk")).unwrap();
    let node = a.start(&["--dir", "shared"]);
    shared(&a, "here");
    for round in 0..2 {
        let Some(disk) = Mount::new(folder.join("disk"), "size=8m") else {
            return;
        };
        node.run.err.line("a disk was mounted or unmounted here");
        // A file that is created after the first scan shows that the disk is watched.
        put(disk.path(), &format!("first{round}"), b"2");
        shared(&a, &format!("disk/first{round}"));
        put(disk.path(), &format!("deep/second{round}"), b"3");
        shared(&a, &format!("disk/deep/second{round}"));
        assert_eq!(watched(&a)["relies_on"], "events");
        drop(disk);
        // The directory under the mount point is watched again as well.
        put(&folder, &format!("disk/below{round}"), b"4");
        shared(&a, &format!("disk/below{round}"));
        fs::remove_file(folder.join(format!("disk/below{round}"))).unwrap();
    }
    shared(&a, "here");
}

/// ```text
///   shared/     a disk is mounted over the folder itself while the node runs
/// ```
#[test]
fn a_disk_that_is_mounted_over_a_watched_folder_is_watched() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    put(&folder, "below", b"1");
    let node = a.start(&["--dir", "shared"]);
    shared(&a, "below");
    let Some(disk) = Mount::new(folder.clone(), "size=8m") else {
        return;
    };
    node.run.err.line("a disk was mounted or unmounted here");
    put(disk.path(), "above", b"2");
    shared(&a, "above");
    drop(disk);
    shared(&a, "below");
    put(&folder, "later", b"3");
    shared(&a, "later");
}

/// A directory without read permission does not affect others, and is watched once it can be read.
#[test]
fn a_subfolder_that_cannot_be_read_costs_no_other_its_events() {
    if !is_root("a node without the rights of root") {
        return;
    }
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    put(&folder, "closed/inside", b"1");
    put(&folder, "open/first", b"2");
    let set_mode = |mode: &str| {
        let path = folder.join("closed");
        let done = Command::new("chmod").arg(mode).arg(path).status();
        assert!(done.unwrap().success());
    };
    set_mode("000");
    let without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let _node = started_by(&a, &without, &["--dir", "shared"]);
    shares(&a, &["open/first"]);
    let before = watched(&a);
    assert_eq!(
        (&before["relies_on"], &before["parts_count"]),
        (&"events".into(), &1.into())
    );
    assert_eq!(before["parts"][0]["path"], text(&folder.join("closed")));
    assert_eq!(before["parts"][0]["relies_on"], "polling");
    a.run(&["status"])
        .done()
        .prints("closed")
        .prints("Permission denied");
    put(&folder, "open/second", b"3");
    shares(&a, &["open/first", "open/second"]);
    set_mode("755");
    shares(&a, &["closed/inside", "open/first", "open/second"]);
    put(&folder, "closed/later", b"4");
    shared(&a, "closed/later");
    assert_eq!(watched(&a)["parts_count"], 0);
}

/// When the system allows no more watches, further folders are scanned, until it allows more.
#[test]
fn a_lack_of_watches_is_reported_and_new_ones_are_taken() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    let (limit, ready) = ("/proc/sys/user/max_inotify_watches", a.path("more"));
    put(&folder, "1/2/3/first", b"1");
    // The node runs in its own user namespace, whose limit changes meanwhile.
    let script = format!(
        "echo 6 > {limit} || exit 9; \
         (while [ ! -e {ready} ]; do sleep 0.05; done; echo 1000 > {limit}; touch {ready}.done) & \
         exec \"$@\"",
        ready = ready.display()
    );
    let namespace = ["--user", "--map-root-user"];
    let probe = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-c", &format!("echo 6 > {limit}")])
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("skipped: namespaces of users take rights");
        return;
    }
    let program = [
        "unshare",
        namespace[0],
        namespace[1],
        "sh",
        "-c",
        &script,
        "sh",
    ];
    let quick = a.clone().with("PELAGO_STORAGE_RESCAN_SECONDS", "1");
    let _node = started_by(&quick, &program, &["--dir", "shared"]);
    shares(&a, &["1/2/3/first"]);
    assert_eq!(watched(&a)["parts_count"], 0);
    for at in 0..8 {
        put(&folder, &format!("more/{at}/file"), b"2");
    }
    let folder_status = eventually("a notice of the limit", || {
        let watched = watched(&a);
        (watched["parts_count"].as_u64()? > 0).then_some(watched)
    });
    let why = folder_status["parts"][0]["why"].as_str().unwrap();
    assert!(
        why.contains("fs.inotify.max_user_watches"),
        "{folder_status}"
    );
    let doctor = a.run(&["doctor"]);
    assert!(
        doctor.stdout.contains("fs.inotify.max_user_watches"),
        "{doctor:#?}"
    );
    // Folders without a watch are scanned.
    for at in 0..8 {
        put(&folder, &format!("more/{at}/late"), b"3");
    }
    for at in 0..8 {
        shared(&a, &format!("more/{at}/late"));
    }
    fs::write(&ready, "").unwrap();
    eventually("all folders to be watched", || {
        (watched(&a)["parts_count"] == 0).then_some(())
    });
    put(&folder, "more/7/last", b"4");
    shared(&a, "more/7/last");
}

/// While the node is stopped, the system drops events. Folders that were created then are watched
/// nevertheless.
#[test]
fn folders_made_while_events_were_lost_are_watched() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    put(&folder, ".pelagoignore", b"*.tmp\n");
    put(&folder, "here", b"1");
    let node = a.start(&["--dir", "shared"]);
    shared(&a, "here");
    node.run.signal("STOP");
    for at in 0..12_000 {
        fs::write(folder.join(format!("{at}.tmp")), b"").unwrap();
    }
    put(&folder, "made/meanwhile/file", b"2");
    node.run.signal("CONT");
    shares(&a, &["here", "made/meanwhile/file"]);
    put(&folder, "made/meanwhile/later", b"3");
    shares(&a, &["here", "made/meanwhile/file", "made/meanwhile/later"]);
}

/// The disk with the data folder is full for a while. Then all files are shared.
#[test]
fn a_disk_that_was_full_for_a_moment_costs_no_share() {
    let world = World::new();
    let a = world.home("a");
    let Some(disk) = Mount::new(a.data(), "size=12m") else {
        return;
    };
    let folder = a.path("shared");
    let count = 300;
    for at in 0..count {
        put(&folder, &format!("{at:03}"), &noise(at, 300_000));
    }
    // An earlier run has written the files without which a node does not start on a full disk.
    let node = a.start(&[]);
    spare_kept(disk.path());
    node.stop();
    let filler = disk.path().join("filler");
    fill(&filler);
    let _node = a.start(&["--dir", "shared"]);
    let notice = eventually("a notice of the failure", || {
        let status = a.json(&["status"]);
        let notices = status["health"]["notices"].as_array()?.clone();
        notices.into_iter().find(|notice| notice["kind"] == "watch")
    });
    assert_eq!(notice["problem"], true, "{notice}");
    assert!(listed(&a).len() < count as usize);
    fs::remove_file(&filler).unwrap();
    eventually("every file to be shared", || {
        (listed(&a).len() == count as usize).then_some(())
    });
    eventually("the failure to be over", || {
        watched(&a)["failure"].is_null().then_some(())
    });
}

/// Waits until the node has reserved its spare space: before, it could write to a disk that was
/// filled.
fn spare_kept(data: &Path) {
    eventually("the spare to be kept", || {
        let spare = fs::metadata(data.join("spare")).ok()?;
        (spare.len() == 1 << 20).then_some(())
    });
}

/// Fills the disk with a file at `path`.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    for len in [1 << 16, 1 << 12, 1] {
        let bytes = vec![1; len];
        while std::io::Write::write_all(&mut file, &bytes).is_ok() {}
    }
}

/// The second folder is shared while the node hashes the first, which takes long.
#[test]
fn the_second_folder_does_not_wait_for_the_first() {
    let world = World::new();
    let a = world.home("a");
    fs::create_dir(a.path("large")).unwrap();
    let file = fs::File::create(a.path("large/file")).unwrap();
    file.set_len(6 << 30).unwrap();
    drop(file);
    put(&a.path("small"), "file", b"1");
    let node = a.start(&["--dir", "large", "--dir", "small"]);
    let first = eventually("a file to be shared", || listed(&a).pop());
    assert_eq!(listed(&a), [first]);
    let large = watched(&a);
    assert!(
        large["path"].as_str().unwrap().ends_with("large"),
        "{large}"
    );
    assert!(large["looks_since_unix_ms"].is_u64(), "{large}");
    node.kill();
}

/// ```text
///   elsewhere/ ──(bindfs)──▶ shared/far/   changes on the left raise no events on the right
/// ```
#[test]
fn changes_without_events_are_found_by_a_scan() {
    let world = World::new();
    let a = world.home("a");
    let (elsewhere, folder) = (a.path("elsewhere"), a.path("shared"));
    put(&elsewhere, "first", b"1");
    put(&folder, "here", b"2");
    let Some(_mounted) = Bound::new(&elsewhere, &folder.join("far")) else {
        return;
    };
    let quick = a.clone().with("PELAGO_STORAGE_RESCAN_SECONDS", "2");
    let _node = quick.start(&["--dir", "shared"]);
    shares(&a, &["far/first", "here"]);
    let part = watched(&a)["parts"][0].clone();
    assert_eq!(part["relies_on"], "events-and-polling");
    assert!(part["why"].as_str().unwrap().contains("fuse"), "{part}");
    put(&elsewhere, "deep/second", b"3");
    shared(&a, "far/deep/second");
    put(&elsewhere, "deep/second", b"4 is other content");
    let before = listed(&a);
    eventually("the other content to be shared", || {
        (listed(&a) != before).then_some(())
    });
    fs::remove_file(elsewhere.join("first")).unwrap();
    shares(&a, &["far/deep/second", "here"]);
    // Files that are added through the mounted folder raise events.
    put(&folder, "far/third", b"5");
    shared(&a, "far/third");
}

/// ```text
///   B ──▶ A      the program behind one of A's disks hangs, as a server does that is away
/// ```
#[test]
fn a_disk_that_hangs_delays_no_other() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let (elsewhere, near) = (a.path("elsewhere"), a.path("near"));
    put(&elsewhere, "film", &noise(1, 600_000));
    put(&elsewhere, "album/song", &noise(2, 300_000));
    put(&near, "note", &noise(3, 300_000));
    let Some(disk) = Bound::new(&elsewhere, &a.path("far")) else {
        return;
    };
    let node = a.start(&["--dir", "near", "--dir", "far"]);
    shares(&a, &["album/song", "film", "note"]);
    let album = a.share("far/album");
    let hash = |name: &str| listed(&a).into_iter().find(|(of, _)| of == name).unwrap().1;
    let (film, note, peer) = (hash("film"), hash("note"), node.address());
    let get = |hash: &str, to: &str, timeout: &str| {
        b.run(&[
            "download",
            hash,
            "--peer",
            &peer,
            "-o",
            to,
            "--timeout",
            timeout,
        ])
    };

    disk.signal("STOP");
    eventually("its shares to be unreadable", || {
        let shares = a.json(&["list"]);
        let of = |name: &str| {
            shares
                .as_array()?
                .iter()
                .find(|share| share["name"] == *name)
        };
        let is_unreadable = |name: &str| Some(of(name)?["state"] == "unreadable");
        (is_unreadable("film")? && is_unreadable("album")?).then_some(())
    });
    get(&note, "note", "20").done();
    let offered = b.json(&["list", "--peer", &peer]);
    assert_eq!(offered.as_array().unwrap().len(), 1, "{offered:#}");
    put(&near, "later", b"later");
    shared(&a, "later");
    let why = "the disk does not respond";
    a.run(&["status"]).done().prints(why);
    a.run(&["doctor"])
        .code(1)
        .prints(why)
        .prints("far/film (a share) cannot be read");

    disk.signal("CONT");
    for (hash, to) in [(&film, "film"), (&album, "album")] {
        get(hash, to, "50").done();
    }
    assert_content(&b.path("album/song"), &noise(2, 300_000));
    assert_eq!(watched(&a)["failure"], Value::Null);
}

/// A directory that FUSE mounts at a second path.
struct Bound {
    at: std::path::PathBuf,
    program: Child,
}

impl Bound {
    fn new(from: &Path, to: &Path) -> Option<Self> {
        if !is_root("bindfs") {
            return None;
        }
        fs::create_dir_all(to).unwrap();
        let program = Command::new("bindfs").arg("-f").args([from, to]).spawn();
        let Ok(mut program) = program else {
            eprintln!("skipped: bindfs is not here");
            return None;
        };
        let mounts = || fs::read_to_string("/proc/mounts").unwrap();
        let mounted = eventually("the directory to be mounted", || {
            let is_mounted = mounts().contains(&format!(" {} fuse", to.display()));
            let has_failed = program.try_wait().unwrap().is_some();
            (is_mounted || has_failed).then_some(is_mounted)
        });
        if !mounted {
            eprintln!("skipped: /dev/fuse is not here");
            return None;
        }
        let at = to.to_owned();
        Some(Self { at, program })
    }

    fn signal(&self, signal: &str) {
        run(&format!("kill -{signal} {}", self.program.id())).unwrap();
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.signal("CONT");
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        let _ = self.program.wait();
    }
}

/// ```text
///   B ──▶ A      B has downloaded files of A's disk, which is then unmounted
/// ```
#[test]
fn a_disk_whose_files_were_served_can_be_unmounted() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(disk) = Mount::new(a.path("disk"), "size=32m") else {
        return;
    };
    put(disk.path(), "file", &noise(7, 3_000_000));
    put(disk.path(), "album/one", &noise(8, 600_000));
    put(disk.path(), "album/two", &noise(9, 600_000));
    let node: Node = a.start(&["--dir", "disk"]);
    shared(&a, "album/two");
    let album = a.share("disk/album");
    let file = listed(&a)
        .into_iter()
        .find(|(name, _)| name == "file")
        .unwrap()
        .1;
    for hash in [&file, &album] {
        b.run(&["download", hash, "--peer", &node.address(), "-o", hash])
            .done();
    }
    disk.unmount();
}

/// ```text
///   B ──▶ A      B downloads to a disk, pauses, and unmounts the disk
/// ```
#[test]
fn a_disk_with_a_paused_download_can_be_unmounted() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(disk) = Mount::new(b.path("disk"), "size=32m") else {
        return;
    };
    let node = a.start(&[]);
    let hash = a.share(&world.file("file", &noise(7, 9_000_000)));
    let slow = b.clone().with("PELAGO_TRANSFER_DOWNLOAD_LIMIT", "400000");
    let _node = slow.start(&[]);
    let peer = node.address();
    b.run(&[
        "download", &hash, "--peer", &peer, "-o", "disk/got", "--detach",
    ])
    .done();
    eventually("some of it to be there", || {
        let downloads = b.json(&["downloads"]);
        (downloads[0]["verified_bytes"].as_u64()? > 0).then_some(())
    });
    b.run(&["pause", &hash]).done();
    disk.unmount();
}

/// ```text
///   B ── A      A ends during B's download, and B's disk is unmounted while the download waits
/// ```
#[test]
fn a_disk_with_a_waiting_download_can_be_unmounted() {
    let world = World::new();
    let a = world.home("a");
    let b = world.home("b").with("PELAGO_TRANSFER_TIMEOUT_SECONDS", "2");
    let Some(disk) = Mount::new(b.path("backing"), "size=32m") else {
        return;
    };
    let at = b.path("disk");
    fs::create_dir(&at).unwrap();
    let mount = |line: &str| run(line).unwrap();
    let bind = format!("mount --bind {} {}", disk.path().display(), at.display());
    mount(&bind);
    let content = noise(7, 9_000_000);
    let path = world.file("file", &content);
    let node = a.start(&[]);
    let hash = a.share(&path);
    let _b_node = b.start(&[]);
    b.run(&["limit", "--download", "400k"]).done();
    let peer = node.address();
    b.run(&[
        "download", &hash, "--peer", &peer, "-o", "disk/got", "--detach",
    ])
    .done();
    let state = |wanted: &str| {
        eventually(&format!("it to be {wanted}"), || {
            let downloads = b.json(&["downloads"]);
            let is_begun = downloads[0]["verified_bytes"].as_u64()? > 0;
            (is_begun && downloads[0]["state"] == *wanted).then_some(())
        });
    };
    state("downloading");
    let (_, port) = peer.rsplit_once(':').unwrap();
    node.kill();
    state("waiting");
    eventually("the disk to be free", || {
        run(&format!("umount {}", at.display())).ok()
    });
    // The disk is mounted again, and the download resumes where it stopped.
    mount(&bind);
    b.run(&["limit", "--download", "off"]).done();
    let listen = format!("/ip4/127.0.0.1/tcp/{port}");
    let _node = a.started(&["start", "--listen", &listen]);
    state("done");
    assert_content(&at.join("got"), &content);
    mount(&format!("umount {}", at.display()));
}

/// The space of a deleted file becomes free, though the node has just served the file.
#[test]
fn the_space_of_a_deleted_file_comes_back() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(disk) = Mount::new(a.path("disk"), "size=32m") else {
        return;
    };
    put(disk.path(), "file", &noise(7, 9_000_000));
    let node = a.start(&[]);
    let hash = a.share("disk/file");
    b.run(&["download", &hash, "--peer", &node.address(), "-o", "got"])
        .done();
    fs::remove_file(disk.path().join("file")).unwrap();
    eventually("the space to be free", || {
        let usage = Command::new("df")
            .args(["--output=used", "-B1"])
            .arg(disk.path())
            .output();
        let usage = String::from_utf8(usage.unwrap().stdout).unwrap();
        let used: u64 = usage.lines().last()?.trim().parse().ok()?;
        (used < 1_000_000).then_some(())
    });
}

/// The disk with the data folder is full when a download ends, so that its share cannot be
/// recorded.
#[test]
fn a_download_is_shared_once_the_disk_has_space_again() {
    let world = World::new();
    let a = world.home("a");
    let Some(disk) = Mount::new(a.data(), "size=12m") else {
        return;
    };
    // B already has the content. Its tree needs more than the spare space.
    let content = fs::File::create(a.path("got")).unwrap();
    content.set_len(600 << 20).unwrap();
    drop(content);
    let hash = a.hash("got");
    let _node = a.start(&[]);
    a.share(&world.file("other", b"2"));
    spare_kept(disk.path());
    let filler = disk.path().join("filler");
    fill(&filler);
    a.run(&["download", &hash, "-o", "got"]).done();
    let notice = eventually("a notice of the failure", || {
        let status = a.json(&["status"]);
        let notices = status["health"]["notices"].as_array()?.clone();
        let name = format!("share-download {hash}");
        let is_it = |notice: &Value| notice["what"].as_str().unwrap().contains(&name);
        notices.into_iter().find(is_it)
    });
    assert_eq!(notice["kind"], "duty");
    assert!(!listed(&a).iter().any(|(_, listed)| *listed == hash));
    fs::remove_file(&filler).unwrap();
    eventually("the download to be shared", || {
        let listed = listed(&a);
        listed
            .iter()
            .any(|(_, listed)| *listed == hash)
            .then_some(())
    });
}

/// A folder is watched for a group, which is named as people name it.
#[test]
fn a_folder_is_watched_for_a_group() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    put(&folder, "here", b"1");
    let node = a.start(&["--dir", "shared"]);
    shared(&a, "here");
    a.run(&["user", "create", "anna", "--no-passphrase"]).done();
    a.run(&["group", "create", "family"]).done();
    node.stop();
    for unknown in ["work", &"ab".repeat(32)] {
        let refused = a.run(&["start", "--dir", "shared", "--group", unknown]);
        refused
            .failed()
            .says("the watched folders cannot be shared with a group");
    }

    let _node = a.start(&["--dir", "shared", "--group", "family"]);
    put(&folder, "new", b"2");
    shared(&a, "new");
    // What was everyone's so far is the group's now.
    eventually("both files to be the group's alone", || {
        let listed = a.json(&["list"]);
        let listed = listed["shares"].as_array().or(listed.as_array())?.clone();
        let is_groups = |share: &Value| share["group_only"] == true;
        (listed.len() == 2 && listed.iter().all(is_groups)).then_some(())
    });

    // The founder leaves only if that is confirmed, and still decides about her shares.
    a.run(&["group", "leave", "family"])
        .failed()
        .says("you founded this group")
        .says("--yes");
    a.run(&["group", "leave", "family", "--yes"])
        .done()
        .prints("left family")
        .says("group add");
    a.run(&["unshare", "new", "--group", "family"])
        .done()
        .prints("no longer shared with family");
}
