//! How received folders differ from their manifests: renamed entries, and entries that were left
//! out. With it, a folder keeps its hash when it is shared again.
//!
//! Owns `received/` in the data folder: one file for each such folder, named by a hash of its path,
//! in versioned CBOR, and replaced as a whole. It is ignored if the directory no longer exists or
//! is another one. Errors are those of the operating system.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    data_layout::RECEIVED_FOLDER, database::decode_row, dir::metadata_of_file, file_system, files,
};
use crate::durable;

/// The version of the encoding.
const VERSION: u64 = 1;

/// The highest number of bytes of names and targets for one folder: some half a million
/// differences.
const MAX_BYTES: usize = 64 << 20;

/// How one folder differs from its manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    /// Renamed entries: the local path, and the name in the manifest.
    renamed: BTreeMap<String, String>,
    /// Links that were left out, by the local path of the folder: name and target.
    left_out: BTreeMap<String, Vec<(String, String)>>,
    /// The local paths of all executable files, where the file system does not store that.
    executables: Option<BTreeSet<String>>,
    bytes: usize,
}

#[derive(Serialize, Deserialize)]
struct Fields {
    #[serde(rename = "v")]
    version: u64,
    #[serde(rename = "p")]
    path: PathBuf,
    /// The inode of the directory, where the file system keeps inode numbers.
    #[serde(rename = "i")]
    inode: Option<u64>,
    #[serde(rename = "n")]
    renamed: BTreeMap<String, String>,
    #[serde(rename = "l")]
    left_out: BTreeMap<String, Vec<(String, String)>>,
    #[serde(rename = "x")]
    executables: Option<BTreeSet<String>>,
}

impl Received {
    /// Records that an entry is stored at `path`, and is called `name` in the manifest.
    pub(super) fn rename(&mut self, path: String, name: &str) {
        self.bytes += path.len() + name.len();
        self.renamed.insert(path, name.to_owned());
    }

    /// Records that a link was left out.
    pub(super) fn leave_out(&mut self, folder: String, name: &str, target: &str) {
        self.bytes += folder.len() + name.len() + target.len();
        let links = self.left_out.entry(folder).or_default();
        links.push((name.to_owned(), target.to_owned()));
    }

    /// Records which files are executable, where the file system does not store that.
    pub(super) fn set_executables(&mut self, paths: BTreeSet<String>) {
        self.bytes += paths.iter().map(String::len).sum::<usize>();
        self.executables = Some(paths);
    }

    /// Whether it is too large to be stored.
    pub(super) const fn is_too_long(&self) -> bool {
        self.bytes > MAX_BYTES
    }

    /// The name in the manifest of the entry at `path`, if it differs.
    pub(super) fn name_of(&self, path: &str) -> Option<&str> {
        self.renamed.get(path).map(String::as_str)
    }

    /// The links that were left out of the folder at `path`: names and targets.
    pub(super) fn links_in(&self, path: &str) -> &[(String, String)] {
        self.left_out.get(path).map_or(&[], Vec::as_slice)
    }

    /// Whether the file at `path` is executable, where the file system does not store that.
    pub(super) fn is_executable(&self, path: &str) -> Option<bool> {
        let executables = self.executables.as_ref()?;
        Some(executables.contains(path))
    }

    /// Reads what the data folder `data`, which need not exist, stores about the folder at `path`.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn read(data: &Path, path: &Path) -> io::Result<Option<Self>> {
        match fs::read(file_of(data, path)) {
            Ok(bytes) => Ok(Self::from_bytes(&bytes, path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn from_bytes(bytes: &[u8], path: &Path) -> Option<Self> {
        let fields: Option<Fields> = decode_row(bytes);
        let fields = fields.filter(|fields| fields.version == VERSION);
        let Some(fields) = fields else {
            let path = path.display();
            tracing::warn!(
                %path,
                "the record of how this folder was received cannot be read: it is shared with its \
                 current entries"
            );
            return None;
        };
        let is_same = fields
            .inode
            .is_none_or(|inode| inode_of(path) == Some(inode));
        (fields.path == path && is_same).then_some(Self {
            renamed: fields.renamed,
            left_out: fields.left_out,
            executables: fields.executables,
            bytes: bytes.len(),
        })
    }

    fn to_bytes(&self, path: &Path, inode: Option<u64>) -> io::Result<Vec<u8>> {
        let fields = Fields {
            version: VERSION,
            path: path.to_owned(),
            inode,
            renamed: self.renamed.clone(),
            left_out: self.left_out.clone(),
            executables: self.executables.clone(),
        };
        cbor4ii::serde::to_vec(Vec::new(), &fields).map_err(io::Error::other)
    }
}

/// The records of all received folders.
pub(super) struct ReceivedFolders(Backing);

enum Backing {
    /// The data folder.
    Folder(PathBuf),
    Memory(Mutex<HashMap<PathBuf, Vec<u8>>>),
}

impl ReceivedFolders {
    pub(super) fn in_folder(data: &Path) -> Self {
        Self(Backing::Folder(data.to_owned()))
    }

    pub(super) fn in_memory() -> Self {
        Self(Backing::Memory(Mutex::default()))
    }

    /// The record of the folder at `path`.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn get(&self, path: &Path) -> io::Result<Option<Received>> {
        match &self.0 {
            Backing::Folder(data) => Received::read(data, path),
            Backing::Memory(known) => {
                let known = known.lock();
                let bytes = known.get(path);
                Ok(bytes.and_then(|bytes| Received::from_bytes(bytes, path)))
            }
        }
    }

    /// Stores how the folder at `path`, which is the directory `dir` now, differs from its
    /// manifests. Removes the record if there is no difference.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub(super) fn set(
        &self,
        path: &Path,
        dir: Option<&File>,
        received: Option<&Received>,
    ) -> io::Result<()> {
        let Some(received) = received else {
            return self.remove(path);
        };
        let keeps = dir.filter(|dir| file_system::keeps_inodes(dir));
        let inode = keeps.map(|dir| Ok::<_, io::Error>(metadata_of_file(dir)?.file_id.inode));
        let bytes = received.to_bytes(path, inode.transpose()?)?;
        match &self.0 {
            Backing::Folder(data) => {
                files::create_private_folder(&data.join(RECEIVED_FOLDER))?;
                durable::replace(&file_of(data, path), &bytes)
            }
            Backing::Memory(known) => {
                known.lock().insert(path.to_owned(), bytes);
                Ok(())
            }
        }
    }

    /// Removes the record of the folder at `path`.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        match &self.0 {
            Backing::Folder(data) => match fs::remove_file(file_of(data, path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            Backing::Memory(known) => {
                known.lock().remove(path);
                Ok(())
            }
        }
    }
}

fn file_of(data: &Path, path: &Path) -> PathBuf {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    data.join(RECEIVED_FOLDER).join(name)
}

/// The inode of the directory at `path`, where the file system keeps inode numbers.
fn inode_of(path: &Path) -> Option<u64> {
    let dir = File::open(path).ok()?;
    let inode = metadata_of_file(&dir).ok()?.file_id.inode;
    file_system::keeps_inodes(&dir).then_some(inode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Home;

    #[test]
    fn the_record_of_a_folder_is_for_that_folder_only() {
        let home = Home::in_memory();
        let (data, path) = (home.path("data"), home.path("folder"));
        fs::create_dir(&path).unwrap();
        let mut received = Received::default();
        received.rename("sub/aux_.c".to_owned(), "aux.c");
        received.leave_out(String::new(), "link", "/etc");
        received.set_executables(BTreeSet::from(["run".to_owned()]));
        for folders in [
            ReceivedFolders::in_folder(&data),
            ReceivedFolders::in_memory(),
        ] {
            assert_eq!(folders.get(&path).unwrap(), None);
            let dir = File::open(&path).unwrap();
            folders.set(&path, Some(&dir), Some(&received)).unwrap();
            let found = folders.get(&path).unwrap().unwrap();
            assert_eq!(found.name_of("sub/aux_.c"), Some("aux.c"));
            assert_eq!(found.name_of("aux_.c"), None);
            assert_eq!(found.links_in(""), [("link".to_owned(), "/etc".to_owned())]);
            assert_eq!(
                (found.is_executable("run"), found.is_executable("a")),
                (Some(true), Some(false))
            );
            assert_eq!(folders.get(&home.path("other")).unwrap(), None);
            folders.set(&path, Some(&dir), None).unwrap();
            assert_eq!(folders.get(&path).unwrap(), None);
            folders.set(&path, Some(&dir), Some(&received)).unwrap();
        }
        // Another directory at the same path is not the received one.
        fs::rename(&path, home.path("moved")).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(Received::read(&data, &path).unwrap(), None);
        let file = fs::read_dir(data.join(RECEIVED_FOLDER))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        fs::write(file.path(), "torn").unwrap();
        assert_eq!(Received::read(&data, &path).unwrap(), None);
    }
}
