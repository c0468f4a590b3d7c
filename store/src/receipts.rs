//! The receipts of downloads: what each put in place. They are kept while the download is listed.
//!
//! Owns `receipts/` in the data folder, or receipts in memory: one file for each download, named by
//! its hash. It is written before the content is put in place, and again afterwards. It belongs to
//! one request: a new request for the same content removes it. A receipt is not synced: if a power
//! cut damages it, the download can only not be removed with its data. Errors are those of the
//! operating system.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use pelago_content::Hash;
use serde::{Deserialize, Serialize};

use super::{Receipt, data_layout::RECEIPTS_FOLDER, database::decode_row};
use crate::durable;

/// The version of the encoding.
const VERSION: u64 = 1;

/// Where receipts are kept.
#[derive(Default)]
pub(super) struct Receipts {
    pub(super) folder: Option<PathBuf>,
    /// The receipts of a store in memory, and those that could not be written, for this run.
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

    /// The path of a receipt; `None` in memory.
    pub(super) fn path(&self, hash: &Hash) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(hash.to_string()))
    }

    /// Writes a receipt, if there is a folder.
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

/// Decodes a receipt; `None` if it is damaged or has an unknown version.
pub(super) fn parse(bytes: &[u8]) -> Option<Receipt> {
    let kept: VersionedReceipt<Receipt> = decode_row(bytes)?;
    (kept.version == VERSION).then_some(kept.receipt)
}

/// Decodes any bytes as a receipt.
pub(crate) fn fuzz(data: &[u8]) {
    let _ = parse(data);
}
