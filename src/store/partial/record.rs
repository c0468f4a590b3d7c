//! The records of downloads: for each hash a page that says what it is, and the tree so far.
//!
//! Owns `partial/` in the data folder, or the same in memory, and that one download at a time
//! uses a record. Never looks at content. A node that was never written, or lost, is none.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use pelago_content::{Hash, Layout, Node};

pub(super) use super::spec::{Recorded, RecordedPart};
use super::{
    Partial, PartialFolder, PartialSpec,
    open_parts::OpenParts,
    spec::{Key, PAGE_LEN, Page},
    tampering::Watches,
};
use crate::{
    durable,
    store::{OnDisk, dir::Dir, files},
};

/// The folder of records in the data folder.
pub(in crate::store) const PARTIAL_FOLDER: &str = "partial";

/// What a node that is not known reads as. No node is all zeroes but padding, which is never
/// recorded.
const UNKNOWN: Node = [0; 32];

/// All records of one store, and the downloads that use them.
pub(in crate::store) struct Partials {
    storage: Storage,
    /// What is being downloaded.
    active: Mutex<HashMap<Key, Active>>,
    /// Told whenever one of them is released.
    released: Condvar,
    /// Those whose proofs are to end, as nobody waits for them any more.
    interrupted: Mutex<HashSet<Key>>,
    open_parts: OpenParts,
    watches: Arc<Watches>,
    /// Downloads of which the disk refused to make what was written durable.
    sync_failed: Mutex<HashSet<Key>>,
}

/// A download under way.
pub(super) enum Active {
    /// It is about to begin, or is proving what an earlier run recorded.
    Reserved,
    File(Weak<Partial>),
    Folder(Weak<PartialFolder>),
}

/// What is known of an earlier run of a download.
pub(super) enum EarlierRun {
    /// There was none.
    None,
    /// There was one, and its record does not say any more what it did.
    Damaged,
    Recorded(Box<Recorded>),
}

impl EarlierRun {
    /// Whether the earlier run had this target. One that does not say is taken to.
    pub(super) fn is_for(&self, target: &Path) -> bool {
        match self {
            Self::None => false,
            Self::Damaged => true,
            Self::Recorded(recorded) => recorded.spec.target == target,
        }
    }

    /// Whether there was one.
    pub(super) const fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }
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

impl Partials {
    /// The records in a data folder.
    pub(in crate::store) fn in_folder(folder: &Path) -> io::Result<Self> {
        let path = folder.join(PARTIAL_FOLDER);
        files::create_private_folder(&path)?;
        Ok(Self::new(Storage::Folder(path)))
    }

    /// Records that end with this value.
    pub(in crate::store) fn in_memory() -> Self {
        Self::new(Storage::Memory(Mutex::default()))
    }

    fn new(storage: Storage) -> Self {
        Self {
            storage,
            active: Mutex::default(),
            released: Condvar::new(),
            interrupted: Mutex::default(),
            open_parts: OpenParts::default(),
            watches: Arc::default(),
            sync_failed: Mutex::default(),
        }
    }

    /// Keeps others from this download; false if somebody runs it.
    pub(super) fn reserve(&self, key: Key) -> bool {
        let mut active = self.active.lock();
        let free = !active.contains_key(&key);
        if free {
            active.insert(key, Active::Reserved);
        }
        free
    }

    /// Makes a download known that is reserved.
    pub(super) fn publish(&self, key: Key, download: Active) {
        self.active.lock().insert(key, download);
    }

    /// Ends a reservation.
    pub(super) fn release(&self, key: &Key) {
        self.active.lock().remove(key);
        self.interrupted.lock().remove(key);
        self.released.notify_all();
    }

    /// Ends proofs under way of this content, and of files that are fetched as a part of it.
    pub(super) fn interrupt(&self, hash: Hash) {
        let active = self.active.lock();
        let theirs = active.keys().filter(|key| key.is_of(&hash));
        self.interrupted.lock().extend(theirs);
    }

    /// Whether proofs of this download are to end.
    pub(super) fn is_interrupted(&self, key: &Key) -> bool {
        self.interrupted.lock().contains(key)
    }

    /// Waits until nobody runs this download; false if somebody does for longer than `patience`.
    pub(super) fn is_free_within(&self, key: &Key, patience: Duration) -> bool {
        let mut active = self.active.lock();
        let is_taken = |active: &mut HashMap<_, _>| active.contains_key(key);
        self.released
            .wait_while_for(&mut active, is_taken, patience);
        !active.contains_key(key)
    }

    /// The download under way of the file with this hash, by itself.
    pub(in crate::store) fn active(&self, hash: &Hash) -> Option<Arc<Partial>> {
        match self.active.lock().get(&Key::of(*hash))? {
            Active::File(partial) => partial.upgrade(),
            _ => None,
        }
    }

    /// The hash that has this provider key, of a download under way by itself or of a file in one of a
    /// folder. Looks at all of them, so that the time does not tell which it is.
    pub(in crate::store) fn hash_of_key(&self, key: &[u8; 32]) -> Option<Hash> {
        let of_itself: Vec<_> = {
            let active = self.active.lock();
            let keys = active.keys().filter(|key| key.is_of(&key.hash));
            keys.map(|key| key.hash).collect()
        };
        let has_key = |hash: &Hash| hash.provider_key() == *key;
        let by_itself = of_itself.into_iter().fold(None, |found, hash| {
            let this = Some(hash).filter(has_key);
            found.or(this)
        });
        let folders = self.folders();
        folders.iter().fold(by_itself, |found, folder| {
            let this = folder.hash_of_key(key);
            found.or(this)
        })
    }

    /// The folders whose downloads are under way.
    pub(in crate::store) fn folders(&self) -> Vec<Arc<PartialFolder>> {
        let active = self.active.lock();
        let folder = |active: &Active| match active {
            Active::Folder(folder) => folder.upgrade(),
            _ => None,
        };
        active.values().filter_map(folder).collect()
    }

    /// Where the record lies, if it is a file.
    pub(super) fn path(&self, key: &Key) -> Option<PathBuf> {
        match &self.storage {
            Storage::Folder(folder) => Some(folder.join(key.file_name())),
            Storage::Memory(_) => None,
        }
    }

    /// What the record says.
    ///
    /// # Errors
    ///
    /// What the system said of the file: then nothing is known, which is not the same as no record. Also
    /// if a newer version wrote it.
    pub(super) fn known(&self, key: &Key) -> io::Result<EarlierRun> {
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

    /// Opens the record, which says `recorded` from now on; makes one if there is none.
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
        let layout = Layout::new(recorded.spec.descriptor.size(), 0);
        Ok(Record { layout, nodes })
    }

    /// Opens what was recorded of the tree, if anything was.
    pub(super) fn nodes(&self, spec: &PartialSpec) -> Option<Record> {
        let key = spec.key();
        let nodes = match &self.storage {
            Storage::Folder(folder) => Nodes::File(File::open(folder.join(key.file_name())).ok()?),
            Storage::Memory(records) => Nodes::Memory(Arc::clone(&records.lock().get(&key)?.nodes)),
        };
        let layout = Layout::new(spec.descriptor.size(), 0);
        Some(Record { layout, nodes })
    }

    /// Opens a record that has to be there, and says what it did.
    pub(super) fn open_again(&self, spec: &PartialSpec) -> io::Result<Record> {
        match self.known(&spec.key())? {
            EarlierRun::Recorded(recorded) => self.open(&recorded),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Notes that what was written may not be what is on the disk: the next run of this download writes
    /// all that it proves once more.
    pub(super) fn note_failed_sync(&self, key: &Key) {
        self.sync_failed.lock().insert(*key);
        let noted = self.known(key).and_then(|known| match known {
            EarlierRun::Recorded(mut recorded) => {
                recorded.sync_failed = true;
                self.open(&recorded)?.sync()
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        });
        if let Err(error) = noted {
            // This process knows it all the same.
            tracing::warn!(hash = %key.hash, %error, "cannot note that the disk refused to sync");
        }
    }

    /// Whether what an earlier run wrote may not be what is on the disk.
    pub(super) fn has_failed_sync(&self, key: &Key, known: &EarlierRun) -> bool {
        let is_noted = matches!(known, EarlierRun::Recorded(recorded) if recorded.sync_failed);
        is_noted || self.sync_failed.lock().contains(key)
    }

    /// Makes all records durable.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        match &self.storage {
            Storage::Folder(folder) => Dir::open(folder)?.sync_file_system(),
            Storage::Memory(_) => Ok(()),
        }
    }

    /// Whether records are on the same disk as this directory.
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

    /// The parts of folders whose files are open.
    pub(super) const fn open_parts(&self) -> &OpenParts {
        &self.open_parts
    }

    /// The files that grow, watched for others who write to them.
    pub(super) const fn watches(&self) -> &Arc<Watches> {
        &self.watches
    }

    /// What each record says, but for those that cannot be read.
    pub(super) fn list(&self) -> io::Result<Vec<Recorded>> {
        match &self.storage {
            Storage::Folder(folder) => list(folder),
            Storage::Memory(records) => {
                let records = records.lock();
                let recorded = |record: &MemoryRecord| record.recorded.clone();
                Ok(records.values().map(recorded).collect())
            }
        }
    }

    /// Where the downloads of a data folder grow, which another process may use.
    pub(in crate::store) fn growing_in(folder: &Path) -> io::Result<HashSet<PathBuf>> {
        let recorded = list(&folder.join(PARTIAL_FOLDER))?;
        Ok(recorded.iter().map(Recorded::part_path).collect())
    }

    /// Removes or sets aside the records that are torn and of downloads that nobody knows: they do not say
    /// any more what they were of. Those of `listed` downloads are of use when these are resumed.
    pub(super) fn clear_damaged(&self, listed: &HashSet<Hash>) -> io::Result<()> {
        let Storage::Folder(folder) = &self.storage else {
            return Ok(());
        };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            // The hash of a file in a folder stands behind that of the folder.
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
                // It was never written: nothing is known by it.
                fs::remove_file(&path)?;
            } else {
                let aside = durable::set_aside(&path)?;
                let (path, aside) = (path.display(), aside.display());
                tracing::warn!(%path, %aside, "the record of a download is damaged, and was renamed");
            }
        }
        Ok(())
    }

    /// Removes all records of files of this folder, whatever they say.
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

    /// Removes the record, if there is one. If it is to be gone for good, also through a power cut, that
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

/// What each record in the folder says, but for those that cannot be read.
fn list(folder: &Path) -> io::Result<Vec<Recorded>> {
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
                tracing::warn!(%path, "the record of a download is damaged, passing it over");
            }
            Ok(Page::Newer(version)) => {
                let (path, error) = (path.display(), newer(version));
                tracing::warn!(%path, %error, "the record of a download is passed over");
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
    // A page that says so already is not exposed to being torn.
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

/// The tree of one download, as far as it is known.
pub(super) struct Record {
    layout: Layout,
    nodes: Nodes,
}

enum Nodes {
    File(File),
    Memory(Arc<Mutex<HashMap<u64, Node>>>),
}

impl Record {
    /// The node at this storage, if it is known. Nothing that an earlier process wrote is true until
    /// it verifies.
    pub(super) fn node(&self, level: u8, index: u64) -> io::Result<Option<Node>> {
        let Some(offset) = self.layout.offset(level, index) else {
            return Ok(None);
        };
        let mut node = UNKNOWN;
        match &self.nodes {
            Nodes::File(file) => {
                match files::read_exact_at(file, &mut node, PAGE_LEN as u64 + offset) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                    result => result?,
                }
            }
            Nodes::Memory(nodes) => {
                node = nodes.lock().get(&offset).copied().unwrap_or(UNKNOWN);
            }
        }
        Ok((node != UNKNOWN).then_some(node))
    }

    /// Makes all that was recorded durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.nodes {
            Nodes::File(file) => file.sync_data(),
            Nodes::Memory(_) => Ok(()),
        }
    }

    /// Writes verified nodes, given with their places, in as few writes as their places allow.
    pub(super) fn write(&self, mut nodes: Vec<(u8, u64, Node)>) -> io::Result<()> {
        nodes.sort_unstable_by_key(|(level, index, _)| (*level, *index));
        let adjoin = |left: &(u8, u64, Node), right: &(u8, u64, Node)| {
            left.0 == right.0 && left.1 + 1 == right.1
        };
        for run in nodes.chunk_by(adjoin) {
            let Some(offset) = self.layout.offset(run[0].0, run[0].1) else {
                continue;
            };
            match &self.nodes {
                Nodes::File(file) => {
                    let bytes: Vec<u8> = run.iter().flat_map(|(_, _, node)| *node).collect();
                    files::write_all_at(file, &bytes, PAGE_LEN as u64 + offset)?;
                }
                Nodes::Memory(known) => {
                    let offsets = (offset..).step_by(UNKNOWN.len());
                    known
                        .lock()
                        .extend(offsets.zip(run.iter().map(|(_, _, node)| *node)));
                }
            }
        }
        Ok(())
    }
}
