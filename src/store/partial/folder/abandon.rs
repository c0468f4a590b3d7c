//! The end of a folder's download that nobody wants any more: what it wrote is removed, and nothing else.
//!
//! A file in the tree is ours if it carries the mark of the download, if it was left alone since the download
//! last ran, or if it holds what was to be there. All else stays, and is named.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use pelago_content::{EntryKind, Expander, ListedFile, Listing};

use super::tree::{remove_folders, remove_root};
use crate::store::{
    Store,
    dir::{Dir, Kind, Mode},
    partial::{
        PartialError,
        growth::place_of,
        mark::{self, Id, Mark},
        record::Recorded,
        remove::{Removal, has_content, is_link_in_the_way, remove_this},
    },
};

/// How much the clock of a file system may be behind that of the system, or in how long steps it goes.
const CLOCK_STEP: Duration = Duration::from_secs(3);

/// Removes the tree in which a folder grew, as `recorded` says; what is in it and not ours. The folder's
/// record and those of its parts are there still.
pub(in crate::store::partial) fn remove_staged(
    store: &Store,
    recorded: &Recorded,
) -> Result<Vec<PathBuf>, PartialError> {
    let part = recorded.part();
    let failed = |source| PartialError::Io {
        path: part.clone(),
        source,
    };
    let Ok((home, name)) = place_of(&part) else {
        return Ok(Vec::new());
    };
    let top = match home.sub(&name) {
        Ok(top) => top,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if is_link_in_the_way(&error) => return Ok(vec![part]),
        Err(error) => return Err(failed(error)),
    };
    let id = recorded.growth.as_ref().map(|growth| growth.id);
    if !is_ours(&top, id) {
        return Ok(vec![part]);
    }
    if !top.try_lock().map_err(failed)? {
        let target = recorded.spec.target.clone();
        return Err(PartialError::InUse { target });
    }
    let left_alone_since = left_alone_since(store, recorded);
    let removing = Removing {
        top: &top,
        id,
        left_alone_since,
    };
    let mut left = match listing(store, recorded) {
        Some(listing) => removing.all_of(&listing).map_err(failed)?,
        None => Vec::new(),
    };
    drop(top);
    left.extend(remove_root(&home, &name).map_err(failed)?);
    Ok(left)
}

fn is_ours(top: &Dir, id: Option<Id>) -> bool {
    let mark = top.as_file().map_or(Mark::Unsupported, mark::read);
    match (mark, id) {
        (Mark::Of(found, _), Some(id)) => found == id,
        (Mark::Of(..) | Mark::Old, None) | (Mark::Unsupported, _) => true,
        (Mark::Old | Mark::None, Some(_)) | (Mark::None, None) => false,
    }
}

/// When the download last ran, if its record tells.
fn left_alone_since(store: &Store, recorded: &Recorded) -> Option<SystemTime> {
    let record = store.inner.partials.nodes(&recorded.spec)?;
    record.touched()
}

/// What is in the folder, as far as its manifests are here.
fn listing(store: &Store, recorded: &Recorded) -> Option<Listing> {
    let mut expander = Expander::new(recorded.spec.descriptor).ok()?;
    loop {
        let wanted = expander.wanted();
        if wanted.is_empty() {
            return expander.finish().ok();
        }
        for descriptor in wanted {
            let hash = descriptor.hash();
            let manifest = store.manifest(&hash).ok()??;
            expander.take(&hash, manifest).ok()?;
        }
    }
}

struct Removing<'a> {
    top: &'a Dir,
    id: Option<Id>,
    left_alone_since: Option<SystemTime>,
}

impl Removing<'_> {
    fn all_of(&self, listing: &Listing) -> io::Result<Vec<PathBuf>> {
        let mut left = Vec::new();
        for file in listing.files() {
            let path = file.path();
            if !self.file(&path, &file)? {
                left.push(self.top.path_of(&path));
            }
        }
        let mut folders = Vec::new();
        for entry in listing.entries() {
            match entry.kind() {
                EntryKind::Folder { .. } => folders.push(entry.path()),
                EntryKind::Symlink { target } => self.link(&entry.path(), target)?,
                EntryKind::File { .. } => {}
            }
        }
        remove_folders(self.top, &folders)?;
        Ok(left)
    }

    /// Removes a file, if it is ours; whether it is gone.
    fn file(&self, path: &str, listed: &ListedFile<'_>) -> io::Result<bool> {
        let entry = match self.top.find(path) {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(true),
            Err(error) if is_link_in_the_way(&error) => return Ok(true),
            Err(error) => return Err(error),
        };
        if entry.kind != Kind::File {
            return Ok(false);
        }
        let file = self.top.file(path, Mode::Read)?;
        let is_marked = match (mark::read(&file), self.id) {
            (Mark::Of(found, _), Some(id)) => found == id,
            (Mark::Old, None) => true,
            _ => false,
        };
        let metadata = file.metadata()?;
        let is_left_alone = || {
            let (written, since) = (metadata.modified().ok()?, self.left_alone_since?);
            let is_whole = metadata.len() == listed.descriptor.size();
            Some(is_whole && written + CLOCK_STEP < since)
        };
        let is_ours = is_marked
            || metadata.len() == 0
            || is_left_alone().unwrap_or(false)
            || has_content(&file, &listed.descriptor)?;
        Ok(is_ours && remove_this(self.top, path, entry.identity)? == Removal::Gone)
    }

    fn link(&self, path: &str, target: &str) -> io::Result<()> {
        match self.top.read_link(path) {
            Ok(leads_to) if leads_to == Path::new(target) => self.top.remove_file(path),
            _ => Ok(()),
        }
    }
}
