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

use super::{Partial, PartialFolder, PartialSpec, spec::PAGE_LEN};
use crate::store::{files, mutex::lock};

/// The folder of records in the data folder.
const PARTIAL_FOLDER: &str = "partial";

/// What a node that is not known reads as. No node is all zeroes but padding, which is never
/// recorded.
const UNKNOWN: Node = [0; 32];

/// All records of one store, and the downloads that use them.
pub(in crate::store) struct Partials {
    place: Place,
    /// The hashes being downloaded.
    active: Mutex<HashMap<Hash, Active>>,
    /// Told whenever one of them is released.
    released: Condvar,
}

/// A download under way.
pub(super) enum Active {
    /// It is about to begin, or is proving what an earlier run recorded.
    Reserved,
    File(Weak<Partial>),
    Folder(Weak<PartialFolder>),
}

enum Place {
    Folder(PathBuf),
    Memory(Mutex<HashMap<Hash, MemoryRecord>>),
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
        }
    }

    /// Keeps others from downloading this hash; false if one does.
    pub(super) fn reserve(&self, hash: Hash) -> bool {
        let mut active = lock(&self.active);
        let free = !active.contains_key(&hash);
        if free {
            active.insert(hash, Active::Reserved);
        }
        free
    }

    /// Makes a download known under its reserved hash.
    pub(super) fn publish(&self, hash: Hash, download: Active) {
        lock(&self.active).insert(hash, download);
    }

    /// Ends a reservation.
    pub(super) fn release(&self, hash: &Hash) {
        lock(&self.active).remove(hash);
        self.released.notify_all();
    }

    /// Waits until nobody downloads this hash; false if somebody does for longer than `patience`.
    pub(super) fn is_free_within(&self, hash: &Hash, patience: Duration) -> bool {
        let active = lock(&self.active);
        let waited = self
            .released
            .wait_timeout_while(active, patience, |active| active.contains_key(hash));
        let (_active, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// The download under way of the file with this hash.
    pub(in crate::store) fn active(&self, hash: &Hash) -> Option<Arc<Partial>> {
        match lock(&self.active).get(hash)? {
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

    /// Where the record of this hash lies, if it is a file.
    pub(super) fn path(&self, hash: &Hash) -> Option<PathBuf> {
        match &self.place {
            Place::Folder(folder) => Some(folder.join(hash.to_string())),
            Place::Memory(_) => None,
        }
    }

    /// What the record of this hash says; none if there is none, or it cannot be read.
    pub(super) fn recorded(&self, hash: &Hash) -> Option<PartialSpec> {
        match &self.place {
            Place::Folder(folder) => {
                let file = File::open(folder.join(hash.to_string())).ok()?;
                read_page(file).ok()?
            }
            Place::Memory(records) => Some(lock(records).get(hash)?.spec.clone()),
        }
    }

    /// Opens the record for `spec`, whose page this is; makes one if there is none.
    pub(super) fn open(&self, spec: &PartialSpec, page: &[u8]) -> io::Result<Record> {
        let hash = spec.descriptor.hash();
        let nodes = match &self.place {
            Place::Folder(folder) => Nodes::File(open_file(&folder.join(hash.to_string()), page)?),
            Place::Memory(records) => {
                let mut records = lock(records);
                let record = records.entry(hash).or_insert_with(|| MemoryRecord {
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

    /// Removes the record of this hash, if there is one.
    pub(super) fn remove(&self, hash: &Hash) -> io::Result<()> {
        match &self.place {
            Place::Folder(folder) => match fs::remove_file(folder.join(hash.to_string())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            Place::Memory(records) => {
                lock(records).remove(hash);
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
