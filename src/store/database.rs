//! The embedded database: one file, its layout, its transactions.
//!
//! Owns `state.redb` and what a transaction costs; the tables' rows belong to the files named
//! beside them. Opened when first used, and for reading only until the first write: marking the
//! file as opened, and as closed, costs redb five fsyncs, which a command that changes no row does
//! not pay. Every commit saves what a restart needs (redb's quick repair), so opening is as fast
//! after a crash as after a clean end. A layout of another version is refused and never reset. A
//! damaged file is set aside, and a new one takes its place with what is found again (`recovery`);
//! where the disk is at fault nothing is changed. Failures leave as a [`DatabaseError`]; so do the
//! panics by which redb reports some damaged pages.

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

pub use self::error::DatabaseError;
use self::{
    backing::Backing,
    layout::{LAYOUT_VERSION, LAYOUT_WITHOUT_MEMBERS, lay_out, layout, write},
};
pub(super) use self::{
    layout::{MEMBER_HASHES, MEMBERS, PATHS, PEERS, PUBLICATIONS, SHARES},
    rows::{decode, encode},
};
use super::catch_panic::catch_panic;
use crate::durable;

/// The database's file in the data folder.
const DATABASE_FILE: &str = "state.redb";

/// The database of one store.
pub(super) struct Database {
    backing: Backing,
    /// Held for reading while it is used, so that it is opened and closed between uses only.
    opened: RwLock<Option<OpenDatabase>>,
    /// Whether all of it was found sound since this process has it.
    sound: AtomicBool,
    /// Changes that were committed since this process has it.
    commits: AtomicU64,
}

/// What a look at a database tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseState {
    /// There is none yet.
    Missing,
    /// All of it was read.
    Sound,
    /// It is damaged: what is wrong.
    Damaged(String),
}

/// Looks at all of the database in the data folder at `folder`, which no node uses, and changes nothing.
///
/// # Errors
///
/// [`DatabaseError`] if it cannot be read, or another version wrote it.
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
    /// The database in `folder`, which is not opened yet.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self::new(Backing::File(folder.join(DATABASE_FILE)))
    }

    /// A new database that ends with this value.
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

    /// Runs `operation`, which uses no other transaction, on a snapshot.
    pub(super) fn read<T>(
        &self,
        operation: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        let read = |database: &redb::Database| operation(&database.begin_read()?);
        self.run("reading", false, read)
    }

    /// Runs `operation`, which uses no other transaction, in one of its own: all of it is done and
    /// durable, or none.
    pub(super) fn write<T>(
        &self,
        operation: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        let written = self.run("writing", true, |database| write(database, operation));
        self.commits
            .fetch_add(u64::from(written.is_ok()), Ordering::Relaxed);
        written
    }

    /// The same for what makes room, or what a person withdraws: on a full disk it gets a piece of what
    /// is kept for that.
    pub(super) fn write_with_spare<T>(
        &self,
        mut operation: impl FnMut(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        match &self.backing {
            Backing::File(path) => durable::with_spare(path, || self.write(&mut operation)),
            Backing::Memory => self.write(operation),
        }
    }

    /// How many changes were committed since this process has it.
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
        result.map_err(|error| {
            // After a failure (a full disk) redb refuses all else until it is opened anew.
            if matches!(self.backing, Backing::File(_)) {
                self.close();
            }
            self.failed(action, error)
        })
    }

    /// The database, opened if need be, and kept open while the guard is.
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

    /// Opens the database; a new one in its place if it is damaged.
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

    /// Reads all of the database once: redb trusts the pages it reads, and panics over damaged
    /// ones. That costs 0.3 ms for a few rows, and 20 ms for 100,000 shares.
    fn check(&self, database: &mut redb::Database, writable: bool) -> Result<(), redb::Error> {
        if self.sound.load(Ordering::Relaxed) || matches!(self.backing, Backing::Memory) {
            return Ok(());
        }
        let sound = database.check_integrity()?;
        if !sound {
            tracing::warn!(database = %self.backing, "the database was damaged, and is repaired");
        }
        // What was repaired for reading only is to be repaired again on disk.
        self.sound.store(sound || writable, Ordering::Relaxed);
        Ok(())
    }

    /// Lays out an empty database or an older one, and refuses one that is laid out otherwise.
    fn check_layout(&self, database: &redb::Database) -> Result<(), DatabaseError> {
        let found = contained(|| layout(database));
        match found.map_err(|error| self.failed("opening", error))? {
            Some(LAYOUT_VERSION) => Ok(()),
            Some(LAYOUT_WITHOUT_MEMBERS) => contained(|| write(database, lay_out))
                .map_err(|error| self.failed("bringing up to date", error)),
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

/// Runs `operation`, and makes an error of a panic. What it was doing is given up, so nothing sees
/// state that a panic left half-changed.
fn contained<T>(operation: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    let damaged = || redb::Error::Corrupted("a page is damaged".to_owned());
    catch_panic(operation).unwrap_or_else(|| Err(damaged()))
}

/// Closes the database. A damaged one may panic once more.
fn close(opened: Option<OpenDatabase>) {
    // There is nothing to do about a failure: what was committed is durable.
    let _ = contained(|| {
        drop(opened);
        Ok(())
    });
}
