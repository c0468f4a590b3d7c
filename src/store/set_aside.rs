//! Damaged files that were set aside, as `durable` names them.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use super::data_layout::{CACHE_FOLDER, MANIFESTS_FOLDER, TREES_FOLDER};

/// Folders with one file for each content: nothing in them is set aside, and they may hold millions.
const SIDE_FILES: [&str; 3] = [TREES_FOLDER, MANIFESTS_FOLDER, CACHE_FOLDER];

/// What is in the name of a damaged file that was set aside.
const SET_ASIDE: &str = ".damaged-";

/// The files set aside in the data folder at `folder` and in the folders directly in it.
///
/// # Errors
///
/// What the system said.
pub fn files_set_aside(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), true)];
    while let Some((folder, descends)) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let is_folder = entry.file_type()?.is_dir();
            if entry.file_name().to_string_lossy().contains(SET_ASIDE) {
                found.push(entry.path());
            } else if is_folder && descends && !holds_side_files(&entry.file_name()) {
                folders.push((entry.path(), false));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn holds_side_files(name: &OsStr) -> bool {
    SIDE_FILES.iter().any(|folder| name == *folder)
}
