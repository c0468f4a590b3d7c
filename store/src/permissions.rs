//! Keeps a data folder private to its owner.
//!
//! New files are private from the start. Existing ones, and those restored from a copy, are made
//! private. If that fails, the file stays as it is, and the log names it.

use std::path::Path;

/// The files with keys. One that others may read is refused when it is needed.
#[cfg(unix)]
const KEYS: [&str; 2] = [super::identity::KEY_FILE, super::data_layout::SEALED_FILE];

/// Removes the permissions of other users on `folder`, its files, and the folders `inner`. Other
/// content that people keep there is theirs to open, but no other user can reach it.
#[cfg(unix)]
pub(super) fn make_private(folder: &Path, inner: &[&str]) {
    use std::fs;

    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let kept = entries.filter(|entry| {
        let name = entry.file_name();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => inner.iter().any(|own| *own == name),
            // A person has to judge whether others have read a key.
            Ok(kind) => kind.is_file() && !KEYS.iter().any(|key| *key == name),
            Err(_) => false,
        }
    });
    let paths = kept.map(|entry| entry.path());
    let mut changed = 0;
    for path in std::iter::once(folder.to_owned()).chain(paths) {
        match make_path_private(&path) {
            Ok(was_open) => changed += usize::from(was_open),
            Err(error) => {
                let path = path.display();
                tracing::warn!(
                    %path, %error,
                    "other users may be able to read this: change its permissions"
                );
            }
        }
    }
    if changed > 0 {
        let folder = folder.display();
        tracing::info!(
            %folder, changed,
            "other users could look into the data folder: it is private now"
        );
    }
}

/// Removes the permissions of other users. Returns whether there were any. Does not follow a link.
#[cfg(unix)]
fn make_path_private(path: &Path) -> std::io::Result<bool> {
    use std::{
        fs::{File, Permissions},
        io,
        os::unix::fs::{OpenOptionsExt, PermissionsExt},
    };

    /// All permissions of the group and of others.
    const OTHERS: u32 = 0o077;
    /// The sticky bit, as on `/tmp`: the folder belongs to all users.
    const STICKY: u32 = 0o1000;

    let mode = path.symlink_metadata()?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(false);
    }
    if mode & STICKY != 0 {
        return Err(io::Error::other("the folder is shared by all users"));
    }
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = flags.bits().cast_signed();
    let file: File = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(mode & 0o700))?;
    Ok(true)
}

/// Other systems have other permissions, which are inherited from the parent folder.
#[cfg(not(unix))]
pub(super) fn make_private(_folder: &Path, _inner: &[&str]) {}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt,
    };

    use super::*;

    #[test]
    fn files_that_others_can_read_become_private() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mode = |name: &str| at(name).metadata().unwrap().permissions().mode() & 0o777;
        let outside = tempfile::tempdir().unwrap();
        let elsewhere = outside.path().join("elsewhere");
        for path in [&at("state.redb"), &at("identity.key"), &elsewhere] {
            fs::write(path, "x").unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o664)).unwrap();
        }
        for name in ["trees", "downloaded", ""] {
            fs::create_dir_all(at(name)).unwrap();
            fs::set_permissions(at(name), Permissions::from_mode(0o775)).unwrap();
        }
        std::os::unix::fs::symlink(&elsewhere, at("link")).unwrap();
        make_private(folder.path(), &["trees"]);
        assert_eq!(
            (mode(""), mode("state.redb"), mode("trees")),
            (0o700, 0o600, 0o700)
        );
        assert_eq!((mode("downloaded"), mode("identity.key")), (0o775, 0o664));
        let outside = elsewhere.metadata().unwrap().permissions().mode();
        assert_eq!(outside & 0o777, 0o664);
        fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
        make_private(folder.path(), &[]);
        assert_eq!(mode(""), 0o777, "a folder for everybody stays so");
    }
}
