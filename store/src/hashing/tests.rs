use std::{
    cell::Cell,
    fs::{self, OpenOptions},
    io::Write,
};

use super::*;
use crate::testing::{SIZES, bytes, describe, go_on, on_every_store};

#[test]
fn every_size_has_the_descriptor_of_its_bytes() {
    on_every_store(|home| {
        for size in SIZES.into_iter().chain([9 * 1024 * 1024 + 1]) {
            let (path, data) = (home.path("file"), bytes(size, size));
            fs::write(&path, &data).unwrap();
            let hashed = home.store.hash_file(&path, &go_on).unwrap();
            assert_eq!(hashed.descriptor, describe(&data), "{size} bytes");
            assert_eq!(hash_file(&path, &go_on).unwrap(), hashed);
            let tree = home.store.inner.trees.open(&hashed.descriptor);
            assert_eq!(tree.is_ok(), size > GROUP_SIZE, "{size} bytes");
        }
    });
}

#[test]
fn the_vectors_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let check = |data: &[u8], expected: &str| {
        fs::write(&path, data).unwrap();
        let hashed = hash_file(&path, &go_on).unwrap();
        assert_eq!(hashed.descriptor.hash().to_string(), expected);
    };
    check(
        &[0; 1_048_576],
        "d0c8095cc0db36ed29940cfd01a78a82433ea09e8cd6b404169ea5588b4f3e32",
    );
    let counted: Vec<u8> = (0..300_000).map(|at| (at % 251) as u8).collect();
    check(
        &counted,
        "6381fa85a3a4a584c94a23d96806358f50f96970a526247fed9343a96e00df3b",
    );
}

#[test]
fn progress_counts_all_bytes_and_can_stop_hashing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, bytes(9_000_001, 1)).unwrap();
    let last = Cell::new(0);
    let count = |hashed| {
        assert!(hashed > last.get());
        last.set(hashed);
        ControlFlow::Continue(())
    };
    hash_file(&path, &count).unwrap();
    assert_eq!(last.get(), 9_000_001);
    let stopped = hash_file(&path, &|_| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(stopped, HashError::Stopped { .. }));
}

#[test]
fn a_file_that_changes_meanwhile_has_no_hash() {
    on_every_store(|home| {
        let path = home.path("file");
        let changes: [&dyn Fn(); 3] = [
            &|| {
                let mut file = OpenOptions::new().append(true).open(&path).unwrap();
                file.write_all(b"grown").unwrap();
            },
            &|| {
                let file = OpenOptions::new().write(true).open(&path).unwrap();
                file.set_len(100).unwrap();
            },
            &|| {
                let mut file = OpenOptions::new().write(true).open(&path).unwrap();
                file.write_all(b"written").unwrap();
            },
        ];
        for change in changes {
            let file = File::create(&path).unwrap();
            file.set_len(3 * GROUP_SIZE * BATCH_GROUPS).unwrap();
            let changed = Cell::new(false);
            let meanwhile = |_| {
                if !changed.replace(true) {
                    change();
                }
                ControlFlow::Continue(())
            };
            let error = home.store.hash_file(&path, &meanwhile).unwrap_err();
            assert!(matches!(error, HashError::Changed { .. }), "{error}");
        }
        fs::remove_file(&path).unwrap();
        let error = home.store.hash_file(&path, &go_on).unwrap_err();
        assert!(matches!(error, HashError::Missing { .. }), "{error}");
    });
}

#[test]
fn a_change_right_after_hashing_leaves_a_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for round in 0..20 {
        fs::write(&path, b"same size 1").unwrap();
        let hashed = hash_file(&path, &go_on).unwrap();
        fs::write(&path, b"same size 2").unwrap();
        let now = Fingerprint::new(&fs::metadata(&path).unwrap());
        assert_ne!(hashed.fingerprint, now, "round {round}");
    }
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, expected) in [
        (fifo.as_path(), "a fifo"),
        (&socket, "a socket"),
        (Path::new("/dev/zero"), "a device"),
        (folder.path(), "a folder"),
    ] {
        let error = hash_file(path, &go_on).unwrap_err();
        assert!(
            matches!(error, HashError::NotAFile { found, .. } if found == expected),
            "{error}"
        );
    }
}

#[cfg(unix)]
#[test]
fn an_unreadable_file_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "secret").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(&path).is_ok() {
        println!("skipped: this user may read everything");
        return;
    }
    let error = hash_file(&path, &go_on).unwrap_err();
    assert!(matches!(error, HashError::Unreadable { .. }));
    assert!(error.to_string().contains(path.to_str().unwrap()));
}

#[test]
fn odd_times_do_not_delay_hashing() {
    let year = Duration::from_secs(365 * 24 * 3600);
    let now = 56 * year;
    let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).unwrap();
    let pause_of = |changed: i64| pause(age_at(changed, now));
    // Ten years ahead, more nanoseconds than 64 bits hold, before 1970, and the year 0.
    let odd = [
        nanoseconds(now + 10 * year),
        i64::MAX,
        -1,
        -nanoseconds(56 * year),
        i64::MIN,
    ];
    let in_all: Duration = odd.into_iter().cycle().take(2000).map(pause_of).sum();
    assert_eq!(in_all, Duration::ZERO, "for 2,000 files");
    // Times in whole seconds do not keep a file in doubt forever either.
    assert!(
        odd.iter()
            .all(|changed| age_at(*changed, now) >= COARSE_SETTLE)
    );
    // Hashing waits if the file changed just now, by this clock or one that is a little ahead.
    assert_eq!(pause_of(nanoseconds(now)), SETTLE);
    assert_eq!(pause_of(nanoseconds(now + Duration::from_secs(5))), SETTLE);
}
