//! Room that is kept for the few bytes a node needs on a full disk.
//!
//! Owns the file `spare` in the data folder: bytes that mean nothing and take room. When the disk is
//! full, what cannot wait (how the API is reached, lists of downloads, what a person withdraws) gets a
//! piece of it, so that a node starts and `remove` can make room. Errors leave as the system gave them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// The file in the data folder.
const SPARE_FILE: &str = "spare";

/// Its bytes where there is room enough: each start and each verb takes a piece or two.
const SPARE_LEN: u64 = 1 << 20;

/// The part of the free bytes that it takes, at most.
const PART: u64 = 8;

/// Bytes given up at once: some commits of the database, or hundreds of entries of a list.
const PIECE: u64 = 64 << 10;

/// Folders above a file in which the spare is looked for: records lie one below the data folder.
const MAX_ABOVE: usize = 2;

/// Free bytes below which a disk is full: the database and the log soon fail.
const FULL: u64 = 1 << 20;

/// Makes the spare of the data folder at `folder` as large as it is to be, as far as there is room.
/// Tells whether the disk is full.
pub(crate) fn keep(folder: &Path) -> io::Result<bool> {
    let path = folder.join(SPARE_FILE);
    if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let (len, free) = (len(&path), free(folder)?);
    let wanted = SPARE_LEN.min(free / PART / PIECE * PIECE);
    if wanted > len {
        write(&path, len, wanted).inspect_err(|_| {
            // Half of a piece would help nobody.
            let _ = shorten(&path, len);
        })?;
    }
    Ok(free < FULL)
}

/// Does what needs room for the file at `path` in the data folder, or in a folder there, with as much of
/// the spare as it takes.
pub(crate) fn with_spare<T, E: Fails>(
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

/// Errors that say whether a disk is full.
pub(crate) trait Fails {
    /// Whether more room would help.
    fn is_full(&self) -> bool;
}

impl Fails for io::Error {
    fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self.kind(), StorageFull | QuotaExceeded)
    }
}

/// Gives up a piece of the spare nearest above `path`. Tells whether there was one.
fn give_up_piece(path: &Path) -> bool {
    let above = path.ancestors().skip(1).take(MAX_ABOVE);
    let spare = above
        .map(|folder| folder.join(SPARE_FILE))
        .find(|spare| len(spare) > 0);
    let Some(spare) = spare else {
        return false;
    };
    let left = len(&spare).saturating_sub(PIECE);
    tracing::debug!(spare = %spare.display(), left, "the disk is full: a piece of the spare is given up");
    shorten(&spare, left).is_ok()
}

/// Its length; 0 if there is none. A link is somebody else's.
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

/// Appends up to `wanted` bytes that no file system packs.
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
    // Some file systems find out only then that there is no room.
    File::sync_data(&file)
}

/// Free bytes for this user on the disk with this folder.
fn free(folder: &Path) -> io::Result<u64> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
    // Elsewhere the write tells.
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
        // Other failures cost nothing.
        let before = len(&spare);
        let denied = with_spare(&data.join("list"), || {
            Err::<(), _>(io::Error::from(io::ErrorKind::PermissionDenied))
        });
        assert_eq!(denied.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(len(&spare), before);
        // There is an end to it.
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
