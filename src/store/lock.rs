//! The data folder, and that one process at a time uses it.
//!
//! Owns the folder's existence and the lock file in it; a folder of another format (`format`) is
//! refused before anything is changed in it. The lock belongs to the process and goes
//! with it, also on `kill -9`; the file itself means nothing. Never waits longer than it takes
//! others to look. Failures leave as a [`LockError`].

mod error;

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    data_layout::{
        CACHE_FOLDER, MANIFESTS_FOLDER, PARTIAL_FOLDER, RECEIPTS_FOLDER, RECEIVED_FOLDER,
        TREES_FOLDER,
    },
    files,
    format::{self, Format},
    permissions,
};

pub use error::LockError;

/// The file that is locked.
const LOCK_FILE: &str = "lock";

/// The folders in it that are ours.
const FOLDERS: [&str; 6] = [
    CACHE_FOLDER,
    MANIFESTS_FOLDER,
    PARTIAL_FOLDER,
    RECEIPTS_FOLDER,
    RECEIVED_FOLDER,
    TREES_FOLDER,
];

/// How long to try again. Whoever tests the lock holds it for microseconds, so that is plenty,
/// and few enough for a person not to notice.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long to wait between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(2);

/// A data folder that this process may use, until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: Arc<File>,
}

impl DataFolder {
    /// Takes the data folder at `path` for this process; creates it, private, if it is missing, and makes it
    /// private if it is there.
    ///
    /// # Errors
    ///
    /// [`LockError::InUse`] if another process has it, [`LockError::Folder`] if it cannot be
    /// made or written, [`LockError::Newer`] and [`LockError::UnknownFormat`] if this version does
    /// not read it; then nothing in it is changed.
    pub fn lock(path: impl Into<PathBuf>) -> Result<Self, LockError> {
        let folder = path.into();
        format::check(&folder)?;
        let file = match open(&folder) {
            Ok(file) => file,
            Err(source) => return Err(LockError::Folder { folder, source }),
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(RETRY_INTERVAL);
                }
                Err(TryLockError::WouldBlock) => return Err(LockError::InUse { folder }),
                Err(TryLockError::Error(source)) => {
                    return Err(LockError::Folder { folder, source });
                }
            }
        }
        // Another process may have written there before it gave up the lock.
        if format::check(&folder)? == Format::Older
            && let Err(error) = format::mark(&folder)
        {
            // On a full disk, for one. The next process marks it.
            tracing::warn!(folder = %folder.display(), %error, "the format of the data folder is not written down");
        }
        permissions::make_private(&folder, &FOLDERS);
        Ok(Self {
            path: folder,
            _lock: Arc::new(file),
        })
    }

    /// Whether this version reads the data folder at `path`, which need not exist. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`LockError::Newer`] and [`LockError::UnknownFormat`] if it does not, [`LockError::Folder`]
    /// if the format cannot be read.
    pub fn check_format(path: &Path) -> Result<(), LockError> {
        format::check(path).map(|_| ())
    }

    /// Whether a process has the data folder at `path`. Creates nothing.
    ///
    /// # Errors
    ///
    /// Those of opening the lock file, except that a missing one means no.
    pub fn is_running(path: &Path) -> io::Result<bool> {
        let file = match File::open(path.join(LOCK_FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn open(folder: &Path) -> io::Result<File> {
    files::create_private_folder(folder)?;
    let mut options: OpenOptions = files::private();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join(LOCK_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_until_the_last_clone_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/data");
        assert!(!DataFolder::is_running(&path).unwrap());
        assert!(!path.exists(), "looking creates nothing");

        let first = DataFolder::lock(&path).unwrap();
        assert!(DataFolder::is_running(&path).unwrap());
        let refused = DataFolder::lock(&path).unwrap_err();
        assert!(matches!(&refused, LockError::InUse { folder } if *folder == path));
        assert!(refused.to_string().contains(path.to_str().unwrap()));

        let clone = first.clone();
        drop(first);
        assert!(DataFolder::is_running(&path).unwrap());
        drop(clone);
        assert!(!DataFolder::is_running(&path).unwrap());
        DataFolder::lock(&path).unwrap();
    }

    #[test]
    fn a_probe_does_not_keep_a_node_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        drop(DataFolder::lock(folder.path()).unwrap());
        let probe = File::open(folder.path().join(LOCK_FILE)).unwrap();
        probe.try_lock_shared().unwrap();
        thread::scope(|scope| {
            let node = scope.spawn(|| DataFolder::lock(folder.path()));
            thread::sleep(10 * RETRY_INTERVAL);
            drop(probe);
            node.join().unwrap().unwrap();
        });
    }

    #[cfg(unix)]
    #[test]
    fn the_folder_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let _lock = DataFolder::lock(&path).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let refused = DataFolder::lock(file.join("data")).unwrap_err();
        assert!(matches!(refused, LockError::Folder { .. }));
    }
}
