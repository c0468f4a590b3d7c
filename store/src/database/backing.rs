//! Where a database is stored: in a file or in memory.

use std::{fmt, path::PathBuf};

/// Where a database is stored: in a file or in memory.
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
