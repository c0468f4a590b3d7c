//! Pelago's own files, written so that they survive a power cut.
//!
//! Every key, list, setting and record of the node is replaced, removed or set aside through this
//! module. On a full disk, a write may use a piece of the spare (`spare`). A replacement never
//! follows a link. The module keeps no state, and its errors are those of the operating system.

mod spare;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

pub use spare::{Fails, keep as keep_spare, with_spare};

/// The suffix of a private file while it is being written.
pub const TEMPORARY_SUFFIX: &str = ".new";

/// The highest number of damaged files that are kept for one name. A further one replaces the last.
const MAX_SET_ASIDE: u32 = 100;

/// The path with `suffix` appended to its last component.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Options for creating a file that only this user may read.
pub fn private() -> OpenOptions {
    #[allow(unused_mut, reason = "only Unix has permissions to set")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates a folder and its ancestors. Only this user may enter the folders that it creates.
///
/// # Errors
///
/// The error of the operating system.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Replaces the file at `path` with one that holds `bytes` and that only its owner may read. After
/// a power cut, the file holds either the old or the new content; once this function has returned,
/// it holds the new content. Costs two syncs.
///
/// # Errors
///
/// The error of the operating system. The file at `path` is then unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_and_rename(path, bytes, true)?;
    sync_folder_of(path)
}

/// Replaces a file without a sync, for content that is useless after the process has ended.
///
/// # Errors
///
/// The error of the operating system. The file at `path` is then unchanged.
pub fn replace_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_and_rename(path, bytes, false)
}

fn write_and_rename(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    with_spare(path, || try_write_and_rename(path, bytes, sync))
}

fn try_write_and_rename(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let temporary = with_suffix(path, TEMPORARY_SUFFIX);
    let written = write_new(&temporary, bytes, sync).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The unfinished file would only take space on a full disk.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    if sync { file.sync_all() } else { Ok(()) }
}

/// Renames `from`, whose content is durable, to `path`, and makes the new name durable. Replaces
/// the file at `path`. Costs one sync.
///
/// # Errors
///
/// The error of the operating system.
pub fn put_in_place(from: &Path, path: &Path) -> io::Result<()> {
    fs::rename(from, path)?;
    sync_folder_of(path)
}

/// Removes the file at `path` so that it does not return after a power cut. Succeeds if the file
/// does not exist. Costs one sync.
///
/// # Errors
///
/// The error of the operating system.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder_of(path),
    }
}

/// Reads and parses the file at `path`. Returns `None` if there is no file. A file that is longer
/// than `max_len` bytes, or that `parse` rejects, is damaged: it is set aside, and a warning is
/// logged.
///
/// # Errors
///
/// The error of the operating system. The file is still in place, and must not be replaced.
pub fn read_or_set_aside<T>(
    path: &Path,
    max_len: u64,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(max_len + 1).read_to_end(&mut bytes)?;
    let parsed = (bytes.len() as u64 <= max_len).then(|| parse(&bytes));
    let parsed = parsed.flatten();
    if parsed.is_none() {
        let aside = set_aside(path)?;
        let (path, aside) = (path.display(), aside.display());
        tracing::warn!(%path, %aside, "a damaged file was renamed");
    }
    Ok(parsed)
}

/// Renames a damaged file to `<path>.damaged-<n>`, so that a person can examine it, and returns the
/// new path.
///
/// # Errors
///
/// The error of the operating system. The file is then still in place.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 1..MAX_SET_ASIDE {
        let aside = with_suffix(path, &format!(".damaged-{number}"));
        match rename_new(path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            renamed => return renamed.and_then(|()| sync_folder_of(path)).map(|()| aside),
        }
    }
    let aside = with_suffix(path, &format!(".damaged-{MAX_SET_ASIDE}"));
    put_in_place(path, &aside)?;
    Ok(aside)
}

/// Makes the names in the parent folder of `path` durable. Costs one sync.
///
/// # Errors
///
/// The error of the operating system.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    // Other systems cannot open a folder; they decide themselves when names become durable.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Renames `from` to `to`, and never replaces anything at `to`.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] if something is at `to`.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Some file systems do not support the flag.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            result => return Ok(result?),
        }
    }
    link_and_unlink(from, to)
}

/// Renames where the system has no such call. A hard link never replaces anything. Where the file
/// system has no links, or `from` is a folder, checking before the rename has to suffice.
fn link_and_unlink(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(from)?.is_file() {
        match fs::hard_link(from, to) {
            Ok(()) => return fs::remove_file(from),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
        }
    }
    if fs::symlink_metadata(to).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_never_replaces() {
        for rename in [rename_new, link_and_unlink] {
            let folder = tempfile::tempdir().unwrap();
            let (from, to) = (folder.path().join("from"), folder.path().join("to"));
            fs::write(&from, "new").unwrap();
            fs::write(&to, "old").unwrap();
            let error = rename(&from, &to).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&to).unwrap(), b"old");
            fs::remove_file(&to).unwrap();
            rename(&from, &to).unwrap();
            assert_eq!(fs::read(&to).unwrap(), b"new");
            assert!(!from.exists());
        }
    }

    #[test]
    fn a_replaced_file_is_private_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for replace in [replace, replace_unsynced] {
            for bytes in [&b"first"[..], b"2nd"] {
                // A killed process has left this.
                fs::write(with_suffix(&path, TEMPORARY_SUFFIX), "left over").unwrap();
                replace(&path, bytes).unwrap();
                assert_eq!(fs::read(&path).unwrap(), bytes);
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            }
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_an_unreadable_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let read = || {
            read_or_set_aside(&path, 4, |bytes| {
                String::from_utf8(bytes.to_vec())
                    .ok()
                    .filter(|text| text != "no")
            })
        };
        assert_eq!(read().unwrap(), None);
        fs::write(&path, "good").unwrap();
        assert_eq!(read().unwrap().as_deref(), Some("good"));
        for (damaged, number) in ["no", "longer"].into_iter().zip(1..) {
            fs::write(&path, damaged).unwrap();
            assert_eq!(read().unwrap(), None);
            let aside = with_suffix(&path, &format!(".damaged-{number}"));
            assert_eq!(fs::read_to_string(aside).unwrap(), damaged);
        }
        fs::create_dir(&path).unwrap();
        read().unwrap_err();
        assert!(path.is_dir());
    }

    #[test]
    fn setting_aside_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for content in ["a", "b"] {
            fs::write(&path, content).unwrap();
            let aside = set_aside(&path).unwrap();
            assert_eq!(fs::read_to_string(aside).unwrap(), content);
        }
        assert!(!path.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
