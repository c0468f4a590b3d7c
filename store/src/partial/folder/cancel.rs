//! Cancels the download of a folder: removes what it wrote, and nothing else.
//!
//! A file in the staging directory is ours if it carries the mark of the download, or has the
//! content that belongs there. All other files stay, and their paths are returned.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use pelago_content::{EntryKind, Expander, Hash, ListedFile, Listing};

use super::{
    FileSystem, Links,
    cleanup::{remove_empty_folders, remove_if_empty},
    local_paths::LocalPaths,
};
use crate::{
    Store,
    dir::{Dir, EntryType, OpenMode},
    partial::{
        PartialError,
        mark::{self, Id, Mark},
        page::Recorded,
        part_name::open_parent,
        removal::{Proceed, Removal, has_content, is_link_in_the_way, remove_entry, step},
    },
};

/// Removes the staging directory of a recorded download. Its record and those of its parts still
/// exist. Returns the paths of other files, which stay.
pub(in crate::partial) fn remove_staged(
    store: &Store,
    recorded: &Recorded,
    proceed: Proceed<'_>,
) -> Result<Vec<PathBuf>, PartialError> {
    let part = recorded.part_path();
    let failed = |source| PartialError::Io {
        path: part.clone(),
        source,
    };
    let Ok((parent, name)) = open_parent(&part) else {
        return Ok(Vec::new());
    };
    let top = match parent.sub(&name) {
        Ok(top) => top,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if is_link_in_the_way(&error) => return Ok(vec![part]),
        Err(error) => return Err(failed(error)),
    };
    let id = recorded.part.as_ref().map(|part| part.id);
    if !is_ours(&top, id, &recorded.spec.descriptor.hash()) {
        return Ok(vec![part]);
    }
    if !top.try_lock().map_err(failed)? {
        let target = recorded.spec.target.clone();
        return Err(PartialError::InUse { target });
    }
    let removing = Removing {
        top: &top,
        id,
        proceed,
    };
    let mut left = match listing(store, recorded, proceed).map_err(failed)? {
        Some(listing) => {
            let listing = Arc::new(listing);
            let unrestricted = FileSystem::unrestricted();
            let file_system = recorded.file_system().unwrap_or(&unrestricted);
            let local = LocalPaths::new(&listing, file_system, Links::All);
            removing.all_of(&listing, &local).map_err(failed)?
        }
        None => Vec::new(),
    };
    drop(top);
    left.extend(remove_if_empty(&parent, &name).map_err(failed)?);
    parent.sync_file_system().map_err(failed)?;
    Ok(left)
}

fn is_ours(top: &Dir, id: Option<Id>, hash: &Hash) -> bool {
    let mark = top.as_file().map_or(Mark::Unsupported, mark::read);
    match (mark, id) {
        (Mark::Of(found, _), Some(id)) => found == id,
        (Mark::Of(_, of), None) => of == *hash,
        (Mark::Old, None) | (Mark::Unsupported, _) => true,
        (Mark::Old | Mark::None, Some(_)) | (Mark::None, None) => false,
    }
}

/// The listing of the folder. None if one of its manifests is missing.
///
/// # Errors
///
/// The removal is stopped.
fn listing(
    store: &Store,
    recorded: &Recorded,
    proceed: Proceed<'_>,
) -> io::Result<Option<Listing>> {
    let Ok(mut expander) = Expander::new(recorded.spec.descriptor) else {
        return Ok(None);
    };
    loop {
        let wanted = expander.wanted();
        if wanted.is_empty() {
            return Ok(expander.finish().ok());
        }
        for descriptor in wanted {
            step(0, proceed)?;
            let hash = descriptor.hash();
            let taken = match store.manifest(&hash) {
                Ok(Some(manifest)) => expander.take(&hash, manifest).is_ok(),
                _ => false,
            };
            if !taken {
                return Ok(None);
            }
        }
    }
}

struct Removing<'a> {
    top: &'a Dir,
    id: Option<Id>,
    proceed: Proceed<'a>,
}

impl Removing<'_> {
    fn all_of(&self, listing: &Listing, local: &LocalPaths) -> io::Result<Vec<PathBuf>> {
        let mut left = Vec::new();
        for file in listing.files() {
            step(1, self.proceed)?;
            let path = local.path(file.entry);
            if !self.file(&path, &file)? {
                left.push(self.top.path_of(&path));
            }
        }
        let mut folders = Vec::new();
        for entry in listing.entries() {
            step(0, self.proceed)?;
            match entry.kind() {
                EntryKind::Folder { .. } => folders.push(local.path(entry)),
                EntryKind::Symlink { target } => self.link(&local.path(entry), target)?,
                EntryKind::File { .. } => {}
            }
        }
        remove_empty_folders(self.top, &folders, self.proceed)?;
        Ok(left)
    }

    /// Removes a file, if it is ours. Returns whether it is gone.
    fn file(&self, path: &str, listed: &ListedFile<'_>) -> io::Result<bool> {
        let entry = match self.top.find(path) {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(true),
            Err(error) if is_link_in_the_way(&error) => return Ok(true),
            Err(error) => return Err(error),
        };
        if entry.kind != EntryType::File {
            return Ok(false);
        }
        let file = self.top.file(path, OpenMode::Read)?;
        let is_marked = match (mark::read(&file), self.id) {
            (Mark::Of(found, _), Some(id)) => found == id,
            // Without an id, any mark counts: the staging directory itself is ours.
            (Mark::Of(..) | Mark::Old, None) => true,
            _ => false,
        };
        let is_ours = is_marked
            || file.metadata()?.len() == 0
            || has_content(&file, &listed.descriptor, self.proceed)?;
        Ok(is_ours && remove_entry(self.top, path, entry.file_id)? == Removal::Gone)
    }

    fn link(&self, path: &str, target: &str) -> io::Result<()> {
        match self.top.read_link(path) {
            Ok(leads_to) if leads_to == Path::new(target) => self.top.remove_file(path),
            _ => Ok(()),
        }
    }
}
