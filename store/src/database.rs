//! The embedded database: its file, its layout and its transactions.
//!
//! Owns `state.redb`; the modules named beside the tables own their rows. The database is opened at
//! its first use, and read-only until the first write: redb spends five fsyncs on marking a file as
//! opened and closed, which a command that changes no row does not have to pay. Every commit saves
//! what a restart needs (redb's quick repair), so that opening is as fast after a crash as after a
//! clean end. A layout of another version is refused, and never reset. A damaged file is set aside
//! and replaced by a new one, which is filled with the rows that can be recovered (`recovery`); if
//! the disk is at fault, nothing is changed. Errors are [`DatabaseError`]s, and so are the panics
//! by which redb reports some damaged pages.

mod backing;
mod error;
mod file;
mod layout;
mod rows;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::{RwLock, RwLockReadGuard};
use redb::{ReadTransaction, ReadableDatabase, WriteTransaction};

use self::{
    backing::Backing,
    layout::{EARLIER_LAYOUTS, LAYOUT_VERSION, lay_out, layout, write},
};
pub use self::{error::DatabaseError, rows::decode_row};
pub(super) use self::{
    layout::{
        CATALOGUES, CONFINED, FACTS, GROUPS, GroupKey, MEMBER_HASHES, MEMBERS, PATHS, PEERS,
        PUBLICATIONS, PUBLISHER, SHARES, UNLISTED,
    },
    rows::{decode, encode},
};
use super::catch_panic::catch_panic;
use crate::durable;

/// The name of the database in the data folder.
const DATABASE_FILE: &str = "state.redb";

/// The database of one store.
pub(super) struct Database {
    backing: Backing,
    /// Locked for reading while the database is in use, so that it is opened and closed only
    /// between uses.
    opened: RwLock<Option<OpenDatabase>>,
    /// Whether this process has checked all of it and found it intact.
    sound: AtomicBool,
    /// How many transactions this process has committed.
    commits: AtomicU64,
}

/// The state of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseState {
    /// There is no database yet.
    Missing,
    /// All of it can be read.
    Sound,
    /// It is damaged; the text describes how.
    Damaged(String),
}

/// Checks all of the database in the data folder at `folder`, which no node may be using. Changes
/// nothing.
///
/// # Errors
///
/// [`DatabaseError`] if it cannot be read, or if another version wrote it.
pub fn examine_database(folder: &Path) -> Result<DatabaseState, DatabaseError> {
    let database = Database::in_folder(folder);
    let is_missing = !folder.join(DATABASE_FILE).exists();
    match database.open_as_it_is(false) {
        Ok(_) if is_missing => Ok(DatabaseState::Missing),
        Ok(_) => Ok(DatabaseState::Sound),
        Err(error) if error.is_damage() => Ok(DatabaseState::Damaged(error.to_string())),
        Err(error) => Err(error),
    }
}

struct OpenDatabase {
    database: redb::Database,
    writable: bool,
}

impl Database {
    /// The database in `folder`. Does not open it.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self::new(Backing::File(folder.join(DATABASE_FILE)))
    }

    /// A new database in memory.
    pub(super) fn in_memory() -> Self {
        Self::new(Backing::Memory)
    }

    const fn new(backing: Backing) -> Self {
        Self {
            backing,
            opened: RwLock::new(None),
            sound: AtomicBool::new(false),
            commits: AtomicU64::new(0),
        }
    }

    /// Runs `operation` on a snapshot. It must not open another transaction.
    pub(super) fn read<T>(
        &self,
        operation: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        let read = |database: &redb::Database| operation(&database.begin_read()?);
        self.run("reading", false, read)
    }

    /// Runs `operation` in a transaction: all of its changes become durable, or none. It must not
    /// open another transaction.
    pub(super) fn write<T>(
        &self,
        operation: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        let written = self.run("writing", true, |database| write(database, operation));
        self.commits
            .fetch_add(u64::from(written.is_ok()), Ordering::Relaxed);
        written
    }

    /// Writes like [`Self::write`], and may use the spare on a full disk: for changes that free
    /// space, and for withdrawals.
    pub(super) fn write_with_spare<T>(
        &self,
        mut operation: impl FnMut(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        match &self.backing {
            Backing::File(path) => durable::with_spare(path, || self.write(&mut operation)),
            Backing::Memory => self.write(operation),
        }
    }

    /// How many transactions this process has committed.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    fn run<T>(
        &self,
        action: &'static str,
        writes: bool,
        operation: impl FnOnce(&redb::Database) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        let opened = self.opened(writes)?;
        let result = match &*opened {
            Some(opened) => contained(|| operation(&opened.database)),
            None => Err(redb::Error::DatabaseClosed),
        };
        drop(opened);
        result.map_err(|error| self.close_after(action, error))
    }

    /// After an error, such as a full disk, redb refuses all work until the database is reopened.
    fn close_after(&self, action: &'static str, error: redb::Error) -> DatabaseError {
        if matches!(self.backing, Backing::File(_)) {
            self.close();
        }
        self.failed(action, error)
    }

    /// The open database; opens it if necessary. It stays open while the guard is held.
    fn opened(
        &self,
        writes: bool,
    ) -> Result<RwLockReadGuard<'_, Option<OpenDatabase>>, DatabaseError> {
        let suits = |opened: &Option<OpenDatabase>| {
            let opened = opened.as_ref();
            opened.is_some_and(|opened| opened.writable || !writes)
        };
        loop {
            let opened = self.opened.read();
            if suits(&opened) {
                return Ok(opened);
            }
            drop(opened);
            let mut opened = self.opened.write();
            if !suits(&opened) {
                close(opened.take());
                *opened = Some(self.open(writes)?);
            }
        }
    }

    /// Opens the database. Replaces a damaged one.
    fn open(&self, writes: bool) -> Result<OpenDatabase, DatabaseError> {
        match (self.open_as_it_is(writes), &self.backing) {
            (Err(error), Backing::File(path)) if error.is_damage() => {
                file::begin_again(path, &error).map_err(|error| self.failed("replacing", error))?;
                self.open_as_it_is(writes)
            }
            (result, _) => result,
        }
    }

    fn open_as_it_is(&self, writes: bool) -> Result<OpenDatabase, DatabaseError> {
        let writable = writes || matches!(self.backing, Backing::Memory);
        let database = contained(|| {
            let mut database = file::open(&self.backing, writable)?;
            self.check(&mut database, writable)?;
            Ok(database)
        });
        let database = database.map_err(|error| self.failed("opening", error))?;
        self.check_layout(&database)?;
        Ok(OpenDatabase { database, writable })
    }

    fn close(&self) {
        close(self.opened.write().take());
        self.sound.store(false, Ordering::Relaxed);
    }

    /// Reads all of the database once, because redb trusts the pages that it reads and panics at
    /// damaged ones. Costs 0.3 ms for a few rows, and 20 ms for 100,000 shares.
    fn check(&self, database: &mut redb::Database, writable: bool) -> Result<(), redb::Error> {
        if self.sound.load(Ordering::Relaxed) || matches!(self.backing, Backing::Memory) {
            return Ok(());
        }
        let sound = database.check_integrity()?;
        if !sound {
            let database = &self.backing;
            tracing::warn!(%database, "the database was damaged and has been repaired");
        }
        // A read-only repair stays in memory, so the file has to be repaired again when it is
        // written.
        self.sound.store(sound || writable, Ordering::Relaxed);
        Ok(())
    }

    /// Creates the tables of an empty database, migrates an older layout, and refuses any other.
    fn check_layout(&self, database: &redb::Database) -> Result<(), DatabaseError> {
        let found = contained(|| layout(database));
        match found.map_err(|error| self.failed("opening", error))? {
            Some(LAYOUT_VERSION) => Ok(()),
            Some(found) if EARLIER_LAYOUTS.contains(&found) => {
                contained(|| write(database, lay_out))
                    .map_err(|error| self.failed("bringing up to date", error))
            }
            Some(found) => Err(DatabaseError::Layout {
                path: self.backing.to_string(),
                found,
            }),
            None => contained(|| write(database, lay_out))
                .map_err(|error| self.failed("creating", error)),
        }
    }

    fn failed(&self, action: &'static str, source: redb::Error) -> DatabaseError {
        DatabaseError::Failed {
            action,
            path: self.backing.to_string(),
            source: Box::new(source),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.backing)
    }
}

/// Runs `operation`, and turns a panic into an error. The operation is abandoned, so nothing uses
/// state that the panic left half-changed.
fn contained<T>(operation: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    let damaged = || redb::Error::Corrupted("a page is damaged".to_owned());
    catch_panic(operation).unwrap_or_else(|| Err(damaged()))
}

/// Closes the database. A damaged one may panic again.
fn close(opened: Option<OpenDatabase>) {
    // An error changes nothing: committed changes are durable.
    let _ = contained(|| {
        drop(opened);
        Ok(())
    });
}
