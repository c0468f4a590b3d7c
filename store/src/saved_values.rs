//! The small values that have a file of their own in the data folder.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde_bytes::ByteBuf;

use super::{
    database,
    mounts::{MOUNTS_FILE, Mounts},
    saved_uploads::{SavedUploads, UPLOADS_FILE},
    saved_value::SavedValue,
};

/// The file with the exclusions from watched folders.
pub(super) const EXCLUSIONS_FILE: &str = "exclusions";

/// The excluded paths, each with its watched folder.
pub(super) type Exclusions = BTreeMap<PathBuf, PathBuf>;

/// The exclusions in a data folder that another process may use; none if they cannot be decoded.
pub(super) fn read_exclusions(folder: &Path) -> io::Result<Exclusions> {
    match fs::read(folder.join(EXCLUSIONS_FILE)) {
        Ok(bytes) => Ok(database::decode(EXCLUSIONS_FILE, &bytes).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Exclusions::new()),
        Err(error) => Err(error),
    }
}

/// The file with the names of peers.
pub(super) const PEER_NAMES_FILE: &str = "peer-names";

/// Names with the ids of their peers, the one used last at the end.
pub(super) type PeerNames = Vec<(String, ByteBuf)>;

/// The small values of one store.
pub(super) struct SavedValues {
    pub(super) mounts: SavedValue<Mounts>,
    pub(super) exclusions: SavedValue<Exclusions>,
    pub(super) peer_names: SavedValue<PeerNames>,
    pub(super) uploads: SavedValue<SavedUploads>,
}

impl SavedValues {
    pub(super) fn in_folder(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            mounts: SavedValue::in_folder(folder, MOUNTS_FILE)?,
            exclusions: SavedValue::in_folder(folder, EXCLUSIONS_FILE)?,
            peer_names: SavedValue::in_folder(folder, PEER_NAMES_FILE)?,
            uploads: SavedValue::in_folder(folder, UPLOADS_FILE)?,
        })
    }

    pub(super) fn in_memory() -> Self {
        Self {
            mounts: SavedValue::in_memory(),
            exclusions: SavedValue::in_memory(),
            peer_names: SavedValue::in_memory(),
            uploads: SavedValue::in_memory(),
        }
    }
}
