//! The lock on the data folder: one process at a time uses it.
//!
//! Owns the data folder itself and the lock file in it. A folder of an unsupported format
//! (`format`) is refused before anything in it is changed. The lock belongs to the process and ends
//! with it, even after `kill -9`; the lock file itself means nothing. Waits at most as long as a
//! test of the lock takes. Errors are [`LockError`]s.

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

/// The name of the lock file.
const LOCK_FILE: &str = "lock";

/// The folders in the data folder that belong to the node.
const FOLDERS: [&str; 6] = [
    CACHE_FOLDER,
    MANIFESTS_FOLDER,
    PARTIAL_FOLDER,
    RECEIPTS_FOLDER,
    RECEIVED_FOLDER,
    TREES_FOLDER,
];

/// How long to retry. A process that tests the lock holds it for microseconds, so this is plenty,
/// and short enough to go unnoticed.
const PATIENCE: Duration = Duration::from_millis(200);

/// The time between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(2);

/// A data folder that is locked for this process until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// None if this process inherited the lock: then it ends with the process.
    #[cfg_attr(not(unix), allow(dead_code, reason = "dropping it unlocks"))]
    lock: Option<Arc<File>>,
}

impl DataFolder {
    /// Locks the data folder at `path` for this process. Creates it if it does not exist, and makes
    /// it private.
    ///
    /// # Errors
    ///
    /// [`LockError::InUse`] if another process has locked it, [`LockError::Folder`] if it cannot be
    /// created or written, [`LockError::Newer`] and [`LockError::UnknownFormat`] if this version
    /// cannot read it; then nothing in it is changed.
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
        // Another process may have written there before it released the lock.
        if format::check(&folder)? == Format::Older
            && let Err(error) = format::mark(&folder)
        {
            // This can fail on a full disk. The next process retries it.
            let folder = folder.display();
            tracing::warn!(%folder, %error, "the format of the data folder cannot be written");
        }
        permissions::make_private(&folder, &FOLDERS);
        Ok(Self {
            path: folder,
            lock: Some(Arc::new(file)),
        })
    }

    /// The data folder at `path`, which this process had locked before it executed itself again: see
    /// [`DataFolder::keep_over_exec`].
    ///
    /// # Errors
    ///
    /// Those of [`DataFolder::lock`], which this does if the folder is not locked.
    pub fn inherited(path: impl Into<PathBuf>) -> Result<Self, LockError> {
        let path = path.into();
        match Self::is_running(&path) {
            Ok(true) => Ok(Self { path, lock: None }),
            _ => Self::lock(path),
        }
    }

    /// From now on, the lock also outlives the execution of another program by this process, so that
    /// no other process takes the folder meanwhile.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    #[cfg(unix)]
    pub fn keep_over_exec(&self) -> io::Result<()> {
        if let Some(lock) = &self.lock {
            rustix::io::fcntl_setfd(lock, rustix::io::FdFlags::empty())?;
        }
        Ok(())
    }

    /// Checks that this version can read the data folder at `path`, which need not exist. Changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`LockError::Newer`] and [`LockError::UnknownFormat`] if it cannot, [`LockError::Folder`] if
    /// the format cannot be read.
    pub fn check_format(path: &Path) -> Result<(), LockError> {
        format::check(path).map(|_| ())
    }

    /// Whether a process has locked the data folder at `path`. Creates nothing.
    ///
    /// # Errors
    ///
    /// The lock file cannot be opened. A missing lock file is not an error.
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

    /// The path of the folder.
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
    fn a_file_is_no_data_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for refused in [
            DataFolder::lock(file.path()).map(drop),
            DataFolder::check_format(file.path()),
        ] {
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("it is a file"), "{refused}");
        }
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
    fn an_impossible_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let refused = DataFolder::lock(file.join("data")).unwrap_err();
        assert!(matches!(refused, LockError::Folder { .. }));
    }
}
