//! The records of downloads: for each hash a page that says what it is, and the tree so far.
//!
//! Owns `partial/` in the data folder, or the same in memory, and that one download at a time
//! uses a record. Never looks at content. A node that was never written, or lost, is none.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError, Weak},
    time::Duration,
};

use pelago_content::{Hash, Layout, Node};

use super::{
    Partial, PartialFolder, PartialSpec,
    opened::OpenParts,
    spec::{Key, PAGE_LEN},
};
use crate::store::{files, mutex::lock};

/// The folder of records in the data folder.
const PARTIAL_FOLDER: &str = "partial";

/// What a node that is not known reads as. No node is all zeroes but padding, which is never
/// recorded.
const UNKNOWN: Node = [0; 32];

/// All records of one store, and the downloads that use them.
pub(in crate::store) struct Partials {
    place: Place,
    /// What is being downloaded.
    active: Mutex<HashMap<Key, Active>>,
    /// Told whenever one of them is released.
    released: Condvar,
    open_parts: OpenParts,
}

/// A download under way.
pub(super) enum Active {
    /// It is about to begin, or is proving what an earlier run recorded.
    Reserved,
    File(Weak<Partial>),
    Folder(Weak<PartialFolder>),
}

/// An earlier run of a download.
pub(super) enum Earlier {
    /// There was none.
    None,
    /// It had the same target.
    Same,
    /// It had this target.
    Elsewhere(PathBuf),
}

impl Earlier {
    /// The target that it had, if that was another.
    pub(super) fn elsewhere(&self) -> Option<&Path> {
        match self {
            Self::Elsewhere(target) => Some(target),
            _ => None,
        }
    }

    /// Whether what has grown at the target is of it.
    pub(super) const fn is_same(&self) -> bool {
        matches!(self, Self::Same)
    }
}

enum Place {
    Folder(PathBuf),
    Memory(Mutex<HashMap<Key, MemoryRecord>>),
}

#[derive(Clone)]
struct MemoryRecord {
    spec: PartialSpec,
    nodes: Arc<Mutex<HashMap<u64, Node>>>,
}

impl Partials {
    /// The records in a data folder.
    pub(in crate::store) fn in_folder(folder: &Path) -> io::Result<Self> {
        let path = folder.join(PARTIAL_FOLDER);
        files::create_private_folder(&path)?;
        Ok(Self::new(Place::Folder(path)))
    }

    /// Records that end with this value.
    pub(in crate::store) fn in_memory() -> Self {
        Self::new(Place::Memory(Mutex::default()))
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            active: Mutex::default(),
            released: Condvar::new(),
            open_parts: OpenParts::default(),
        }
    }

    /// Keeps others from this download; false if somebody runs it.
    pub(super) fn reserve(&self, key: Key) -> bool {
        let mut active = lock(&self.active);
        let free = !active.contains_key(&key);
        if free {
            active.insert(key, Active::Reserved);
        }
        free
    }

    /// Makes a download known that is reserved.
    pub(super) fn publish(&self, key: Key, download: Active) {
        lock(&self.active).insert(key, download);
    }

    /// Ends a reservation.
    pub(super) fn release(&self, key: &Key) {
        lock(&self.active).remove(key);
        self.released.notify_all();
    }

    /// Waits until nobody runs this download; false if somebody does for longer than `patience`.
    pub(super) fn is_free_within(&self, key: &Key, patience: Duration) -> bool {
        let active = lock(&self.active);
        let waited = self
            .released
            .wait_timeout_while(active, patience, |active| active.contains_key(key));
        let (_active, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// The download under way of the file with this hash, by itself.
    pub(in crate::store) fn active(&self, hash: &Hash) -> Option<Arc<Partial>> {
        match lock(&self.active).get(&Key::of(*hash))? {
            Active::File(partial) => partial.upgrade(),
            _ => None,
        }
    }

    /// The folders whose downloads are under way.
    pub(in crate::store) fn folders(&self) -> Vec<Arc<PartialFolder>> {
        let active = lock(&self.active);
        let folder = |active: &Active| match active {
            Active::Folder(folder) => folder.upgrade(),
            _ => None,
        };
        active.values().filter_map(folder).collect()
    }

    /// Where the record lies, if it is a file.
    pub(super) fn path(&self, key: &Key) -> Option<PathBuf> {
        match &self.place {
            Place::Folder(folder) => Some(folder.join(key.file_name())),
            Place::Memory(_) => None,
        }
    }

    /// What the record says; none if there is none, or it cannot be read.
    pub(super) fn recorded(&self, key: &Key) -> Option<PartialSpec> {
        match &self.place {
            Place::Folder(folder) => {
                let file = File::open(folder.join(key.file_name())).ok()?;
                read_page(file).ok()?
            }
            Place::Memory(records) => Some(lock(records).get(key)?.spec.clone()),
        }
    }

    /// What is known of an earlier run of what `spec` says.
    pub(super) fn earlier(&self, spec: &PartialSpec) -> Earlier {
        let key = spec.key();
        match self.recorded(&key) {
            Some(recorded) if recorded.target == spec.target => Earlier::Same,
            Some(recorded) => Earlier::Elsewhere(recorded.target),
            // Torn: it says no more where it was, but that there was one.
            None if self.path(&key).is_some_and(|path| path.exists()) => Earlier::Same,
            None => Earlier::None,
        }
    }

    /// Opens the record for `spec`, whose page this is; makes one if there is none.
    pub(super) fn open(&self, spec: &PartialSpec, page: &[u8]) -> io::Result<Record> {
        let key = spec.key();
        let nodes = match &self.place {
            Place::Folder(folder) => Nodes::File(open_file(&folder.join(key.file_name()), page)?),
            Place::Memory(records) => {
                let mut records = lock(records);
                let record = records.entry(key).or_insert_with(|| MemoryRecord {
                    spec: spec.clone(),
                    nodes: Arc::default(),
                });
                record.spec = spec.clone();
                Nodes::Memory(Arc::clone(&record.nodes))
            }
        };
        let layout = Layout::new(spec.descriptor.size(), 0);
        Ok(Record { layout, nodes })
    }

    /// Opens the record for `spec`, which has to be there.
    pub(super) fn open_again(&self, spec: &PartialSpec) -> io::Result<Record> {
        let page = spec
            .to_page()
            .filter(|_| self.recorded(&spec.key()).is_some());
        self.open(spec, &page.ok_or(io::ErrorKind::NotFound)?)
    }

    /// The parts of folders whose files are open.
    pub(super) const fn open_parts(&self) -> &OpenParts {
        &self.open_parts
    }

    /// What each record is of, but for those that cannot be read.
    pub(in crate::store) fn list(&self) -> io::Result<Vec<PartialSpec>> {
        let folder = match &self.place {
            Place::Folder(folder) => folder,
            Place::Memory(records) => {
                let records = lock(records);
                return Ok(records.values().map(|record| record.spec.clone()).collect());
            }
        };
        let mut specs = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match File::open(&path).and_then(read_page) {
                Ok(Some(spec)) => specs.push(spec),
                Ok(None) => {
                    let path = path.display();
                    tracing::warn!(%path, "the record of a download is damaged, passing it over");
                }
                Err(error) => {
                    let path = path.display();
                    tracing::warn!(%path, %error, "the record of a download cannot be read");
                }
            }
        }
        Ok(specs)
    }

    /// Removes the record, if there is one.
    pub(super) fn remove(&self, key: &Key) -> io::Result<()> {
        match &self.place {
            Place::Folder(folder) => match fs::remove_file(folder.join(key.file_name())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            Place::Memory(records) => {
                lock(records).remove(key);
                Ok(())
            }
        }
    }
}

fn open_file(path: &Path, page: &[u8]) -> io::Result<File> {
    let mut options = files::private();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    files::write_all_at(&file, page, 0)?;
    Ok(file)
}

fn read_page(file: impl Read) -> io::Result<Option<PartialSpec>> {
    let mut page = Vec::new();
    file.take(PAGE_LEN as u64).read_to_end(&mut page)?;
    Ok(PartialSpec::from_page(&page))
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
    /// The node at this place, if it is known. Nothing that an earlier process wrote is true until
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
                node = lock(nodes).get(&offset).copied().unwrap_or(UNKNOWN);
            }
        }
        Ok((node != UNKNOWN).then_some(node))
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
                    lock(known).extend(offsets.zip(run.iter().map(|(_, _, node)| *node)));
                }
            }
        }
        Ok(())
    }
}
