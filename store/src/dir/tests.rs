use std::fs;

use super::*;

#[cfg(unix)]
#[test]
fn nothing_is_reached_through_a_link() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("top/real")).unwrap();
    fs::create_dir_all(path("elsewhere")).unwrap();
    fs::write(path("elsewhere/keep"), "keep").unwrap();
    fs::write(path("top/real/file"), "file").unwrap();
    symlink(path("elsewhere"), path("top/link")).unwrap();
    symlink(path("elsewhere/keep"), path("top/real/to a file")).unwrap();
    let top = Dir::open(&path("top")).unwrap();

    top.file("real/file", OpenMode::Read).unwrap();
    assert!(top.file("link/keep", OpenMode::Write).is_err());
    assert!(top.file("real/to a file", OpenMode::Write).is_err());
    assert!(top.remove_file("link/keep").is_err());
    assert!(top.make("link/new/deep").is_err());
    assert!(top.sub("link").is_err());
    assert!(top.rename("real/file", &top, "link/file", true).is_err());
    assert_eq!(top.metadata_of("link").unwrap().kind, EntryType::Link);
    assert_eq!(fs::read(path("elsewhere/keep")).unwrap(), b"keep");
    assert_eq!(fs::read_dir(path("elsewhere")).unwrap().count(), 1);
    // The link itself can be removed.
    top.remove_file("link").unwrap();
    assert!(path("elsewhere").exists());
}

#[cfg(unix)]
#[test]
fn a_directory_that_is_swapped_for_a_link_stays_the_one_that_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("ours")).unwrap();
    fs::create_dir_all(path("theirs")).unwrap();
    let ours = Dir::open(&path("ours")).unwrap();
    fs::rename(path("ours"), path("moved")).unwrap();
    std::os::unix::fs::symlink(path("theirs"), path("ours")).unwrap();
    ours.file("new", OpenMode::New).unwrap();
    assert!(path("moved/new").exists());
    assert_eq!(fs::read_dir(path("theirs")).unwrap().count(), 0);
}

#[test]
fn a_rename_replaces_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let top = Dir::open(folder.path()).unwrap();
    top.make("a/b").unwrap();
    top.make("a/b").unwrap();
    fs::write(path("a/b/from"), "new").unwrap();
    fs::write(path("to"), "old").unwrap();
    let refused = top.rename("a/b/from", &top, "to", false).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(path("to")).unwrap(), b"old");
    top.rename("a/b/from", &top, "to", true).unwrap();
    assert_eq!(fs::read(path("to")).unwrap(), b"new");
    assert!(!top.is_empty().unwrap());
    assert!(top.sub("a/b").unwrap().is_empty().unwrap());
    assert!(top.remove_folder("a").is_err());
    top.remove_folder("a/b").unwrap();
    assert!(top.find("a/b").unwrap().is_none());
    let taken = top.file("to", OpenMode::New).unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
    assert!(top.make("to").is_err());
}

/// All threads create the same directories at the same time.
#[test]
fn threads_that_make_the_same_directories_do_not_fail_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let top = Dir::open(folder.path()).unwrap();
    let barrier = std::sync::Barrier::new(8);
    let make = || {
        for number in 0..200 {
            barrier.wait();
            top.make(&format!("{number}/a/b/c")).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(make);
        }
    });
}
