//! The file of the database: opened, created, and replaced if it is damaged.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use redb::WriteTransaction;

use super::{
    backing::Backing,
    error::DatabaseError,
    layout::{lay_out, write},
};
use crate::{durable, recovery, sparse::Sparse};

/// Bytes of cache for a database on disk. The operating system caches the file as well, and a node
/// with 100,000 shares has to fit into 100 MB in all.
const DISK_CACHE: usize = 4 * 1024 * 1024;

/// Bytes of cache for a database in memory, where a cached page is a second copy.
const MEMORY_CACHE: usize = 64 * 1024;

/// Opens the database, and creates it if it does not exist. If `writable` is false, the file stays
/// unchanged: writes of redb stay in memory.
pub(super) fn open(backing: &Backing, writable: bool) -> Result<redb::Database, redb::Error> {
    let mut builder = redb::Builder::new();
    let path = match backing {
        Backing::File(path) => path,
        Backing::Memory => {
            builder.set_cache_size(MEMORY_CACHE);
            return Ok(builder.create_with_backend(Sparse::default())?);
        }
    };
    builder.set_cache_size(DISK_CACHE);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if recovery::is_due(folder_of(path))? {
                return Err(redb::Error::Corrupted("the file is missing".to_owned()));
            }
            if !writable {
                return Ok(builder.create_with_backend(Sparse::default())?);
            }
            let new = create_file(&builder, path, |_| Ok(()))?;
            durable::put_in_place(&new.0, path)?;
            return Ok(builder.open(path)?);
        }
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is not a regular file").into());
    }
    // redb would take an empty file for a new database.
    if metadata.len() == 0 {
        return Err(redb::Error::Corrupted("the file is empty".to_owned()));
    }
    if writable {
        return Ok(builder.open(path)?);
    }
    Ok(builder.create_with_backend(Sparse::over(file)?)?)
}

/// Creates a new database beside `path`, which the caller renames to `path` once it is complete. If
/// the process ends before that, or the disk is full, nothing at `path` has changed. Returns the
/// path of the new file and the result of `fill`.
fn create_file<T>(
    builder: &redb::Builder,
    path: &Path,
    fill: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Result<(PathBuf, T), redb::Error> {
    let new = durable::with_suffix(path, durable::TEMPORARY_SUFFIX);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    // The database holds peers, paths and scopes: only its owner may read it.
    let file = durable::private()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&new);
    let made = file
        .map_err(redb::Error::from)
        .and_then(|file| Ok(builder.create_file(file)?))
        .and_then(|database| {
            write(&database, |transaction| {
                lay_out(transaction)?;
                fill(transaction)
            })
        });
    match made {
        Ok(filled) => Ok((new, filled)),
        Err(error) => {
            // The unfinished file would only take space on a full disk.
            let _ = fs::remove_file(&new);
            Err(error)
        }
    }
}

/// Replaces the damaged database at `path` by a new one with all recovered rows, and sets the
/// damaged one aside. If that fails, the damaged one stays in place.
pub(super) fn begin_again(path: &Path, why: &DatabaseError) -> Result<(), redb::Error> {
    let folder = folder_of(path);
    let damaged = match File::open(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let mut builder = redb::Builder::new();
    builder.set_cache_size(DISK_CACHE);
    let fill =
        |transaction: &WriteTransaction| recovery::fill(folder, damaged.as_ref(), transaction);
    let (new, found) = create_file(&builder, path, fill)?;
    // If the process ends from here on, the list of lost shares persists.
    found.keep(folder, None)?;
    let aside = damaged
        .is_some()
        .then(|| durable::set_aside(path))
        .transpose()?;
    found.keep(folder, aside.as_deref())?;
    durable::put_in_place(&new, path)?;
    found.report(path, aside.as_deref(), why);
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
