//! What downloads put in place, kept until they are no longer listed.
//!
//! Owns `receipts/` in the data folder, or the same in memory: one file a download, named by its hash. It
//! is written before the content is put in place and once more after, and belongs to one request: a new
//! one for the same content forgets it. A receipt is not made durable: one that is missing or damaged after a power cut only means that a
//! download is not removed with its data. Failures leave as the system gave them.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use pelago_content::Hash;
use serde::{Deserialize, Serialize};

use super::{Receipt, data_layout::RECEIPTS_FOLDER};
use crate::durable;

/// The form of a receipt.
const VERSION: u64 = 1;

/// Where receipts are kept.
#[derive(Default)]
pub(super) struct Receipts {
    pub(super) folder: Option<PathBuf>,
    /// Those of a store in memory, and those that the disk did not take: for this run.
    pub(super) in_memory: Mutex<HashMap<Hash, Receipt>>,
}

#[derive(Serialize, Deserialize)]
struct VersionedReceipt<R> {
    #[serde(rename = "v")]
    version: u64,
    #[serde(rename = "r")]
    receipt: R,
}

impl Receipts {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self {
            folder: Some(folder.join(RECEIPTS_FOLDER)),
            ..Self::default()
        }
    }

    /// Where the receipt of a download is; none in memory.
    pub(super) fn path(&self, hash: &Hash) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(hash.to_string()))
    }

    /// Writes the receipt of a download, if there is a folder.
    pub(super) fn write(&self, hash: &Hash, receipt: &Receipt) -> io::Result<()> {
        let version = VERSION;
        let kept = cbor4ii::serde::to_vec(Vec::new(), &VersionedReceipt { version, receipt });
        let kept = kept.map_err(|error| io::Error::other(error.to_string()))?;
        let (Some(folder), Some(path)) = (&self.folder, self.path(hash)) else {
            return Ok(());
        };
        durable::create_private_folder(folder)?;
        durable::replace_unsynced(&path, &kept)
    }
}

/// None if it is no receipt of a version known here.
pub(super) fn parse(bytes: &[u8]) -> Option<Receipt> {
    let kept: VersionedReceipt<Receipt> = cbor4ii::serde::from_slice(bytes).ok()?;
    (kept.version == VERSION).then_some(kept.receipt)
}

/// Any bytes as a receipt.
#[cfg(all(feature = "api", any(test, feature = "fuzzing")))]
pub(crate) fn fuzz(data: &[u8]) {
    let _ = parse(data);
}
