//! The packages of `scripts/package.sh`: made, installed, upgraded and removed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    system::{self, Mount, is_root},
    world::{Ended, Home, Run, World, assert_content, eventually, text},
};

/// What each package has below its prefix.
const FILES: [&str; 12] = [
    "bin/pelago",
    "lib/systemd/system/pelago.service",
    "lib/systemd/user/pelago.service",
    "share/applications/pelago.desktop",
    "share/bash-completion/completions/pelago",
    "share/doc/pelago/OPERATING.md",
    "share/doc/pelago/default.toml",
    "share/doc/pelago/third-party-licences.txt",
    "share/fish/vendor_completions.d/pelago.fish",
    "share/icons/hicolor/scalable/apps/pelago.svg",
    "share/man/man1/pelago-start.1",
    "share/zsh/vendor-completions/_pelago",
];

/// How long making the packages may take on a busy machine: much is compressed.
const LONG: Duration = Duration::from_secs(300);

fn is_there(program: &str) -> bool {
    let found = Command::new("which").arg(program).output();
    found.is_ok_and(|found| found.status.success())
}

/// Makes the packages of the program that was built for this test, without its symbols, as a release
/// has it. Returns the tarball and the Debian package.
fn packages(world: &World) -> (PathBuf, PathBuf) {
    let (pelago, folder) = (text(&world.path("pelago")), world.path("made"));
    let built = env!("CARGO_BIN_EXE_pelago");
    system::run(&format!("strip -o {pelago} {built}")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/package.sh");
    let mut command = Command::new(script);
    command.arg(&folder).arg("--fast").env("PELAGO", pelago);
    Run::new(command).end_within(LONG).done();
    let files = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let (tarballs, debs): (Vec<_>, Vec<_>) =
        files.partition(|file| text(file).ends_with(".tar.gz"));
    let [tarball, deb] = [tarballs, debs].map(|mut files| files.pop().unwrap());
    (tarball, deb)
}

/// The same package with a later version.
fn later(world: &World, package: &Path) -> PathBuf {
    let (from, folder) = (text(package), text(&world.path("later")));
    system::run(&format!("dpkg-deb -R {from} {folder}")).unwrap();
    let control = world.path("later/DEBIAN/control");
    let lines = fs::read_to_string(&control).unwrap();
    let versions = lines.replace("Version: 0.1.0-1\n", "Version: 0.1.0-2\n");
    assert_ne!(versions, lines);
    fs::write(&control, versions).unwrap();
    let later = world.path("later.deb");
    system::run(&format!("dpkg-deb -Znone -b {folder} {}", later.display())).unwrap();
    later
}

/// Unpacks the tarball, and runs the program where it is.
fn try_tarball(home: &Home, tarball: &Path) {
    let prefix = home.path("prefix");
    fs::create_dir(&prefix).unwrap();
    let (from, to) = (text(tarball), text(&prefix));
    system::run(&format!("tar -xf {from} --strip-components=1 -C {to}")).unwrap();
    for file in FILES
        .into_iter()
        .chain(["INSTALL", "share/doc/pelago/LICENSE"])
    {
        assert!(prefix.join(file).is_file(), "the tarball has no {file}");
    }
    let read = |file: &str| fs::read_to_string(prefix.join(file)).unwrap();
    assert!(read("INSTALL").contains("with glibc 2."));
    let unit = read("lib/systemd/system/pelago.service");
    assert!(unit.starts_with("[Unit]") && unit.contains("ExecStart=/usr/local/bin/pelago "));
    let licences = read("share/doc/pelago/third-party-licences.txt");
    for part in [
        "==== libp2p ",
        "==== tokio ",
        "Permission is hereby granted",
    ] {
        assert!(licences.contains(part), "no {part:?} in the licences");
    }
    let unpacked = home.clone().of_build(text(&prefix.join("bin/pelago")));
    unpacked.run(&["--version"]).done();
}

/// A copy of this system, whose changes are forgotten at the end.
struct Scratch {
    root: PathBuf,
    home: Home,
    _layer: Mount,
}

impl Scratch {
    fn new(world: &World) -> Option<Self> {
        let layer = Mount::new(world.path("layer"), "size=1g")?;
        let [upper, work, root] = ["upper", "work", "root"].map(|name| layer.path().join(name));
        for folder in [&upper, &work, &root] {
            fs::create_dir(folder).unwrap();
        }
        let at = text(&root);
        let home = world.home("scratch").of_build("/usr/bin/pelago".to_owned());
        let home = home
            .in_root(&at)
            .with("PELAGO_DATA_DIR", "/var/lib/pelago/node");
        let (upper, work) = (text(&upper), text(&work));
        let options = format!("lowerdir=/,upperdir={upper},workdir={work}");
        system::run(&format!("mount -t overlay -o {options} pelago {at}")).unwrap();
        let scratch = Self {
            root,
            home,
            _layer: layer,
        };
        for folder in ["proc", "dev"] {
            system::run(&format!("mount --rbind /{folder} {at}/{folder}")).unwrap();
            system::run(&format!("mount --make-rslave {at}/{folder}")).unwrap();
        }
        Some(scratch)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn run(&self, line: &str) -> Ended {
        Run::new(self.home.program("sh", &["-ec", line])).end()
    }

    fn install(&self, package: &Path) {
        fs::copy(package, self.path("/tmp/pelago.deb")).unwrap();
        self.run("dpkg -i /tmp/pelago.deb").done();
    }

    /// The files of the installed package.
    fn files(&self) -> Vec<String> {
        let listed = self.run("dpkg -L pelago").done().stdout;
        let paths = listed.lines().filter(|path| !self.path(path).is_dir());
        paths.map(str::to_owned).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(why) = system::run(&format!("umount -R -l {}", self.root.display())) {
            eprintln!("{why}");
        }
    }
}

/// ```text
///   package.sh ──┬── .tar.gz      runs where it is unpacked
///                └── .deb         in a copy of this system: installed, upgraded, removed, purged
/// ```
#[test]
fn packages_are_installed_upgraded_and_removed_and_data_stays() {
    if !["cargo-deb", "dpkg", "objdump"].into_iter().all(is_there) {
        eprintln!(
            "skipped: this takes dpkg, binutils and cargo-deb (cargo install --locked cargo-deb)"
        );
        return;
    }
    if !is_root("installing a package") {
        return;
    }
    let world = World::new();
    let (tarball, first) = packages(&world);
    try_tarball(&world.home("a"), &tarball);

    let Some(scratch) = Scratch::new(&world) else {
        return;
    };
    scratch.install(&first);
    let files = scratch.files();
    for file in FILES {
        let is_it = |path: &String| path.trim_end_matches(".gz") == format!("/usr/{file}");
        assert!(files.iter().any(is_it), "no {file} in {files:?}");
    }
    assert!(
        files.iter().all(|path| path.starts_with("/usr/")),
        "{files:?}"
    );
    // It is neither enabled nor started.
    let unit = fs::read_to_string(scratch.path("/usr/lib/systemd/system/pelago.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/pelago "), "{unit}");
    let enabled = scratch.path("/etc/systemd/system/multi-user.target.wants/pelago.service");
    assert!(fs::symlink_metadata(&enabled).is_err(), "it is enabled");
    assert!(!scratch.path("/var/lib/pelago").exists(), "it ran");
    if is_there("systemd-analyze") {
        let verify = "systemd-analyze verify --man=no /usr/lib/systemd/system/pelago.service";
        scratch.run(verify).done();
    }
    if is_there("desktop-file-validate") {
        let validate = "desktop-file-validate /usr/share/applications/pelago.desktop";
        scratch.run(validate).done();
    }

    // The second version has the identity and the share of the first one.
    let home = &scratch.home;
    let start = ["--dir", "/var/lib/pelago/shared"];
    fs::create_dir_all(scratch.path("/var/lib/pelago/shared")).unwrap();
    let poem = scratch.path("/var/lib/pelago/shared/poem.txt");
    fs::write(&poem, "tide").unwrap();
    let node = home.start(&start);
    let hash = home.hash("/var/lib/pelago/shared/poem.txt");
    let is_shared = || home.run(&["link", &hash]).status.success().then_some(());
    eventually("the file to be shared", is_shared);
    let peer = node.peer_id();
    node.stop();
    scratch.install(&later(&world, &first));
    scratch
        .run("dpkg -s pelago")
        .done()
        .prints("Version: 0.1.0-2");
    let node = home.start(&start);
    assert_eq!(node.peer_id(), peer);
    is_shared().unwrap();
    node.stop();

    for verb in ["--remove", "--purge"] {
        scratch.run(&format!("dpkg {verb} pelago")).done();
        for path in &files {
            assert!(!scratch.path(path).exists(), "{path} stays");
        }
        assert_content(&poem, b"tide");
        assert!(scratch.path("/var/lib/pelago/node/identity.key").exists());
    }
}
