//! The embedded database: one file, its layout, its transactions.
//!
//! Owns `state.redb` and what a transaction costs; the tables' rows belong to the files named
//! beside them. Opened when first used: opening and closing cost five fsyncs, which a command that
//! needs no row does not pay. Every commit saves what a restart needs (redb's quick repair), so
//! opening is as fast after a crash as after a clean end. A layout of another version is refused
//! and never reset. Failures leave as a [`DatabaseError`].

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use redb::{ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction};

use super::{files, memory::SparseMemory, mutex::lock};

/// (hash, path) -> row; see `share`.
pub(super) const SHARES: TableDefinition<'_, (&[u8; 32], &str), &[u8]> =
    TableDefinition::new("shares");
/// path -> hash: the row of a path is found without knowing its content.
pub(super) const PATHS: TableDefinition<'_, &str, &[u8; 32]> = TableDefinition::new("paths");
/// peer id -> row; see `peers`.
pub(super) const PEERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("peers");
/// hash -> when it is next announced; see `publications`.
pub(super) const PUBLICATIONS: TableDefinition<'_, &[u8; 32], u64> =
    TableDefinition::new("publications");
/// Facts about the database itself.
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");

/// The fact that tells which tables and rows there are.
const LAYOUT: &str = "layout";

/// The layout written here. Another number is another layout: migrate, do not guess.
const LAYOUT_VERSION: u64 = 1;

/// The database's file in the data folder.
const DATABASE_FILE: &str = "state.redb";

/// Bytes of cache for a database on disk. The system caches the file as well, and a node with
/// 100,000 shares has to fit into 100 MB in all.
const DISK_CACHE: usize = 4 * 1024 * 1024;

/// Bytes of cache for a database in memory, where each is a second copy.
const MEMORY_CACHE: usize = 64 * 1024;

/// The database of one store.
pub(super) struct Database {
    place: Place,
    opened: Mutex<Option<Arc<redb::Database>>>,
}

enum Place {
    File(PathBuf),
    Memory,
}

impl Database {
    /// The database in `folder`, which is not opened yet.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self::new(Place::File(folder.join(DATABASE_FILE)))
    }

    /// A new database that ends with this value.
    pub(super) fn in_memory() -> Self {
        Self::new(Place::Memory)
    }

    const fn new(place: Place) -> Self {
        Self {
            place,
            opened: Mutex::new(None),
        }
    }

    /// Runs `operation` on a snapshot.
    pub(super) fn read<T>(
        &self,
        operation: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        let database = self.open()?;
        database
            .begin_read()
            .map_err(redb::Error::from)
            .and_then(|transaction| operation(&transaction))
            .map_err(|error| self.failed("reading", error))
    }

    /// Runs `operation` in a transaction of its own: all of it is done and durable, or none.
    pub(super) fn write<T>(
        &self,
        operation: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        let database = self.open()?;
        write(&database, operation).map_err(|error| {
            // After a failed write (a full disk) redb refuses all others until it is opened anew.
            if matches!(self.place, Place::File(_)) {
                *lock(&self.opened) = None;
            }
            self.failed("writing", error)
        })
    }

    fn open(&self) -> Result<Arc<redb::Database>, DatabaseError> {
        let mut opened = lock(&self.opened);
        if let Some(database) = &*opened {
            return Ok(Arc::clone(database));
        }
        let database = match &self.place {
            Place::File(path) => open_file(path),
            Place::Memory => open_memory(),
        };
        let database = database.map_err(|error| self.failed("opening", error))?;
        self.check_layout(&database)?;
        Ok(Arc::clone(opened.insert(Arc::new(database))))
    }

    /// Lays out an empty database, and refuses one that is laid out otherwise.
    fn check_layout(&self, database: &redb::Database) -> Result<(), DatabaseError> {
        let found = layout(database).map_err(|error| self.failed("opening", error))?;
        match found {
            Some(LAYOUT_VERSION) => Ok(()),
            Some(found) => Err(DatabaseError::Layout {
                path: self.place.to_string(),
                found,
            }),
            None => write(database, lay_out).map_err(|error| self.failed("creating", error)),
        }
    }

    fn failed(&self, action: &'static str, source: redb::Error) -> DatabaseError {
        DatabaseError::Failed {
            action,
            path: self.place.to_string(),
            source: Box::new(source),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.place)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Memory => f.write_str("(in memory)"),
        }
    }
}

/// The database in the file at `path`. A new one gets its name when it is whole, so that a process
/// which ends meanwhile leaves nothing that is no database.
fn open_file(path: &Path) -> Result<redb::Database, redb::Error> {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(DISK_CACHE);
    if !path.try_exists()? {
        let new = files::with_suffix(path, files::TEMPORARY_SUFFIX);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        write(&builder.create(&new)?, lay_out)?;
        fs::rename(&new, path)?;
        files::sync_folder_of(path)?;
    }
    Ok(builder.open(path)?)
}

fn open_memory() -> Result<redb::Database, redb::Error> {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(MEMORY_CACHE);
    Ok(builder.create_with_backend(SparseMemory::default())?)
}

fn write<T>(
    database: &redb::Database,
    operation: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    let value = operation(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

/// The version of the layout; none if there is no table at all.
fn layout(database: &redb::Database) -> Result<Option<u64>, redb::Error> {
    let transaction = database.begin_read()?;
    if transaction.list_tables()?.next().is_none() {
        return Ok(None);
    }
    let found = match transaction.open_table(FACTS) {
        Ok(facts) => facts.get(LAYOUT)?.map(|version| version.value()),
        Err(redb::TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(error.into()),
    };
    // Tables, but not ours: version 0 never was, so it is refused.
    Ok(Some(found.unwrap_or(0)))
}

fn lay_out(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(SHARES)?;
    transaction.open_table(PATHS)?;
    transaction.open_table(PEERS)?;
    transaction.open_table(PUBLICATIONS)?;
    transaction
        .open_table(FACTS)?
        .insert(LAYOUT, LAYOUT_VERSION)?;
    Ok(())
}

/// Encodes a row.
pub(super) fn encode<T: serde::Serialize>(row: &T) -> Result<Vec<u8>, redb::Error> {
    cbor4ii::serde::to_vec(Vec::new(), row)
        .map_err(|error| redb::Error::Corrupted(format!("a row that cannot be encoded: {error}")))
}

/// Decodes a row of the named table.
pub(super) fn decode<'a, T: serde::Deserialize<'a>>(
    table: &str,
    row: &'a [u8],
) -> Result<T, redb::Error> {
    cbor4ii::serde::from_slice(row)
        .map_err(|error| redb::Error::Corrupted(format!("a damaged row in {table}: {error}")))
}

/// Why the database did not do as asked; then it did nothing.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Written by another version of Pelago.
    #[error(
        "the database {path} has layout {found}, this version of pelago reads {LAYOUT_VERSION}: \
         use the version that wrote it, or another data folder"
    )]
    Layout {
        /// The database file.
        path: String,
        /// The layout it has.
        found: u64,
    },
    /// Damaged, or the disk is at fault or full.
    #[error("{action} the database {path}: {source}")]
    Failed {
        /// What was being done.
        action: &'static str,
        /// The database file.
        path: String,
        /// What redb said.
        source: Box<redb::Error>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(folder: &Path) -> Result<u64, DatabaseError> {
        use redb::ReadableTableMetadata;
        Database::in_folder(folder).read(|transaction| {
            let table = transaction.open_table(PUBLICATIONS)?;
            Ok(table.len()?)
        })
    }

    #[test]
    fn nothing_is_made_before_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::in_folder(folder.path());
        drop(database);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(count(folder.path()).unwrap(), 0);
    }

    #[test]
    fn what_was_begun_and_not_finished_is_no_database() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("state.redb.new"), [0; 4096]).unwrap();
        assert_eq!(count(folder.path()).unwrap(), 0);
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
    fn a_damaged_file_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        count(folder.path()).unwrap();
        let path = folder.path().join(DATABASE_FILE);
        let good = fs::read(&path).unwrap();
        let mut flipped = good.clone();
        flipped[..4096].iter_mut().for_each(|byte| *byte ^= 0x55);
        for bad in [&b"no database"[..], &flipped, &good[..5000]] {
            fs::write(&path, bad).unwrap();
            let error = count(folder.path()).unwrap_err();
            assert!(matches!(error, DatabaseError::Failed { .. }), "{error}");
            assert_eq!(fs::read(&path).unwrap(), bad);
        }
        fs::write(&path, &good).unwrap();
        count(folder.path()).unwrap();
    }

    #[test]
    fn a_failed_transaction_leaves_nothing_and_stops_nothing() {
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
}
