//! The records of downloads. Each has a page with the options of the download, and the nodes that
//! are proven so far.
//!
//! Owns `partial/` in the data folder, or the same in memory. Never looks at content.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use pelago_content::{Hash, Node};

use super::{
    PartialError, PartialSpec,
    earlier_run::EarlierRun,
    page::{Page, Recorded},
    record::{Nodes, Record},
    spec::{Key, PAGE_LEN},
};
use crate::{OnDisk, data_layout::PARTIAL_FOLDER, dir::Dir, durable, files};

/// All records of one store.
pub(super) struct Records {
    storage: Storage,
    /// Downloads whose data the disk refused to make durable.
    sync_failed: Mutex<HashSet<Key>>,
}

enum Storage {
    Folder(PathBuf),
    Memory(Mutex<HashMap<Key, MemoryRecord>>),
}

#[derive(Clone)]
struct MemoryRecord {
    recorded: Recorded,
    nodes: Arc<Mutex<HashMap<u64, Node>>>,
}

impl Records {
    /// The records in a data folder.
    pub(super) fn in_folder(folder: &Path) -> io::Result<Self> {
        let path = folder.join(PARTIAL_FOLDER);
        files::create_private_folder(&path)?;
        Ok(Self::new(Storage::Folder(path)))
    }

    /// Records that end with this value.
    pub(super) fn in_memory() -> Self {
        Self::new(Storage::Memory(Mutex::default()))
    }

    fn new(storage: Storage) -> Self {
        let sync_failed = Mutex::default();
        Self {
            storage,
            sync_failed,
        }
    }

    /// The path of a record, unless records are in memory.
    pub(super) fn path(&self, key: &Key) -> Option<PathBuf> {
        match &self.storage {
            Storage::Folder(folder) => Some(folder.join(key.file_name())),
            Storage::Memory(_) => None,
        }
    }

    /// The path of the record of `spec`, for messages. Records in memory stand for their targets.
    pub(super) fn path_of(&self, spec: &PartialSpec) -> PathBuf {
        let path = self.path(&spec.key());
        path.unwrap_or_else(|| spec.target.clone())
    }

    /// The state that an earlier run of `spec` left.
    ///
    /// # Errors
    ///
    /// [`PartialError::Io`] if the record cannot be read, or a newer version wrote it.
    pub(super) fn earlier_run_of(&self, spec: &PartialSpec) -> Result<EarlierRun, PartialError> {
        self.earlier_run(&spec.key())
            .map_err(|source| self.failed(spec, source))
    }

    /// The error for a record that cannot be read or changed.
    pub(super) fn failed(&self, spec: &PartialSpec, source: io::Error) -> PartialError {
        let path = self.path_of(spec);
        PartialError::Io { path, source }
    }

    /// The state that an earlier run of a download left.
    ///
    /// # Errors
    ///
    /// If the record cannot be read, or a newer version wrote it: it is unknown then whether the
    /// download ran.
    pub(super) fn earlier_run(&self, key: &Key) -> io::Result<EarlierRun> {
        match &self.storage {
            Storage::Folder(folder) => match File::open(folder.join(key.file_name())) {
                Ok(file) => match read_page(file)? {
                    Page::Valid(recorded) => Ok(EarlierRun::Recorded(recorded)),
                    Page::Damaged => Ok(EarlierRun::Damaged),
                    Page::Newer(version) => Err(newer(version)),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(EarlierRun::None),
                Err(error) => Err(error),
            },
            Storage::Memory(records) => Ok(match records.lock().get(key) {
                Some(record) => EarlierRun::Recorded(Box::new(record.recorded.clone())),
                None => EarlierRun::None,
            }),
        }
    }

    /// Opens a record, or creates it. Its page states `recorded` from now on.
    pub(super) fn open(&self, recorded: &Recorded) -> io::Result<Record> {
        let (key, page) = (recorded.spec.key(), recorded.to_page());
        let page = page.ok_or(io::ErrorKind::InvalidInput)?;
        let nodes = match &self.storage {
            Storage::Folder(folder) => {
                Nodes::File(open_file(&folder.join(key.file_name()), &page)?)
            }
            Storage::Memory(records) => {
                let mut records = records.lock();
                let record = records.entry(key).or_insert_with(|| MemoryRecord {
                    recorded: recorded.clone(),
                    nodes: Arc::default(),
                });
                record.recorded = recorded.clone();
                Nodes::Memory(Arc::clone(&record.nodes))
            }
        };
        Ok(Record::new(&recorded.spec, nodes))
    }

    /// Opens the record of an earlier run, to read its nodes.
    pub(super) fn open_existing(&self, spec: &PartialSpec) -> Option<Record> {
        let key = spec.key();
        let nodes = match &self.storage {
            Storage::Folder(folder) => Nodes::File(File::open(folder.join(key.file_name())).ok()?),
            Storage::Memory(records) => Nodes::Memory(Arc::clone(&records.lock().get(&key)?.nodes)),
        };
        Some(Record::new(spec, nodes))
    }

    /// Opens a record again, with the page that it has.
    pub(super) fn reopen(&self, key: &Key) -> io::Result<Record> {
        match self.earlier_run(key)? {
            EarlierRun::Recorded(recorded) => self.open(&recorded),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Notes that the disk may not hold what was written: the next run of this download writes
    /// everything that it proves once more.
    pub(super) fn note_failed_sync(&self, key: &Key) {
        self.sync_failed.lock().insert(*key);
        let noted = self.earlier_run(key).and_then(|earlier| match earlier {
            EarlierRun::Recorded(mut recorded) => {
                recorded.sync_failed = true;
                self.open(&recorded)?.sync()
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        });
        if let Err(error) = noted {
            // This process still knows it.
            tracing::warn!(hash = %key.hash, %error, "cannot record that the disk refused to sync");
        }
    }

    /// Whether the disk may not hold what an earlier run wrote.
    pub(super) fn has_failed_sync(&self, key: &Key, earlier: &EarlierRun) -> bool {
        let is_noted = matches!(earlier, EarlierRun::Recorded(recorded) if recorded.sync_failed);
        is_noted || self.sync_failed.lock().contains(key)
    }

    /// Makes all records durable.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        match &self.storage {
            Storage::Folder(folder) => Dir::open(folder)?.sync_file_system(),
            Storage::Memory(_) => Ok(()),
        }
    }

    /// Whether records are stored on the disk of this directory.
    pub(super) fn are_on_disk_of(&self, dir: &Dir) -> bool {
        match &self.storage {
            Storage::Folder(folder) => {
                let device = folder.device();
                device.is_some() && device == dir.device()
            }
            Storage::Memory(_) => true,
        }
    }

    /// Makes the names of records durable.
    pub(super) fn sync_names(&self) -> io::Result<()> {
        match &self.storage {
            Storage::Folder(folder) => Dir::open(folder)?.sync(),
            Storage::Memory(_) => Ok(()),
        }
    }

    /// All readable records.
    pub(super) fn list(&self) -> io::Result<Vec<Recorded>> {
        match &self.storage {
            Storage::Folder(folder) => read_all(folder),
            Storage::Memory(records) => {
                let records = records.lock();
                let recorded = |record: &MemoryRecord| record.recorded.clone();
                Ok(records.values().map(recorded).collect())
            }
        }
    }

    /// Removes or sets aside damaged records of downloads that are not `listed`: they no longer
    /// state what they belong to. Those of `listed` downloads are used when these resume.
    pub(super) fn clear_damaged(&self, listed: &HashSet<Hash>) -> io::Result<()> {
        let Storage::Folder(folder) = &self.storage else {
            return Ok(());
        };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            // The name of a file's record begins with the hash of its folder.
            let first = name.to_str().and_then(|name| name.get(..Hash::DIGITS));
            let Some(hash) = first.and_then(|digits| digits.parse::<Hash>().ok()) else {
                continue;
            };
            let path = entry.path();
            let is_damaged = matches!(File::open(&path).and_then(read_page), Ok(Page::Damaged));
            if !is_damaged || is_set_aside(&path) || listed.contains(&hash) {
                continue;
            }
            if entry.metadata()?.len() <= PAGE_LEN as u64 {
                // It has no nodes.
                fs::remove_file(&path)?;
            } else {
                let aside = durable::set_aside(&path)?;
                let (path, aside) = (path.display(), aside.display());
                tracing::warn!(%path, %aside, "renamed the damaged record of a download");
            }
        }
        Ok(())
    }

    /// Removes the records of all files of this folder, damaged or not.
    pub(super) fn remove_parts_of(&self, folder: &Hash) -> io::Result<()> {
        let Storage::Folder(records) = &self.storage else {
            return Ok(());
        };
        let prefix = format!("{folder}-");
        for entry in fs::read_dir(records)? {
            let entry = entry?;
            if entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(&prefix))
            {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes a record, if there is one. `durably`: it does not return after a power cut, which
    /// costs a sync.
    pub(super) fn remove(&self, key: &Key, durably: bool) -> io::Result<()> {
        self.sync_failed.lock().remove(key);
        match &self.storage {
            Storage::Folder(folder) => {
                let path = folder.join(key.file_name());
                match fs::remove_file(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    Ok(()) if durably => files::sync_folder_of(&path),
                    removed => removed,
                }
            }
            Storage::Memory(records) => {
                records.lock().remove(key);
                Ok(())
            }
        }
    }
}

/// All readable records of a data folder. Another process may use it.
pub(super) fn list_in(data_folder: &Path) -> io::Result<Vec<Recorded>> {
    read_all(&data_folder.join(PARTIAL_FOLDER))
}

fn read_all(folder: &Path) -> io::Result<Vec<Recorded>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if is_set_aside(&path) {
            continue;
        }
        match File::open(&path).and_then(read_page) {
            Ok(Page::Valid(recorded)) => found.push(*recorded),
            Ok(Page::Damaged) => {
                let path = path.display();
                tracing::warn!(%path, "skipped the damaged record of a download");
            }
            Ok(Page::Newer(version)) => {
                let (path, error) = (path.display(), newer(version));
                tracing::warn!(%path, %error, "skipped the record of a download");
            }
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "the record of a download cannot be read");
            }
        }
    }
    Ok(found)
}

fn is_set_aside(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.contains(".damaged-"))
}

fn newer(version: u8) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("a newer version of pelago wrote it (format {version})"),
    )
}

fn open_file(path: &Path, page: &[u8]) -> io::Result<File> {
    let mut options = files::private();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    // An identical page is not written again: a crash could tear it.
    let is_same = files::read_vec_at(&file, 0, page.len()).is_ok_and(|there| there == page);
    if !is_same {
        files::write_all_at(&file, page, 0)?;
    }
    Ok(file)
}

fn read_page(file: impl Read) -> io::Result<Page> {
    let mut page = Vec::new();
    file.take(PAGE_LEN as u64).read_to_end(&mut page)?;
    Ok(Recorded::from_page(&page))
}
