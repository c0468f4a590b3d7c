//! Finds the shares of a watched folder that are gone or excluded, and removes them. Shares on a
//! missing disk stay recorded.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use super::{BATCH, Scan};
use crate::store::{DatabaseError, Presence, Share, Store, is_gone, is_missing};

impl Scan<'_> {
    /// Removes in one commit the shares that are gone.
    pub(super) fn write_gone(&mut self) -> Result<(), DatabaseError> {
        let gone = std::mem::take(&mut self.gone);
        if !gone.is_empty() {
            self.scanned.gone += self.store.remove_shares(&gone)?;
        }
        Ok(())
    }

    /// Finds shares of the folder at `path` or below that are gone or excluded.
    pub(super) fn withdraw(&mut self, path: &Path) -> Result<ControlFlow<()>, DatabaseError> {
        let at = self.store.share_at(path)?;
        let mut page: Vec<_> = at.into_iter().collect();
        let mut after: Option<PathBuf> = None;
        loop {
            if self.observer.pause().is_break() {
                return Ok(ControlFlow::Break(()));
            }
            page.retain(|share| self.is_gone_or_excluded(share));
            let gone = page.drain(..).map(|share| (share.hash, share.path));
            let mut gone: Vec<_> = gone.collect();
            // Files may be missing because their disk is not mounted.
            if !gone.is_empty() {
                note_missing(self.store, self.folder, path);
                let without_disk = self.store.folders_without_disk(self.folder, path);
                gone.retain(|(_, path)| {
                    let is_on_disk = without_disk.iter().any(|disk| path.starts_with(disk));
                    let is_away = is_on_disk && is_missing(path);
                    !is_away && !self.store.is_below_missing(path)
                });
            }
            self.gone.extend(gone);
            if self.gone.len() >= BATCH {
                self.write_gone()?;
            }
            page = self.store.shares_under(path, after.as_deref(), BATCH)?;
            match page.last() {
                Some(last) => after = Some(last.path.clone()),
                None => return Ok(ControlFlow::Continue(())),
            }
        }
    }

    /// Whether a share of the folder is gone or excluded.
    fn is_gone_or_excluded(&mut self, share: &Share) -> bool {
        let (path, folder) = (&share.path, self.folder);
        if !self.is_ours(share) || self.store.is_below_missing(path) {
            return false;
        }
        // The path may be a folder or a link now, or lead through one.
        let is_there = match path.symlink_metadata() {
            Ok(metadata) => metadata.is_file() && !self.is_behind_link(path),
            // An entry that cannot be read may exist.
            Err(error) => !is_gone(&error),
        };
        let grows = || self.growing.contains(path) || self.growing.above(path, folder).is_some();
        let is_excluded = || self.store.is_excluded(path);
        !is_there || grows() || is_excluded() || self.ignores.leave_out(path, false)
    }
}

/// Inspects the shares below `path`, which was missing: not all of them come back with it, and some
/// were found missing before it was.
fn note_states(store: &Store, path: &Path) {
    let mut after: Option<PathBuf> = None;
    while let Ok(page) = store.shares_under(path, after.as_deref(), BATCH)
        && let Some(last) = page.last()
    {
        after = Some(last.path.clone());
        for share in &page {
            store.set_state(share, store.inspect_share(share).state);
        }
    }
}

/// Checks whether the watched `folder` and the mounts around `path` are there. Shares on missing
/// ones stay recorded, and are not offered.
pub(in crate::node) fn note_missing(store: &Store, folder: &Path, path: &Path) {
    let missing = store.missing_folders(folder, path);
    let (gone, back) = store.set_missing(folder, path, &missing);
    for path in gone {
        let folder = path.display();
        if store.presence(&path) == Presence::Unreadable {
            tracing::warn!(
                %folder, "the folder cannot be read: its shares are offered again when it can"
            );
        } else {
            tracing::warn!(
                %folder, "the folder is missing: its shares are offered again when it is back"
            );
        }
    }
    for path in back {
        let folder = path.display();
        note_states(store, &path);
        if store.presence(&path) == Presence::WithoutDisk {
            tracing::warn!(
                %folder, "the folder has files although its disk is missing: they are shared, and \
                 the shares on the disk are offered again when it is back"
            );
        } else {
            tracing::info!(%folder, "the folder is back: its shares are offered again");
        }
    }
}
