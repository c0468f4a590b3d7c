//! Folders as people have them: all entries arrive, and those that the receiver cannot hold are
//! listed.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    path::Path,
    process::Command,
};

use super::{
    system::{Exfat, is_root},
    terminal::{ENTER, Terminal},
    trees::{Pair, TreeEntry, assert_same, number, tree_entries, write},
    world::{World, noise, text},
};

/// Writes an executable file.
fn program(folder: &Path, path: &str) {
    write(folder, path, b"#!/bin/sh\n");
    fs::set_permissions(folder.join(path), fs::Permissions::from_mode(0o755)).unwrap();
}

fn link(folder: &Path, path: &str, target: &str) {
    fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
    symlink(target, folder.join(path)).unwrap();
}

/// A folder like those of `python3 -m venv`.
fn virtual_environment(folder: &Path) {
    link(folder, "bin/python", "python3");
    link(folder, "bin/python3", "/usr/bin/python3");
    link(folder, "lib64", "lib");
    program(folder, "bin/pip");
    write(folder, "lib/python3.13/site-packages/pip/__init__.py", b"");
    write(folder, "pyvenv.cfg", b"home = /usr/bin\n");
}

/// A part of the sources of Linux, with names that differ in letter case.
fn kernel(folder: &Path) {
    write(
        folder,
        "drivers/gpu/drm/nouveau/nvkm/subdev/i2c/aux.c",
        b"aux",
    );
    write(
        folder,
        "drivers/gpu/drm/nouveau/nvkm/subdev/i2c/aux.h",
        b"aux.h",
    );
    for name in [
        "xt_DSCP",
        "xt_dscp",
        "xt_MARK",
        "xt_mark",
        "xt_TCPMSS",
        "xt_tcpmss",
    ] {
        write(folder, &format!("net/netfilter/{name}.c"), name.as_bytes());
        write(
            folder,
            &format!("include/uapi/linux/netfilter/{name}.h"),
            name.as_bytes(),
        );
    }
    link(
        folder,
        "scripts/dtc/include-prefixes/arm",
        "../../../arch/arm/boot/dts",
    );
    write(folder, "arch/arm/boot/dts/a.dts", b"/dts-v1/;");
    program(folder, "scripts/checkpatch.pl");
    write(folder, "Documentation/large", &noise(1, 700_000));
}

fn node_modules(folder: &Path) {
    program(folder, "node_modules/typescript/bin/tsc");
    link(folder, "node_modules/.bin/tsc", "../typescript/bin/tsc");
    write(folder, "node_modules/@types/node/index.d.ts", b"declare");
    let deep = ["node_modules/deep"; 12].join("/");
    write(folder, &format!("{deep}/index.js"), b"deep");
    link(folder, "node_modules/workspace", "../packages/workspace");
    write(folder, "packages/workspace/package.json", b"{}");
    link(folder, "node_modules/linked", "/home/user/linked");
}

fn repository(folder: &Path) {
    write(folder, "README", b"hello");
    program(folder, "run.sh");
    let git = |arguments: &[&str]| {
        let command = Command::new("git")
            .args(arguments)
            .current_dir(folder)
            .output();
        command.is_ok_and(|output| output.status.success())
    };
    let identity = ["-c", "user.name=a", "-c", "user.email=a@b"];
    let commit = [&identity[..], &["commit", "-q", "-m", "one"]].concat();
    if !(git(&["init", "-q"]) && git(&["add", "."]) && git(&commit)) {
        eprintln!("skipped: there is no git");
    }
}

/// Names and links that Linux allows and other systems do not.
fn odd(folder: &Path) {
    let long = "n".repeat(255);
    let names = [
        "CON",
        "a:b",
        "back\\slash",
        "e\u{301}",
        "\u{e9}",
        "ends with a dot.",
        "ends with a space ",
        "new\nline",
        "README",
        "readme",
        "what?",
        "\u{1f469}\u{200d}\u{1f52c}",
        "-rf",
        "...",
        &long,
    ];
    for name in names {
        write(folder, &format!("names/{name}"), name.as_bytes());
        write(folder, &format!("{name}/file"), b"the same");
    }
    for (number, target) in [
        "/",
        "../../../x",
        "names/../names",
        "gone/..",
        "itself",
        "names",
    ]
    .iter()
    .enumerate()
    {
        link(folder, &format!("links/{number}"), target);
    }
    link(folder, "links/itself", "itself");
    fs::create_dir_all(folder.join("empty/of all")).unwrap();
    write(folder, "secret", b"x");
    fs::set_permissions(folder.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// Writes a folder.
type Plant = fn(&Path);

const KINDS: [(&str, Plant); 5] = [
    ("venv", virtual_environment),
    ("linux", kernel),
    ("project", node_modules),
    ("repository", repository),
    ("odd", odd),
];

/// Asserts that names, contents, links and executable files are the same.
#[track_caller]
fn assert_no_difference(folder: &Path, original: &Path) {
    let mut diff = Command::new("diff");
    let output = diff
        .args(["-r", "--no-dereference"])
        .args([original, folder])
        .output()
        .unwrap();
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && found.is_empty(), "{found}");
    assert_same(folder, original);
}

/// ```text
///   B ── A      A shares folders of all kinds, and B downloads them with all links
/// ```
#[test]
fn a_folder_of_any_kind_arrives_as_it_is() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node = a.start(&[]);
    for (name, plant) in KINDS {
        let folder = world.path(name);
        fs::create_dir(&folder).unwrap();
        plant(&folder);
        let folder = text(&folder);
        let hash = a.share(&folder);
        assert_eq!(hash, a.hash(&folder));
        let peer = node.address();
        let download = [
            "download", &hash, "--peer", &peer, "-o", name, "--links", "all",
        ];
        let finished = b.json(&download);
        assert_eq!(finished.get("differences"), None, "{finished}");
        assert_no_difference(&b.path(name), &world.path(name));
        assert_eq!(b.hash(&text(&b.path(name))), hash);
    }
}

/// ```text
///   B ── A      A runs as root, and shares folders of the system
/// ```
#[test]
fn folders_of_the_system_arrive_as_they_are() {
    if !is_root("reading all of /etc") {
        return;
    }
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node = a.start(&[]);
    for folder in [
        "/etc",
        "/var/log",
        "/usr/include/linux",
        "/usr/lib/python3/dist-packages",
    ] {
        if !Path::new(folder).is_dir() {
            eprintln!("skipped: there is no {folder}");
            continue;
        }
        // The comparison does not follow absolute links.
        let hash = a.share(folder);
        let peer = node.address();
        let name = folder[1..].replace('/', "-");
        b.run(&[
            "download", &hash, "--peer", &peer, "-o", &name, "--links", "all",
        ])
        .done();
        assert_no_difference(&b.path(&name), Path::new(folder));
    }
}

/// ```text
///   A      shares a folder with entries that have no content, and entries that cannot be shared
/// ```
#[test]
fn what_cannot_be_carried_is_named_and_asked_about() {
    let world = World::new();
    let a = world.home("a");
    let folder = world.path("box");
    write(&folder, "sub/file", b"content");
    let path = text(&folder);
    let before = a.hash(&path);
    let _socket = UnixListener::bind(folder.join("socket")).unwrap();
    // One line reports the entry, and the command succeeds.
    a.run(&["hash", &path])
        .done()
        .says("left out, as it has no content: 1 socket");
    let shared = a.json(&["share", &path, "--no-serve"]);
    assert_eq!(
        (shared[0]["hash"].as_str(), number(&shared[0], "size")),
        (Some(&before[..]), 7)
    );
    assert_eq!(
        shared[0]["notes"][0],
        "left out, as it has no content: 1 socket"
    );
    a.run(&["unshare", "box"]).done();

    for number in 0..22 {
        let name = [b"sub/\xff\n", number.to_string().as_bytes()].concat();
        fs::write(folder.join(OsStr::from_bytes(&name)), "x").unwrap();
    }
    for verb in [&["share", "--no-serve"][..], &["hash"]] {
        let refused = a.run(&[verb, &[&path]].concat()).failed();
        let refused = refused
            .says("22 entries cannot be carried")
            .says(r"sub/\xff\n0: its name is not");
        refused.says("and 2 more").says("--skip-unsupported");
        let skipped = a
            .run(&[verb, &[&path, "--skip-unsupported"]].concat())
            .done();
        assert!(skipped.stdout.contains(&before), "{skipped:?}");
    }
    a.run(&["unshare", "box"]).done();
    assert_eq!(a.json(&["list"]).as_array().unwrap().len(), 0);

    let mut terminal = Terminal::open(&a, &["share", &path, "--no-serve"]);
    terminal.sees("share the folder without these? [y/N]");
    terminal.types(&format!("y{ENTER}"));
    terminal.sees(&before);
    assert_eq!(terminal.end(), Some(0));
    a.run(&["unshare", "box"]).done();

    let _node = a.start(&[]);
    let mut terminal = Terminal::open(&a, &["share", &path]);
    terminal.sees("22 entries cannot be carried");
    terminal.sees("share the folder without these? [y/N]");
    terminal.types(&format!("n{ENTER}"));
    assert_eq!(terminal.end(), Some(1));
    let mut terminal = Terminal::open(&a, &["share", &path]);
    terminal.sees("share the folder without these? [y/N]");
    terminal.types(&format!("y{ENTER}"));
    terminal.sees(&before);
    assert_eq!(terminal.end(), Some(0));
}

/// ```text
///   A      runs as an unprivileged user who cannot read all of a folder
/// ```
#[test]
fn what_cannot_be_read_is_named_before_anything_is_hashed() {
    if !is_root("another user") {
        return;
    }
    let world = World::for_others();
    let a = world.home("a").of_nobody();
    let folder = world.path("box");
    write(&folder, "fine", b"fine");
    write(&folder, "secret", b"secret");
    write(&folder, "closed/file", b"file");
    for (path, mode) in [("secret", 0o600), ("closed", 0o700)] {
        fs::set_permissions(folder.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let path = text(&folder);
    let error = a.run(&["hash", &path]).failed().stderr;
    for what in [
        "2 entries cannot be carried",
        "box/secret: it cannot be read",
        "box/closed: it cannot be read",
    ] {
        assert!(error.contains(what), "{what}: {error}");
    }
    let hashed = a.json(&["hash", &path, "--skip-unsupported"]);
    assert_eq!(number(&hashed[0], "size"), 4);
}

/// ```text
///   A      shares the target of a link, without the files that .pelagoignore excludes
/// ```
#[test]
fn a_path_that_is_a_link_is_followed_and_rules_count() {
    let world = World::new();
    let a = world.home("a");
    let folder = world.path("real");
    write(&folder, "file", b"content");
    let before = a.hash(&text(&folder));
    write(&folder, ".pelagoignore", b"*.tmp\nbuild/\n");
    write(&folder, "x.tmp", b"x");
    write(&folder, "build/deep/x", b"x");
    symlink("real", world.path("link")).unwrap();
    symlink("real/file", world.path("to a file")).unwrap();
    let link = text(&world.path("link"));
    let hashed = a
        .run(&["hash", &link])
        .done()
        .says("link is a link: its target ");
    assert!(hashed.stdout.contains(&before), "{hashed:?}");
    let shared = &a.json(&["share", &link, "--no-serve"])[0];
    assert_eq!(
        (&shared["hash"], &shared["name"]),
        (&before.into(), &"link".into())
    );
    assert!(
        shared["notes"][0]
            .as_str()
            .unwrap()
            .contains("/real is used"),
        "{shared}"
    );
    let file = text(&world.path("to a file"));
    let shared = &a.json(&["share", &file, "--no-serve"])[0];
    assert_eq!(
        (number(shared, "size"), &shared["name"]),
        (7, &"to a file".into())
    );
}

/// ```text
///   C ── B ── A      B downloads the folder without some links, and sends all of it to C
/// ```
#[test]
fn links_that_lead_out_are_left_out_and_the_folder_is_the_same() {
    let pair = Pair::sharing(|folder| {
        fs::create_dir(folder).unwrap();
        virtual_environment(folder);
    });
    let (b, hash) = (&pair.b, &pair.hash);
    let done = b.run(&pair.download(&["-o", "inside"])).done();
    done.prints("the link bin/python3 -> /usr/bin/python3 is left out: it leads out of the folder");
    assert!(b.path("inside/bin/python3").symlink_metadata().is_err());
    assert_eq!(
        fs::read_link(b.path("inside/lib64")).unwrap(),
        Path::new("lib")
    );
    let finished = b.json(&pair.download(&["-o", "none", "--links", "none"]));
    assert_eq!(number(&finished["differences"], "links_left_out"), 3);
    assert_eq!(finished["differences"]["listed"][0]["path"], "bin/python");
    b.run(&pair.download(&["-o", "x", "--links", "some"]))
        .code(2)
        .says("[possible values: inside, all, none]");

    // Shared with a command, the copy has the hash of the original, though links are missing.
    for name in ["inside", "none"] {
        let path = text(&b.path(name));
        assert_eq!(&b.hash(&path), hash);
        assert_eq!(b.json(&["share", &path, "--no-serve"])[0]["hash"], hash[..]);
    }
    let node = b.start(&[]);
    let c = pair.world.home("c");
    pair.a.run(&["unshare", "box"]).done();
    let address = node.address();
    c.run(&[
        "download", hash, "--peer", &address, "-o", "copy", "--links", "all",
    ])
    .done();
    assert_no_difference(&c.path("copy"), &pair.original());
    node.stop();
    c.run(&[
        "download",
        hash,
        "--peer",
        &address,
        "-o",
        "copy",
        "--timeout",
        "0.5",
    ])
    .failed();

    // A link that the user creates at that path takes precedence.
    symlink("elsewhere", b.path("inside/bin/python3")).unwrap();
    assert_ne!(&b.hash(&text(&b.path("inside"))), hash);
    fs::remove_file(b.path("inside/bin/python3")).unwrap();
    assert_eq!(&b.hash(&text(&b.path("inside"))), hash);
}

/// ```text
///   C ── B ── A      B downloads the folder to a disk with exFAT, and sends it to C
/// ```
#[test]
fn what_a_file_system_cannot_hold_gets_a_name_that_it_can() {
    let pair = Pair::sharing(|folder| {
        fs::create_dir(folder).unwrap();
        for (name, plant) in KINDS {
            fs::create_dir(folder.join(name)).unwrap();
            plant(&folder.join(name));
        }
    });
    let (b, hash) = (&pair.b, &pair.hash);
    let Some(disk) = Exfat::new(&b.path("stick")) else {
        return;
    };
    let strict = pair.download(&["-o", "stick", "--strict-names"]);
    let refused = b
        .run(&strict)
        .failed()
        .says("cannot hold the folder as it is");
    refused.says("xt_dscp.c is called xt_dscp (2).c here");
    assert_eq!(fs::read_dir(b.path("stick")).unwrap().count(), 0);

    // A part of the folder first, then the rest to the same path.
    b.run(&pair.download(&["-o", "stick", "--only", "net"]))
        .done();
    let finished = b.json(&pair.download(&["-o", "stick"]));
    let differences = &finished["differences"];
    let listed = differences["listed"].as_array().unwrap();
    assert_eq!(
        listed.len(),
        number(differences, "renamed") + number(differences, "links_left_out")
    );
    let mut names = BTreeMap::new();
    for difference in listed
        .iter()
        .filter(|found| found["difference"] == "renamed")
    {
        let path = |field: &str| difference[field].as_str().unwrap().to_owned();
        names.insert(path("path"), path("name"));
    }
    assert_eq!(names["linux/net/netfilter/xt_dscp.c"], "xt_dscp (2).c");
    assert_eq!(names["odd/names/back\\slash"], "back_slash");
    // The content of every file is there, under the name that the command listed.
    let copy = tree_entries(&b.path("stick/box"));
    for (path, entry) in tree_entries(&pair.original()) {
        let TreeEntry::File { content, .. } = entry else {
            continue;
        };
        let mut here = Vec::new();
        let mut above = String::new();
        for name in path.to_str().unwrap().split('/') {
            above = [&above[..], if above.is_empty() { "" } else { "/" }, name].concat();
            here.push(names.get(&above).map_or(name, String::as_str));
        }
        let found = copy.get(Path::new(&here.join("/")));
        let is_same = |found: &TreeEntry| matches!(found, TreeEntry::File { content: found, .. } if *found == content);
        assert!(found.is_some_and(is_same), "{path:?} is not at {here:?}");
    }

    // After the disk is mounted again, the folder has the same hash.
    disk.mount_again();
    let path = text(&b.path("stick/box"));
    assert_eq!(&b.hash(&path), hash);
    assert_eq!(b.json(&["share", &path, "--no-serve"])[0]["hash"], hash[..]);
    let node = b.start(&[]);
    let c = pair.world.home("c");
    pair.a.run(&["unshare", "box"]).done();
    c.run(&[
        "download",
        hash,
        "--peer",
        &node.address(),
        "-o",
        "copy",
        "--links",
        "all",
    ])
    .done();
    assert_no_difference(&c.path("copy"), &pair.original());
    node.stop();
}

/// ```text
///   B ── A      B downloads to a disk with exFAT, is interrupted, and cancels or resumes
/// ```
#[test]
fn a_download_with_other_names_resumes_and_is_given_up() {
    let pair = Pair::sharing(|folder| {
        fs::create_dir(folder).unwrap();
        kernel(folder);
        odd(folder);
        write(folder, "NETFILTER/large", &noise(7, 3_000_000));
        write(folder, "netfilter/large", &noise(8, 3_000_000));
    });
    let (b, hash) = (&pair.b, &pair.hash);
    let Some(_disk) = Exfat::new(&b.path("stick")) else {
        return;
    };
    let slow = b.clone().with("PELAGO_TRANSFER_DOWNLOAD_LIMIT", "1000000");
    let node = slow.start(&[]);
    let download = pair.download(&["-o", "stick/copy", "--detach"]);
    let half = || {
        slow.run(&download).done();
        super::world::eventually("some of it to be there", || {
            let status = &slow.json(&["downloads"])[0];
            status["verified_bytes"]
                .as_u64()
                .filter(|bytes| *bytes > 1_000_000)
        })
    };
    half();
    node.stop();
    let node = slow.start(&[]);
    slow.run(&["cancel", hash]).done();
    assert_eq!(
        fs::read_dir(b.path("stick")).unwrap().count(),
        0,
        "nothing is left"
    );
    let before = half();
    node.stop();
    let finished = b.json(&pair.download(&["-o", "stick/copy"]));
    assert!(
        number(&finished, "resumed_bytes") as u64 + 600_000 > before,
        "{finished} {before}"
    );
    assert_eq!(&b.hash(&text(&b.path("stick/copy"))), hash);
    assert!(!b.path("stick/copy.part").exists());
}

/// ```text
///   B ── A      B chooses a file whose name is also a pattern
/// ```
#[test]
fn a_name_comes_before_a_pattern() {
    let pair = Pair::sharing(|folder| {
        for name in ["a[1].flac", "a1.flac", "b1.flac"] {
            write(folder, &format!("album/{name}"), name.as_bytes());
        }
    });
    let only = |only: &str| {
        let name = only.replace('[', "-");
        pair.b
            .run(&pair.download(&["-o", &name, "--only", only]))
            .done();
        let names = fs::read_dir(pair.b.path(&name).join("album")).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(only("a[1].flac"), ["a[1].flac"]);
    assert_eq!(only("b[1].flac"), ["b1.flac"]);
}
