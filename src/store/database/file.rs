//! The file of the database: opened, begun, and replaced when it is damaged.

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
use crate::{
    durable,
    store::{recovery, sparse::Sparse},
};

/// Bytes of cache for a database on disk. The system caches the file as well, and a node with
/// 100,000 shares has to fit into 100 MB in all.
const DISK_CACHE: usize = 4 * 1024 * 1024;

/// Bytes of cache for a database in memory, where each is a second copy.
const MEMORY_CACHE: usize = 64 * 1024;

/// Opens the database, making one if there is none. One that is not writable leaves the file as it
/// is: what redb writes to it stays in memory.
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
                return Err(redb::Error::Corrupted("it is gone".to_owned()));
            }
            if !writable {
                return Ok(builder.create_with_backend(Sparse::default())?);
            }
            let new = create_file(&builder, path, |_| Ok(()))?;
            fs::rename(&new.0, path)?;
            durable::sync_folder_of(path)?;
            return Ok(builder.open(path)?);
        }
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is no regular file").into());
    }
    // For reading, redb would take it for a new database.
    if metadata.len() == 0 {
        return Err(redb::Error::Corrupted("it is empty".to_owned()));
    }
    if writable {
        return Ok(builder.open(path)?);
    }
    Ok(builder.create_with_backend(Sparse::over(file)?)?)
}

/// Makes a new database beside `path`, which gets that name when it is whole: so a process that ends
/// meanwhile, or a full disk, leaves nothing there that is no database. Gives where it is, and what
/// `fill` gave.
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
    // Peers, paths and what is shared with whom: for its owner only.
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
            // On a full disk it would take room that is needed.
            let _ = fs::remove_file(&new);
            Err(error)
        }
    }
}

/// Puts a new database with all that is found again in the place of the damaged one at `path`, which
/// is set aside. If that fails, the damaged one is where it was.
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
    // Whatever ends this process from here on, what was lost stays listed.
    found.keep(folder, None)?;
    let aside = damaged
        .is_some()
        .then(|| durable::set_aside(path))
        .transpose()?;
    found.keep(folder, aside.as_deref())?;
    fs::rename(&new, path)?;
    durable::sync_folder_of(path)?;
    found.report(path, aside.as_deref(), why);
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
