use std::fs;

use super::{
    layout::{FACTS, LAYOUT},
    *,
};

fn count(folder: &Path) -> Result<u64, DatabaseError> {
    use redb::ReadableTableMetadata;
    Database::in_folder(folder).read(|transaction| {
        let table = transaction.open_table(PUBLICATIONS)?;
        Ok(table.len()?)
    })
}

/// Creates a database with one row.
fn make(folder: &Path) {
    let database = Database::in_folder(folder);
    let put = database.write(|transaction| {
        let mut table = transaction.open_table(PUBLICATIONS)?;
        table.insert(&[1; 32], 1)?;
        Ok(())
    });
    put.unwrap();
}

#[test]
fn reading_changes_nothing_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(count(folder.path()).unwrap(), 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    make(folder.path());
    let before = fs::read(folder.path().join(DATABASE_FILE)).unwrap();
    assert_eq!(count(folder.path()).unwrap(), 1);
    assert!(fs::read(folder.path().join(DATABASE_FILE)).unwrap() == before);
}

#[test]
fn what_is_written_can_be_read_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::in_folder(folder.path());
    let read = || {
        database.read(|transaction| {
            let table = transaction.open_table(PUBLICATIONS)?;
            Ok(table.get(&[1; 32])?.map(|due| due.value()))
        })
    };
    assert_eq!(read().unwrap(), None);
    for due in 1..4 {
        let put = database.write(|transaction| {
            let mut table = transaction.open_table(PUBLICATIONS)?;
            table.insert(&[1; 32], due)?;
            Ok(())
        });
        put.unwrap();
        assert_eq!(read().unwrap(), Some(due));
    }
}

#[test]
fn a_database_that_was_not_closed_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE_FILE);
    make(folder.path());
    let database = Database::in_folder(folder.path());
    database.write(|_| Ok(())).unwrap();
    let killed = fs::read(&path).unwrap();
    drop(database);
    for _ in 0..2 {
        fs::write(&path, &killed).unwrap();
        assert_eq!(count(folder.path()).unwrap(), 1);
        make(folder.path());
        assert_eq!(count(folder.path()).unwrap(), 1);
    }
}

#[test]
fn an_unfinished_database_counts_as_none() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state.redb.new"), [0; 4096]).unwrap();
    assert_eq!(count(folder.path()).unwrap(), 0);
    make(folder.path());
    assert_eq!(count(folder.path()).unwrap(), 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn another_layout_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::in_folder(folder.path());
    for version in [LAYOUT_VERSION + 1, 0] {
        let set = |version| {
            let database = redb::Database::create(folder.path().join(DATABASE_FILE)).unwrap();
            let transaction = database.begin_write().unwrap();
            let mut facts = transaction.open_table(FACTS).unwrap();
            facts.insert(LAYOUT, version).unwrap();
            drop(facts);
            transaction.commit().unwrap();
        };
        set(version);
        for _ in 0..2 {
            let error = database.read(|_| Ok(())).unwrap_err();
            assert!(
                matches!(error, DatabaseError::Layout { found, .. } if found == version),
                "{error}"
            );
        }
    }
}

#[test]
fn an_older_layout_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let database = redb::Database::open(folder.path().join(DATABASE_FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    let mut facts = transaction.open_table(FACTS).unwrap();
    facts.insert(LAYOUT, *EARLIER_LAYOUTS.start()).unwrap();
    drop(facts);
    transaction.delete_table(MEMBERS).unwrap();
    transaction.delete_table(MEMBER_HASHES).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert_eq!(count(folder.path()).unwrap(), 1);
    let database = Database::in_folder(folder.path());
    database.write(|_| Ok(())).unwrap();
    let members = database.read(|transaction| Ok(transaction.open_table(MEMBERS).is_ok()));
    assert!(members.unwrap());
    assert_eq!(count(folder.path()).unwrap(), 1);
}

#[test]
fn a_database_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = redb::Database::create(folder.path().join(DATABASE_FILE)).unwrap();
    let transaction = other.begin_write().unwrap();
    transaction.open_table(PEERS).unwrap();
    transaction.commit().unwrap();
    drop(other);
    let error = count(folder.path()).unwrap_err();
    assert!(matches!(error, DatabaseError::Layout { found: 0, .. }));
}

#[test]
fn a_damaged_file_is_set_aside_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let path = folder.path().join(DATABASE_FILE);
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[..4096].iter_mut().for_each(|byte| *byte ^= 0x55);
    let bad = [
        &b"no database"[..],
        b"",
        &flipped,
        &good[..5000],
        &[0; 100_000],
    ];
    for (number, bad) in bad.iter().enumerate() {
        fs::write(&path, bad).unwrap();
        let state = examine_database(folder.path()).unwrap();
        assert!(matches!(state, DatabaseState::Damaged(_)), "{state:?}");
        assert_eq!(&fs::read(&path).unwrap(), bad, "looking changes nothing");
        assert_eq!(count(folder.path()).unwrap(), 0);
        let aside = format!("{DATABASE_FILE}.damaged-{}", number + 1);
        assert_eq!(&fs::read(folder.path().join(aside)).unwrap(), bad);
        make(folder.path());
        assert_eq!(count(folder.path()).unwrap(), 1);
        let state = examine_database(folder.path()).unwrap();
        assert_eq!(state, DatabaseState::Sound);
    }
    fs::remove_file(&path).unwrap();
    let state = examine_database(folder.path()).unwrap();
    assert_eq!(state, DatabaseState::Missing);
}

#[test]
fn what_the_disk_refuses_is_not_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE_FILE);
    fs::create_dir(&path).unwrap();
    for writes in [false, true] {
        let database = Database::in_folder(folder.path());
        let error = match writes {
            false => database.read(|_| Ok(())).unwrap_err(),
            true => database.write(|_| Ok(())).unwrap_err(),
        };
        assert!(!error.is_damage(), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    examine_database(folder.path()).unwrap_err();
}

#[test]
fn damaged_pages_cause_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::in_folder(folder.path());
    let fill = |database: &Database| {
        database.write(|transaction| {
            let mut table = transaction.open_table(PUBLICATIONS)?;
            for hash in 0..200 {
                table.insert(&[hash; 32], 1)?;
            }
            Ok(())
        })
    };
    fill(&database).unwrap();
    drop(database);
    let path = folder.path().join(DATABASE_FILE);
    let good = fs::read(&path).unwrap();
    let mut replaced = 0;
    for (number, page) in good.chunks(4096).enumerate() {
        if page.iter().all(|byte| *byte == 0) {
            continue;
        }
        for (within, flip) in [(0, 0xff), (5, 0x10), (9, 1), (1000, 0x80)] {
            let mut bad = good.clone();
            bad[number * 4096 + within] ^= flip;
            fs::write(&path, bad).unwrap();
            let database = Database::in_folder(folder.path());
            count(folder.path()).unwrap();
            fill(&database).unwrap();
            drop(database);
            for entry in fs::read_dir(folder.path()).unwrap() {
                let entry = entry.unwrap().path();
                if entry != path {
                    fs::remove_file(entry).unwrap();
                    replaced += 1;
                }
            }
        }
    }
    assert!(replaced > 0);
}

#[test]
fn a_failed_transaction_changes_nothing_and_later_ones_work() {
    let folder = tempfile::tempdir().unwrap();
    for database in [Database::in_memory(), Database::in_folder(folder.path())] {
        let put = |byte, fails| {
            database.write(|transaction| {
                let mut table = transaction.open_table(PUBLICATIONS)?;
                table.insert(&[byte; 32], 1)?;
                let error = || redb::Error::Corrupted("said by the test".to_owned());
                if fails { Err(error()) } else { Ok(()) }
            })
        };
        put(1, false).unwrap();
        put(2, true).unwrap_err();
        put(3, false).unwrap();
        let has = |byte| {
            database.read(|transaction| {
                let table = transaction.open_table(PUBLICATIONS)?;
                Ok(table.get(&[byte; 32])?.is_some())
            })
        };
        assert!(has(1).unwrap() && !has(2).unwrap() && has(3).unwrap());
    }
}
