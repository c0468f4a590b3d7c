//! The damaged files in a data folder, which `durable` renames.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use super::data_layout::{CACHE_FOLDER, MANIFESTS_FOLDER, TREES_FOLDER};

/// Folders with one file for each content. Nothing in them is set aside, and they may hold millions
/// of files.
const SIDE_FILES: [&str; 3] = [TREES_FOLDER, MANIFESTS_FOLDER, CACHE_FOLDER];

/// The part of a name that marks a damaged file.
const SET_ASIDE: &str = ".damaged-";

/// The damaged files in the data folder at `folder` and in its direct sub-folders.
///
/// # Errors
///
/// The error of the operating system.
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
