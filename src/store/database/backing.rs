//! Where a database is stored.

use std::{fmt, path::PathBuf};

/// Where a database is stored.
pub(super) enum Backing {
    File(PathBuf),
    Memory,
}

impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Memory => f.write_str("(in memory)"),
        }
    }
}
