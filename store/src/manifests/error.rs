//! Why a manifest was not kept or read.

use std::{io, path::PathBuf};

/// A manifest cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the manifest {} cannot be written or read: {source}",
    crate::shown(path)
)]
pub struct ManifestsError {
    /// Its file.
    pub path: PathBuf,
    /// The error of the operating system.
    pub source: io::Error,
}
