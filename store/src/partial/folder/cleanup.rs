//! Removes directories that are empty.

use std::{io, path::PathBuf};

use crate::{
    dir::Dir,
    partial::removal::{Proceed, step},
};

/// Removes those of the folders that are empty. Each comes before those in it.
pub(super) fn remove_empty_folders(
    top: &Dir,
    folders: &[String],
    proceed: Proceed<'_>,
) -> io::Result<()> {
    for folder in folders.iter().rev() {
        step(1, proceed)?;
        is_gone(top.remove_folder(folder))?;
    }
    Ok(())
}

/// Removes a directory if it is empty. Returns its path if it is not.
pub(super) fn remove_if_empty(parent: &Dir, name: &str) -> io::Result<Option<PathBuf>> {
    let removed = is_gone(parent.remove_folder(name))?;
    Ok((!removed).then(|| parent.path_of(name)))
}

/// Whether a folder is gone. It stays if something is in it.
fn is_gone(removed: io::Result<()>) -> io::Result<bool> {
    use io::ErrorKind::{DirectoryNotEmpty, NotADirectory, NotFound};
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == NotFound => Ok(true),
        Err(error) if matches!(error.kind(), DirectoryNotEmpty | NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}
