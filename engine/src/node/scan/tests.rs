use std::{
    fs::{self, File},
    io::Write,
    thread,
};

use super::*;

/// A watched folder, and the state of its files.
struct Folder {
    store: Store,
    settling: Settling,
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_memory();
        store.set_live_folders(vec![folder.path().to_owned()]);
        Self {
            store,
            settling: Settling::default(),
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn scan(&mut self) -> Scanned {
        let due = DuePath {
            path: self.folder.path().to_owned(),
            is_early: false,
        };
        let folder = self.folder.path();
        scan(
            &self.store,
            folder,
            Scope::Everyone,
            &[due],
            &mut self.settling,
            &Unobserved,
        )
        .unwrap()
    }

    /// Scans until no file has to wait for less than another second.
    fn settle(&mut self) -> Scanned {
        loop {
            let scanned = self.scan();
            let again = scanned.changing.iter().map(|(_, again)| *again).min();
            let wait = again.map(|again| again.saturating_duration_since(Instant::now()));
            match wait {
                Some(wait) if wait < Duration::from_secs(1) => thread::sleep(wait),
                _ => return scanned,
            }
        }
    }

    fn share(&self, name: &str) -> Option<Share> {
        self.store.share_at(&self.path(name)).unwrap()
    }
}

#[test]
fn a_file_in_doubt_stays_so_until_it_is_closed() {
    let mut folder = Folder::new();
    let path = folder.path("disk.img");
    fs::write(&path, "content").unwrap();
    let scanned = folder.settle();
    assert_eq!((scanned.shared, scanned.changing.len()), (1, 0));
    let sure = folder.share("disk.img").unwrap();
    assert!(!sure.fingerprint.is_in_doubt());

    // As a file that a program has had open for 10 minutes is shared.
    let writer = File::options().append(true).open(&path).unwrap();
    let doubted = NewShare {
        descriptor: sure.descriptor,
        name: sure.name.clone(),
        path: path.clone(),
        scopes: sure.scopes.clone(),
        origin: sure.origin.clone(),
        fingerprint: sure.fingerprint.doubted(),
    };
    folder.store.add_shares(&[doubted]).unwrap();
    assert_eq!(folder.scan().changing, []);
    assert!(folder.share("disk.img").unwrap().fingerprint.is_in_doubt());
    drop(writer);
    folder.scan();
    assert_eq!(folder.share("disk.img"), Some(sure));
}

#[test]
fn a_file_that_is_overwritten_is_hashed_again_when_it_is_closed() {
    let mut folder = Folder::new();
    let path = folder.path("file");
    fs::write(&path, "before").unwrap();
    folder.settle();
    let before = folder.share("file").unwrap();
    let mut writer = File::create(&path).unwrap();
    writer.write_all(b"half").unwrap();
    let scanned = folder.settle();
    assert_eq!((scanned.shared, scanned.changing.len()), (0, 1));
    assert_eq!(folder.share("file"), Some(before.clone()));
    // A peer that asks for the old content does not cause it to be hashed earlier.
    let refused = check_settled(&before).unwrap_err();
    assert!(
        matches!(refused, ShareError::StillWritten { .. }),
        "{refused}"
    );
    drop(writer);
    folder.settle();
    let after = folder.share("file").unwrap();
    assert_ne!(after.hash, before.hash);
    check_settled(&after).unwrap();
    // A file that a person shared is hashed as it is.
    let by_hand = Share {
        origin: Origin::Explicit,
        ..before
    };
    let _writer = File::options().append(true).open(&path).unwrap();
    check_settled(&by_hand).unwrap();
}

#[test]
fn thousands_of_removed_files_are_unshared_in_one_commit_for_each_batch() {
    let mut folder = Folder::new();
    let names: Vec<_> = (0..2 * BATCH + 500)
        .map(|number| number.to_string())
        .collect();
    for name in &names {
        fs::write(folder.path(name), name).unwrap();
    }
    assert_eq!(folder.settle().shared, names.len());
    let due = |name: &String| DuePath {
        path: folder.path(name),
        is_early: false,
    };
    let due: Vec<_> = names.iter().map(due).collect();
    for name in &names {
        fs::remove_file(folder.path(name)).unwrap();
    }
    let before = folder.store.commits();
    let at = folder.folder.path();
    let scanned = scan(
        &folder.store,
        at,
        Scope::Everyone,
        &due,
        &mut folder.settling,
        &Unobserved,
    )
    .unwrap();
    assert_eq!(scanned.gone, names.len());
    assert_eq!(folder.store.count().unwrap(), 0);
    // Three batches, and one commit for each second that they take.
    let commits = folder.store.commits() - before;
    assert!(commits < 20, "{commits} commits");
}
