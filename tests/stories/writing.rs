//! Watched folders with files that are being written, and with unfinished downloads.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::XattrFlags;
use serde_json::Value;

use super::{
    watch::{listed, put, shares},
    world::{Home, World, assert_content, eventually, noise},
};

/// How long a writer pauses: three times as long as a file must stay unchanged before it is hashed.
const PAUSE: Duration = Duration::from_secs(3);

/// The names of the files that are being written, as the node lists them.
fn being_written(home: &Home) -> Vec<String> {
    let writing = home.json(&["list", "--being-written"]);
    let files = writing["files"].as_array().unwrap();
    assert_eq!(writing["count"], files.len());
    let name = |file: &Value| {
        let path = Path::new(file["path"].as_str().unwrap());
        path.file_name().unwrap().to_str().unwrap().to_owned()
    };
    files.iter().map(name).collect()
}

fn is_being_written(home: &Home, name: &str) {
    eventually(&format!("{name} to be named as being written"), || {
        being_written(home)
            .iter()
            .any(|found| found == name)
            .then_some(())
    });
}

/// The hash of the share with this name.
fn shared(home: &Home, name: &str) -> Option<String> {
    let found = listed(home).into_iter().find(|(found, _)| found == name);
    found.map(|(_, hash)| hash)
}

/// Asserts, while the writers pause, that `names` are not shared, or only with the hash `allowed`.
#[track_caller]
fn are_not_shared(home: &Home, names: &[&str], allowed: Option<&str>) {
    let begun = Instant::now();
    while begun.elapsed() < PAUSE {
        for (name, hash) in listed(home) {
            let is_allowed = !names.contains(&&*name) || Some(&*hash) == allowed;
            assert!(is_allowed, "half of {name} is shared");
        }
    }
}

/// Waits until `names` are shared with the hash `whole`. Until then only the hash `before` is
/// allowed.
#[track_caller]
fn are_shared(home: &Home, names: &[&str], before: Option<&str>, whole: &str) {
    eventually(&format!("{names:?} to be shared whole"), || {
        let mut shares = listed(home);
        shares.retain(|(name, hash)| names.contains(&&**name) && Some(&**hash) != before);
        for (name, hash) in &shares {
            assert_eq!(hash, whole, "something else of {name} is shared");
        }
        (shares.len() == names.len()).then_some(())
    });
    eventually(&format!("{names:?} to be named no more"), || {
        let named = being_written(home);
        (!named.iter().any(|name| names.contains(&&**name))).then_some(())
    });
}

/// ```text
///   B ── A      a program writes to A's folder, and pauses
/// ```
#[test]
fn a_file_that_is_held_open_is_shared_once_it_is_closed() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let folder = a.path("shared");
    put(&folder, "old", b"before");
    // A program has this file open before the folder is watched.
    let content = noise(1, 900_000);
    let whole = a.hash(&world.file("whole", &content));
    let mut early = File::create(folder.join("early")).unwrap();
    early.write_all(&content[..300_000]).unwrap();
    let node = a.start(&["--dir", "shared"]);
    shares(&a, &["old"]);
    let old = shared(&a, "old").unwrap();

    let mut late = File::create(folder.join("late")).unwrap();
    late.write_all(&content[..300_000]).unwrap();
    // This file is shared already, and a program rewrites it.
    let mut again = File::create(folder.join("old")).unwrap();
    again.write_all(&content[..300_000]).unwrap();
    let names = ["early", "late", "old"];
    for name in names {
        is_being_written(&a, name);
    }
    are_not_shared(&a, &names, Some(&old));
    let list = a.run(&["list"]).done();
    let line = format!("still being written  {}", folder.join("late").display());
    list.prints(&line).prints("(300.0 kB)");
    // A request for the old content does not make the node share half of the new content.
    let wanted = [
        "download",
        &old,
        "--peer",
        &node.address(),
        "--timeout",
        "2",
    ];
    b.run(&wanted).failed();
    assert_eq!(shared(&a, "old"), Some(old.clone()));

    for mut file in [early, late, again] {
        file.write_all(&content[300_000..]).unwrap();
    }
    are_shared(&a, &names, Some(&old), &whole);
    b.run(&["download", &whole, "--peer", &node.address(), "-o", "got"])
        .done();
    assert_content(&b.path("got"), &content);
    a.run(&["list", "--being-written"]).done().says("no file");
}

/// ```text
///   A      a program appends without pausing for a second
/// ```
#[test]
fn a_file_that_is_written_without_a_pause_is_named() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    fs::create_dir(&folder).unwrap();
    let _node = a.start(&["--dir", "shared"]);
    let mut file = File::create(folder.join("film")).unwrap();
    let mut count = 0;
    eventually("the film to be named as being written", || {
        file.write_all(b"a frame").unwrap();
        count += 1;
        // The story checks the list at every 20th write only.
        if count % 20 != 0 {
            return None;
        }
        being_written(&a).contains(&"film".to_owned()).then_some(())
    });
    assert_eq!(shared(&a, "film"), None);
}

/// Writes through a hard link outside of the folder raise no events.
#[test]
fn a_file_that_is_written_by_another_name_is_waited_for() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    fs::create_dir(&folder).unwrap();
    let _node = a.start(&["--dir", "shared"]);
    let content = noise(6, 400_000);
    let whole = a.hash(&world.file("whole", &content));
    let mut file = File::create(world.path("outside")).unwrap();
    file.write_all(&content[..100_000]).unwrap();
    fs::hard_link(world.path("outside"), folder.join("inside")).unwrap();
    is_being_written(&a, "inside");
    are_not_shared(&a, &["inside"], None);
    file.write_all(&content[100_000..]).unwrap();
    drop(file);
    are_shared(&a, &["inside"], None, &whole);
}

/// A program that reads its stdin.
struct Program(Child);

impl Program {
    fn new(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::piped()).spawn().unwrap())
    }

    fn tell(&mut self, what: &[u8]) {
        let stdin = self.0.stdin.as_mut().unwrap();
        stdin.write_all(what).unwrap();
        stdin.flush().unwrap();
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_copy_in_progress_is_shared_when_it_is_done() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    fs::create_dir(&folder).unwrap();
    let _node = a.start(&["--dir", "shared"]);
    let content = noise(2, 600_000);
    let path = world.file("whole", &content);
    let whole = a.hash(&path);
    // The program gets half of the content, and waits for the rest.
    let mut copy = Program::new(
        Command::new("cp")
            .arg("/dev/stdin")
            .arg(folder.join("copy")),
    );
    copy.tell(&content[..250_000]);
    // A file is being written, though it has an old time of modification.
    let mut file = File::create(folder.join("dated")).unwrap();
    file.write_all(&content[..100]).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    for name in ["copy", "dated"] {
        is_being_written(&a, name);
    }
    are_not_shared(&a, &["copy", "dated"], None);
    copy.tell(&content[250_000..]);
    copy.end();
    file.write_all(&content[100..]).unwrap();
    drop(file);
    // A file that is renamed into the folder is complete.
    fs::rename(path, folder.join("renamed")).unwrap();
    are_shared(&a, &["copy", "dated", "renamed"], None, &whole);
}

/// A program that maps a file, closes it, and writes through the mapping for each line of stdin.
const MAPS: &str = "
import mmap, sys
with open(sys.argv[1], 'r+b') as file:
    pages = mmap.mmap(file.fileno(), 0)
for line in sys.stdin:
    pages[0:1] = b'x'
pages.close()
";

#[test]
fn a_file_that_is_mapped_is_shared_once_it_is_unmapped() {
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    fs::create_dir(&folder).unwrap();
    let mut content = noise(3, 300_000);
    let path = world.file("database", &content);
    content[0] = b'x';
    let whole = a.hash(&world.file("whole", &content));
    let python = Command::new("python3").args(["-c", "pass"]).status();
    if !python.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no python3");
        return;
    }
    let mut program = Program::new(Command::new("python3").args(["-c", MAPS]).arg(&path));
    // The program has mapped the file before the node sees it.
    eventually("the file to be mapped", || {
        let maps = fs::read_to_string(format!("/proc/{}/maps", program.0.id()));
        maps.is_ok_and(|maps| maps.contains("database"))
            .then_some(())
    });
    let _node = a.start(&["--dir", "shared"]);
    fs::rename(&path, folder.join("database")).unwrap();
    is_being_written(&a, "database");
    are_not_shared(&a, &["database"], None);
    program.tell(b"write\n");
    program.end();
    are_shared(&a, &["database"], None, &whole);
}

/// A log that programs open, append to and close.
#[test]
fn a_file_that_changes_all_the_time_is_hashed_now_and_then() {
    const SIZE: u64 = 64 << 20;
    let world = World::new();
    let a = world.home("a");
    let folder = a.path("shared");
    put(&folder, "log", &vec![7; SIZE as usize]);
    let node = a.start(&["--dir", "shared"]);
    is_being_written_or_shared(&a, "log");
    let before = node.run.read_bytes();
    // Between two writes, the file is unchanged for a little longer than the first wait.
    for round in 0..8 {
        let mut log = File::options()
            .append(true)
            .open(folder.join("log"))
            .unwrap();
        writeln!(log, "line {round}").unwrap();
        drop(log);
        thread::sleep(Duration::from_millis(1300));
    }
    let read = node.run.read_bytes().zip(before);
    let Some(read) = read.map(|(after, before)| after - before) else {
        eprintln!("skipped: the system does not tell what is read");
        return;
    };
    assert!(read < 2 * SIZE + (8 << 20), "{read} bytes were read");
    // The node shares the final log under another name, where it is a new file.
    let whole = a.hash(folder.join("log").to_str().unwrap());
    fs::rename(folder.join("log"), folder.join("log.1")).unwrap();
    are_shared(&a, &["log.1"], None, &whole);
}

fn is_being_written_or_shared(home: &Home, name: &str) {
    eventually(&format!("{name} to be seen"), || {
        let is_seen = shared(home, name).is_some() || !being_written(home).is_empty();
        is_seen.then_some(())
    });
}

/// ```text
///   B ── A      B downloads into a folder that it shares
/// ```
#[test]
fn only_running_downloads_are_left_out_under_any_name() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let film = noise(4, 8_000_000);
    let node_a = a.start(&[]);
    let hash = a.share(&world.file("film", &film));
    let folder = b.path("shared");
    // Part files of a browser, and a file and a folder that another node downloads.
    put(&folder, "browser.part", b"1");
    put(&folder, "pages.part/index.html", b"2");
    put(&folder, "yours.part", b"3");
    put(&folder, "theirs.part/sub/file", b"4");
    for marked in ["yours.part", "theirs.part"] {
        let path = folder.join(marked);
        if rustix::fs::setxattr(&path, "user.pelago.part", b"any", XattrFlags::empty()).is_err() {
            eprintln!("skipped: the file system has no extended attributes");
            return;
        }
    }
    let _node_b = b.start(&["-v", "--dir", "shared", "-b", &node_a.address()]);
    let expected = ["browser.part", "pages.part/index.html"];
    shares(&b, &expected);
    b.run(&["limit", "--download", "200k"]).done();
    b.run(&["download", &hash, "--detach", "-o", "shared/film"])
        .done();
    eventually("some of the film to be here", || {
        let downloads = b.json(&["downloads"]);
        let verified = downloads[0]["verified_bytes"].as_u64();
        (verified > Some(0)).then_some(())
    });
    b.run(&["pause", &hash]).done();
    put(&folder, "later.part", b"5");
    put(&folder, "theirs.part/sub/other", b"6");
    let expected = ["browser.part", "later.part", "pages.part/index.html"];
    shares(&b, &expected);
    // A folder that a person shares leaves out the same entries.
    let hashed = b.json(&["hash", "shared"])[0]["hash"].clone();
    assert_eq!(b.json(&["share", "shared"])[0]["hash"], hashed);
    b.run(&["unshare", hashed.as_str().unwrap()]).done();

    b.run(&["limit", "--download", "off"]).done();
    b.run(&["resume", &hash]).done();
    let mut expected = expected.to_vec();
    expected.insert(1, "film");
    shares(&b, &expected);
    assert_content(&folder.join("film"), &film);
    // Without the mark, as at the end of a download, the file is shared.
    rustix::fs::removexattr(folder.join("yours.part"), "user.pelago.part").unwrap();
    expected.push("yours.part");
    shares(&b, &expected);
}

/// ```text
///   B ── A      a program has A's file open for writing
/// ```
#[test]
fn what_a_person_shares_while_it_is_written_is_in_doubt() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(5, 3_000_000);
    let path = world.file("box/disk.img", &content);
    let note = "a program has it open for writing";
    let file = File::options().append(true).open(&path).unwrap();
    a.run(&["share", &path, "--no-serve"]).done().prints(note);
    let node = a.start(&[]);
    let shared = &a.json(&["share", &path])[0];
    assert_eq!(shared["in_doubt"], true);
    // The node serves content in doubt: it proves each chunk first.
    let hash = shared["hash"].as_str().unwrap();
    b.run(&["download", hash, "--peer", &node.address(), "-o", "got"])
        .done();
    assert_content(&b.path("got"), &content);
    let folder = world.path("box");
    let folder = folder.to_str().unwrap();
    assert_eq!(a.json(&["share", folder])[0]["in_doubt"], true);
    drop(file);
    for path in [&*path, folder] {
        let shared = a.run(&["share", path]).done();
        assert!(!shared.stdout.contains(note), "{shared:?}");
        assert!(a.json(&["share", path])[0].get("in_doubt").is_none());
    }
}
