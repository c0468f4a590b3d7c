//! The manifests of shared folders and of folders being downloaded: one file for each hash.
//!
//! Owns `manifests/` as side files. A manifest is durable before the folder that needs it is
//! recorded, because it cannot be rebuilt once the folder has changed. It is proven completely when
//! it is opened. Errors are [`ManifestsError`]s.

mod error;

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    ops::Range,
    path::Path,
    sync::Arc,
};

use pelago_content::{
    Builder, Chunk, Descriptor, Geometry, Hash, Kind, Layout, MAX_MANIFEST_LEN, Manifest, Node,
    STORED_LEVEL, subtree,
};

use super::{
    ReadError,
    chunk_source::{Certainty, ChunkSource},
    data_layout::MANIFESTS_FOLDER,
    files,
    hashing::GROUP_SIZE,
    side_files::{InMemory, SideFiles, StoredByHash},
};

pub use error::ManifestsError;

/// The size of a node in bytes.
const NODE_LEN: u64 = 32;

/// All manifests of one store.
pub(super) enum Manifests {
    Folder(SideFiles),
    Memory(InMemory),
}

impl Manifests {
    /// Opens the manifests in a data folder, and removes unfinished files of an earlier run.
    pub(super) fn in_folder(folder: &Path) -> io::Result<Self> {
        SideFiles::in_folder(folder.join(MANIFESTS_FOLDER)).map(Self::Folder)
    }

    /// Manifests in memory.
    pub(super) fn in_memory() -> Self {
        Self::Memory(InMemory::default())
    }

    /// Stores the bytes of the manifest with this hash, and replaces a damaged file. The manifest
    /// is pinned until a row with that hash is written.
    pub(super) fn keep(&self, hash: &Hash, bytes: &[u8]) -> Result<(), ManifestsError> {
        let files = match self {
            Self::Folder(files) => files,
            Self::Memory(manifests) => {
                manifests.insert(hash, bytes.into());
                return Ok(());
            }
        };
        // From here on it is not collected, whether it was found or written.
        files.pin(hash);
        let path = files.path(hash);
        if fs::read(&path).is_ok_and(|kept| kept == bytes) {
            return Ok(());
        }
        let written = files.begin().and_then(|mut unfinished| {
            unfinished.file.write_all(bytes)?;
            files.commit(&unfinished, hash)
        });
        written.map_err(|source| ManifestsError { path, source })
    }

    /// The proven manifest with this hash; `None` if it is not stored or is damaged.
    pub(super) fn open(&self, hash: &Hash) -> Result<Option<KeptManifest>, ManifestsError> {
        let opened = match self {
            Self::Folder(files) => {
                let path = files.path(hash);
                let proven = File::open(&path).and_then(|file| {
                    let len = file.metadata()?.len();
                    KeptManifest::prove(Data::File(file), len)
                });
                match proven {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    proven => proven.map_err(|source| ManifestsError { path, source })?,
                }
            }
            Self::Memory(manifests) => {
                let Some(bytes) = manifests.get(hash) else {
                    return Ok(None);
                };
                let len = bytes.len() as u64;
                let proven = KeptManifest::prove(Data::Memory(bytes), len);
                proven.unwrap_or_default()
            }
        };
        let opened = opened.filter(|manifest| manifest.descriptor.hash() == *hash);
        if opened.is_none() {
            // Peers can cause this line, so it does not have all of the hash.
            let hash = format!("{hash:.8}");
            tracing::warn!(hash, "a stored manifest is damaged: share its folder again");
        }
        Ok(opened)
    }
}

impl StoredByHash for Manifests {
    fn kept(&self) -> Result<&SideFiles, &InMemory> {
        match self {
            Self::Folder(files) => Ok(files),
            Self::Memory(memory) => Err(memory),
        }
    }
}

/// A manifest that was proven when it was opened. No other program writes to the data folder, so it
/// is not proven again.
#[derive(Debug)]
pub(super) struct KeptManifest {
    descriptor: Descriptor,
    data: Data,
    layout: Layout,
    /// The tree from the stored level up, at most 16 KiB.
    nodes: Vec<Node>,
}

enum Data {
    File(File),
    Memory(Arc<[u8]>),
}

impl Data {
    fn read(&self, bytes: Range<u64>) -> io::Result<Vec<u8>> {
        match self {
            Self::File(file) => {
                files::read_vec_at(file, bytes.start, (bytes.end - bytes.start) as usize)
            }
            Self::Memory(memory) => {
                let part = memory.get(bytes.start as usize..bytes.end as usize);
                Ok(part.ok_or(io::ErrorKind::UnexpectedEof)?.to_vec())
            }
        }
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Memory(_) => "Memory",
        })
    }
}

impl KeptManifest {
    /// Decodes it; `None` if it can no longer be read.
    pub(super) fn decode(&self) -> Option<Manifest> {
        let bytes = self.data.read(0..self.descriptor.size()).ok()?;
        Manifest::from_bytes(&bytes).ok()
    }

    /// Proves the manifest; `None` if it cannot be the content of any folder.
    fn prove(data: Data, len: u64) -> io::Result<Option<Self>> {
        if len > MAX_MANIFEST_LEN {
            return Ok(None);
        }
        let (geometry, layout) = (Geometry::new(len), Layout::new(len, STORED_LEVEL));
        let mut nodes = vec![Node::default(); (layout.len() / NODE_LEN) as usize];
        let mut builder = Builder::new(STORED_LEVEL);
        let mut sink = |level, index, node| {
            if let Some(offset) = layout.offset(level, index) {
                nodes[(offset / NODE_LEN) as usize] = node;
            }
        };
        for index in 0..geometry.chunks(STORED_LEVEL) {
            let chunk = geometry
                .chunk(STORED_LEVEL, index)
                .map_err(io::Error::other)?;
            let bytes = data.read(chunk.bytes(geometry))?;
            builder.push(subtree(&bytes, chunk.level()), &mut sink);
        }
        let root = builder.finish(len, &mut sink).map_err(io::Error::other)?;
        let descriptor = Descriptor::new(Kind::Folder, len, root).map_err(io::Error::other)?;
        Ok(Some(Self {
            descriptor,
            data,
            layout,
            nodes,
        }))
    }
}

impl ChunkSource for KeptManifest {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn tree_level(&self) -> Option<u8> {
        (self.descriptor.size() > GROUP_SIZE).then_some(STORED_LEVEL)
    }

    fn node(&self, level: u8, index: u64) -> Result<Node, ReadError> {
        let offset = self.layout.offset(level, index);
        let node = offset.and_then(|offset| self.nodes.get((offset / NODE_LEN) as usize));
        node.copied().ok_or(ReadError::Absent)
    }

    fn read(&self, bytes: Range<u64>) -> Result<Vec<u8>, ReadError> {
        self.data.read(bytes).map_err(|_| ReadError::Absent)
    }

    fn check(&self, _: Chunk) -> Result<Certainty, ReadError> {
        Ok(Certainty::Certain)
    }

    fn data_unproven(&self) -> ReadError {
        ReadError::Absent
    }

    fn nodes_unproven(&self) -> ReadError {
        ReadError::Absent
    }
}
