//! Files that belong to Pelago, written so that they survive a power cut.
//!
//! Owns the one way in which the node replaces, removes and sets aside its own files, and no state. On
//! a full disk they get a piece of what is kept for that (`spare`).
//! Never follows a link to a file that it replaces. Errors leave as the system gave them.

mod spare;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

pub(crate) use spare::{Fails, keep as keep_spare, with_spare};

/// Appended to the name of a private file that is being written and not yet in place.
pub(crate) const TEMPORARY_SUFFIX: &str = ".new";

/// Damaged files of one name that are kept aside, at most; a further one replaces the last.
const MAX_SET_ASIDE: u32 = 100;

/// The path with `suffix` appended to its last component.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Options that create files which only this user may read.
pub(crate) fn private() -> OpenOptions {
    #[allow(unused_mut, reason = "only Unix has permissions to set")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates a folder, and those above it, which only this user may enter.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Replaces the file at `path` by one that holds `bytes` and that only its owner may read. After a
/// power cut either the old or the new content is there, and after this returns it is the new one.
/// Costs two syncs.
///
/// # Errors
///
/// What the system said; the file at `path` is then the old one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_and_rename(path, bytes, true)?;
    sync_folder_of(path)
}

/// The same without syncs, for a file that means nothing after the process has ended.
pub(crate) fn replace_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_and_rename(path, bytes, false)
}

fn write_and_rename(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    with_spare(path, || try_write_and_rename(path, bytes, sync))
}

fn try_write_and_rename(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let temporary = with_suffix(path, TEMPORARY_SUFFIX);
    let written = write_new(&temporary, bytes, sync).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // On a full disk the unfinished file would take room that is needed.
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

/// Removes the file at `path`, so that it does not return after a power cut. A missing file is no
/// error. Costs one sync.
///
/// # Errors
///
/// What the system said.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder_of(path),
    }
}

/// What `parse` makes of the file at `path`; none if there is no file. One that is longer than `max_len`
/// bytes, or that `parse` makes nothing of, is damaged: it is set aside, and the log says so.
///
/// # Errors
///
/// What the system said: the file is where it was, and must not be replaced.
pub(crate) fn read_or_set_aside<T>(
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
        tracing::warn!(path = %path.display(), aside = %aside.display(), "a damaged file was renamed");
    }
    Ok(parsed)
}

/// Renames a file that cannot be read to `<path>.damaged-<n>`, for a person to look at, and returns
/// the new path.
///
/// # Errors
///
/// What the system said; the file is then where it was.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 1..MAX_SET_ASIDE {
        let aside = with_suffix(path, &format!(".damaged-{number}"));
        match rename_new(path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            renamed => return renamed.and_then(|()| sync_folder_of(path)).map(|()| aside),
        }
    }
    let aside = with_suffix(path, &format!(".damaged-{MAX_SET_ASIDE}"));
    fs::rename(path, &aside)?;
    sync_folder_of(path)?;
    Ok(aside)
}

/// Makes the names in the folder that holds `path` durable. Costs one sync.
///
/// # Errors
///
/// What the system said.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    // Elsewhere folders cannot be opened; their names are as durable as the system makes them.
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

/// Renames `from` to `to`, and never replaces what is at `to`.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] if something is at `to`.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Some file systems do not know the flag.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            result => return Ok(result?),
        }
    }
    link_and_unlink(from, to)
}

/// The same where the system has no such rename. A link is never made over something; where the file
/// system has no links either, or `from` is a folder, a look before the rename has to do.
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
                // What a killed process left.
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
    fn what_is_damaged_is_set_aside_and_what_cannot_be_read_is_not() {
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
    fn what_is_set_aside_replaces_nothing() {
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
