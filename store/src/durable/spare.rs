//! Disk space that is reserved for the few bytes that a node needs when the disk is full.
//!
//! Owns the file `spare` in the data folder, whose bytes mean nothing. When the disk is full,
//! essential writes (the API file, lists of downloads, withdrawals) may use a piece of it, so that
//! a node can start and `remove` can free space. Errors are those of the operating system.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// The name of the file in the data folder.
const SPARE_FILE: &str = "spare";

/// The size of the spare in bytes, if the disk has enough space. Each start and each verb uses a
/// piece or two.
const SPARE_LEN: u64 = 1 << 20;

/// The spare takes at most one part in eight of the free bytes.
const PART: u64 = 8;

/// Bytes that are released at a time: enough for some commits of the database, or for hundreds of
/// entries of a list.
const PIECE: u64 = 64 << 10;

/// How many folders above a file are searched for the spare. Records are stored one level below the
/// data folder.
const MAX_ABOVE: usize = 2;

/// The disk counts as full below this many free bytes: the database and the log soon fail.
const FULL: u64 = 1 << 20;

/// Grows the spare of the data folder at `folder` to its full size, as far as the disk has space.
/// Returns whether the disk is full.
///
/// # Errors
///
/// The error of the operating system, or [`io::ErrorKind::AlreadyExists`] if the spare is not a
/// file.
pub fn keep(folder: &Path) -> io::Result<bool> {
    let path = folder.join(SPARE_FILE);
    if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let (len, free) = (len(&path), free(folder)?);
    let wanted = SPARE_LEN.min(free / PART / PIECE * PIECE);
    if wanted > len {
        write(&path, len, wanted).inspect_err(|_| {
            // Less than a piece is of no use.
            let _ = shorten(&path, len);
        })?;
    }
    Ok(free < FULL)
}

/// Runs `operation`, which writes the file at `path` in the data folder or in a folder directly
/// below it. While the disk is full, releases a piece of the spare and retries.
///
/// # Errors
///
/// The error of `operation`, if no piece is left or the disk is not full.
pub fn with_spare<T, E: Fails>(
    path: &Path,
    mut operation: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    loop {
        match operation() {
            Err(error) if error.is_full() && give_up_piece(path) => {}
            result => return result,
        }
    }
}

/// Errors that report whether the disk is full.
pub trait Fails {
    /// Whether the operation failed for lack of disk space.
    fn is_full(&self) -> bool;
}

impl Fails for io::Error {
    fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self.kind(), StorageFull | QuotaExceeded)
    }
}

/// Releases a piece of the nearest spare above `path`. Returns whether there was one.
fn give_up_piece(path: &Path) -> bool {
    let above = path.ancestors().skip(1).take(MAX_ABOVE);
    let spare = above
        .map(|folder| folder.join(SPARE_FILE))
        .find(|spare| len(spare) > 0);
    let Some(spare) = spare else {
        return false;
    };
    let left = len(&spare).saturating_sub(PIECE);
    let path = spare.display();
    tracing::debug!(spare = %path, left, "the disk is full: a piece of the spare is released");
    shorten(&spare, left).is_ok()
}

/// The length of the spare; 0 if there is none. A link does not count: Pelago did not create it.
fn len(spare: &Path) -> u64 {
    let metadata = fs::symlink_metadata(spare)
        .ok()
        .filter(fs::Metadata::is_file);
    metadata.map_or(0, |metadata| metadata.len())
}

fn shorten(spare: &Path, len: u64) -> io::Result<()> {
    if len == 0 {
        return fs::remove_file(spare);
    }
    OpenOptions::new().write(true).open(spare)?.set_len(len)
}

/// Appends random bytes, which no file system can compress, until the spare has `wanted` bytes.
fn write(spare: &Path, from: u64, wanted: u64) -> io::Result<()> {
    let mut file = super::private().append(true).create(true).open(spare)?;
    let mut piece = vec![0; PIECE as usize];
    let mut at = from;
    while at < wanted {
        rand::fill(&mut piece[..]);
        let len = (wanted - at).min(PIECE);
        file.write_all(&piece[..len as usize])?;
        at += len;
    }
    // Some file systems report a full disk only at this point.
    File::sync_data(&file)
}

/// Free bytes for this user on the disk with this folder.
fn free(folder: &Path) -> io::Result<u64> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
    // On other systems, the write itself reports a full disk.
    #[cfg(not(unix))]
    {
        let _ = folder;
        Ok(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_given_up_as_they_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let (data, partial) = (
            folder.path().join("data"),
            folder.path().join("data/partial"),
        );
        fs::create_dir_all(&partial).unwrap();
        let spare = data.join(SPARE_FILE);
        for _ in 0..2 {
            assert!(!keep(&data).unwrap());
            assert_eq!(len(&spare), SPARE_LEN);
        }
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        for path in [data.join("list"), partial.join("record")] {
            let before = len(&spare);
            let mut tries = 0;
            let done = with_spare(&path, || {
                tries += 1;
                if tries < 3 { Err(full()) } else { Ok(tries) }
            });
            assert_eq!(done.unwrap(), 3);
            assert_eq!(len(&spare), before - 2 * PIECE);
        }
        // Other failures release no space.
        let before = len(&spare);
        let denied = with_spare(&data.join("list"), || {
            Err::<(), _>(io::Error::from(io::ErrorKind::PermissionDenied))
        });
        assert_eq!(denied.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(len(&spare), before);
        // The spare space is used up.
        let mut tries = 0;
        let failed = with_spare(&data.join("list"), || {
            tries += 1;
            Err::<(), _>(full())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(tries, before / PIECE + 1);
        assert!(!spare.exists());
        keep(&data).unwrap();
        assert_eq!(len(&spare), SPARE_LEN);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_of_that_name_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join("theirs");
        fs::write(&theirs, "content").unwrap();
        std::os::unix::fs::symlink(&theirs, folder.path().join(SPARE_FILE)).unwrap();
        assert!(!give_up_piece(&folder.path().join("list")));
        assert!(keep(folder.path()).is_err());
        assert_eq!(fs::read(theirs).unwrap(), b"content");
    }
}
