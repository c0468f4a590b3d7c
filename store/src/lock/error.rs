//! Why a data folder cannot be used.

use std::{io, path::PathBuf};

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has it.
    #[error(
        "the data folder {} is in use by another process: use that node, stop it, or give \
         another folder with --data-dir",
        crate::shown(folder)
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// It cannot be created, written or locked.
    #[error("the data folder {} cannot be used: {source}", crate::shown(folder))]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A newer version wrote it.
    #[error(
        "the data folder {} cannot be used: pelago {writer} wrote it in format {format}, which \
         this version ({}) does not read. Use pelago {writer} or newer, or give another folder \
         with --data-dir", crate::shown(folder), env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The folder.
        folder: PathBuf,
        /// The number of its format.
        format: u32,
        /// The version that wrote it.
        writer: String,
    },
    /// The file `format` does not name a format.
    #[error(
        "the data folder cannot be used: {} holds {text:?}, which names no format of a data \
         folder. Give the data folder of a node with --data-dir, or restore that file",
        crate::shown(file)
    )]
    UnknownFormat {
        /// The file in the data folder.
        file: PathBuf,
        /// The beginning of its content.
        text: String,
    },
}
