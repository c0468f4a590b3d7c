//! The names of part files and staging directories, and the directory that holds them.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::PartialError;
use crate::dir::Dir;

/// Appended to the name of the target.
const SUFFIX: &str = ".part";

/// Bytes in the longest file name on common systems.
const MAX_NAME_LEN: usize = 255;

/// How many names are tried before a download fails.
pub(super) const MAX_ATTEMPTS: u32 = 100;

/// The name of the part file of the target `name`: `NAME.part` at the first attempt, `NAME.2.part`
/// at the second. A name that leaves no space for the suffix is cut, and digits of its hash keep it
/// distinct.
pub(super) fn part_name(name: &str, attempt: u32) -> String {
    let suffix = match attempt {
        1 => SUFFIX.to_owned(),
        n => format!(".{n}{SUFFIX}"),
    };
    if name.len() + suffix.len() <= MAX_NAME_LEN {
        return format!("{name}{suffix}");
    }
    let hash = Sha256::digest(name.as_bytes());
    let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let len = MAX_NAME_LEN - suffix.len() - 1 - hash.len();
    let start = &name[..name.floor_char_boundary(len)];
    format!("{start}-{hash}{suffix}")
}

/// The path of the part file at the first attempt. Versions before format 2 knew no other.
pub(super) fn default_part_path(target: &Path) -> PathBuf {
    let name = target.file_name().map(OsStr::to_string_lossy);
    target.with_file_name(part_name(&name.unwrap_or_default(), 1))
}

/// Opens the directory that holds `path`. Returns it with the file name of `path`.
pub(super) fn open_parent(path: &Path) -> Result<(Arc<Dir>, String), PartialError> {
    let name = path.file_name().and_then(OsStr::to_str);
    let (Some(name), Some(folder)) = (name, path.parent()) else {
        let target = path.to_owned();
        return Err(PartialError::Target { target });
    };
    let dir = Dir::open(folder).map_err(|source| PartialError::Io {
        path: folder.to_owned(),
        source,
    })?;
    Ok((Arc::new(dir), name.to_owned()))
}
