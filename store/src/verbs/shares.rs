//! Shares: added, removed and looked up.
//!
//! Decides which rows are live, and keeps all parts of the store consistent when rows change;
//! `share_tables` writes the rows. Never opens a shared file. Errors are [`ShareError`]s or those
//! of the database.

#[cfg(test)]
mod tests;

use std::{
    io,
    ops::Bound,
    path::{MAIN_SEPARATOR, Path, PathBuf},
    sync::atomic::Ordering,
};

use parking_lot::RwLockReadGuard;
use pelago_content::{Hash, Totals};
use redb::ReadableTable;

use crate::{
    DatabaseError, Member, NewShare, Scopes, Share, ShareFeed, Store,
    clock::unix_now,
    database::{PATHS, SHARES},
    share_log::is_logged,
    share_tables::{Tables, row, shares_of},
    side_files::StoredByHash,
};

/// How many rows one page examines, even if the filter accepts few: about 5 ms.
const MAX_ROWS_PER_PAGE: usize = 10_000;

/// The end of a page of shares; the next page begins after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) hash: Hash,
    pub(super) path: String,
}

impl Cursor {
    /// The cursor before all shares with this hash.
    pub fn before(hash: Hash) -> Self {
        Self {
            hash,
            path: String::new(),
        }
    }
}

/// A page of shares, ordered by hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The shares. A page may have few or none even if it is not the last.
    pub shares: Vec<Share>,
    /// The cursor for the next page; `None` after the last one.
    pub next: Option<Cursor>,
}

impl Store {
    /// Adds files in one commit, and replaces earlier shares at the same paths. If a scan finds a
    /// share that a person made, it keeps its name, scopes and origin.
    ///
    /// # Errors
    ///
    /// [`ShareError`]. Nothing is added then.
    pub fn add_shares(&self, shares: &[NewShare]) -> Result<(), ShareError> {
        for share in shares {
            checked_path(&share.path)?;
        }
        let hashes: Vec<_> = shares.iter().map(|share| share.descriptor.hash()).collect();
        self.sync_side_files(&hashes)?;
        let now = unix_now();
        let mut log = self.inner.share_log.lock();
        let (added, replaced, gone) = self.inner.database.write(|transaction| {
            let mut tables = Tables::open(transaction)?;
            let (mut added, mut replaced) = (Vec::new(), Vec::new());
            for share in shares {
                let totals = Totals::of_file(&share.descriptor);
                let (share, hashes) = tables.add_folder(share, totals, &[], now)?;
                added.push(share);
                replaced.extend(hashes);
            }
            let gone = tables.without_rows(replaced.clone())?;
            Ok((added, replaced, gone))
        })?;
        self.inner.names.add(&added);
        self.inner.names.withdrawn(gone.len());
        self.inner.provider_keys.change(&hashes, &gone);
        log.add(&added);
        drop(log);
        self.inner
            .share_states
            .forget(shares.iter().map(|share| &*share.path));
        self.shares_changed(hashes.iter().copied().chain(replaced), &gone);
        self.unpin(&hashes);
        Ok(())
    }

    /// Adds a folder with its members in one commit, and replaces an earlier share at its path. Its
    /// manifests must be stored already.
    ///
    /// # Errors
    ///
    /// [`ShareError`]. Nothing is changed then.
    pub fn add_folder(
        &self,
        folder: &NewShare,
        totals: Totals,
        members: &[Member],
    ) -> Result<(), ShareError> {
        checked_path(&folder.path)?;
        let hashes = members.iter().map(|member| member.descriptor.hash());
        let hashes: Vec<_> = hashes.chain([folder.descriptor.hash()]).collect();
        self.sync_side_files(&hashes)?;
        let now = unix_now();
        let mut log = self.inner.share_log.lock();
        let (added, replaced, gone) = self.inner.database.write(|transaction| {
            let mut tables = Tables::open(transaction)?;
            let (added, replaced) = tables.add_folder(folder, totals, members, now)?;
            let gone = tables.without_rows(replaced.clone())?;
            Ok((added, replaced, gone))
        })?;
        self.inner.names.add([&added]);
        log.add([&added]);
        self.inner.provider_keys.change(&hashes, &gone);
        drop(log);
        self.inner.share_states.forget([&*folder.path]);
        let changed = replaced.into_iter().chain([folder.descriptor.hash()]);
        self.shares_changed(changed, &gone);
        self.unpin(&hashes);
        Ok(())
    }

    /// Removes shares in one commit, and returns how many there were. Trees and manifests that are
    /// no longer needed are collected later, because work under way may need them.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]. Nothing is removed then.
    pub fn remove_shares(&self, shares: &[(Hash, PathBuf)]) -> Result<usize, DatabaseError> {
        let mut log = self.inner.share_log.lock();
        let mut logged = Vec::new();
        for (hash, path) in shares {
            let share = self.share_at(path)?;
            logged.extend(share.filter(|share| share.hash == *hash && is_logged(share)));
        }
        log.remove(logged.iter().filter_map(|share| share.path.to_str()));
        let (count, removed, gone) = self.inner.database.write_with_spare(|transaction| {
            let mut tables = Tables::open(transaction)?;
            let (mut count, mut removed) = (0, Vec::new());
            for (hash, path) in shares {
                if let Some(path) = path.to_str() {
                    let hashes = tables.remove(hash, path)?;
                    count += usize::from(!hashes.is_empty());
                    removed.extend(hashes);
                }
            }
            let gone = tables.without_rows(removed.clone())?;
            Ok((count, removed, gone))
        })?;
        self.inner.provider_keys.change(&[], &gone);
        drop(log);
        self.inner.names.withdrawn(count);
        self.inner.open_files.forget(&removed);
        self.inner
            .share_states
            .forget(shares.iter().map(|(_, path)| &**path));
        self.shares_changed(shares.iter().map(|(hash, _)| *hash), &gone);
        Ok(count)
    }

    /// Takes `scopes` from shares in one commit, and removes those that have no other. Returns how many
    /// had one of them.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]. Nothing is changed then.
    pub fn remove_scopes(
        &self,
        shares: &[(Hash, PathBuf)],
        scopes: &Scopes,
    ) -> Result<usize, DatabaseError> {
        let mut log = self.inner.share_log.lock();
        let (mut withdrawn, mut narrowed) = (Vec::new(), Vec::new());
        for (hash, path) in shares {
            let share = self.share_at(path)?;
            let logged = share.filter(|share| share.hash == *hash && is_logged(share));
            let Some(mut share) = logged else {
                continue;
            };
            if !share.scopes.remove_all(scopes) {
                continue;
            }
            match share.scopes.is_empty() {
                true => withdrawn.push(share),
                false => narrowed.push(share),
            }
        }
        log.remove(withdrawn.iter().filter_map(|share| share.path.to_str()));
        log.narrow(&narrowed);
        let (left, removed, gone) = self.inner.database.write_with_spare(|transaction| {
            let mut tables = Tables::open(transaction)?;
            let (mut left, mut removed) = (Vec::new(), Vec::new());
            for (hash, path) in shares {
                if let Some(path) = path.to_str()
                    && let Some((share, hashes)) = tables.take_scopes(hash, path, scopes)?
                {
                    left.push(share);
                    removed.extend(hashes);
                }
            }
            let gone = tables.without_rows(removed.clone())?;
            Ok((left, removed, gone))
        })?;
        self.inner.provider_keys.change(&[], &gone);
        drop(log);
        self.inner.names.withdrawn(left.len());
        self.inner.open_files.forget(&removed);
        let ended = left.iter().filter(|share| share.scopes.is_empty());
        self.inner
            .share_states
            .forget(ended.map(|share| &*share.path));
        self.shares_changed(left.iter().map(|share| share.hash), &gone);
        Ok(left.len())
    }

    /// Sets the watched folders of this run, before its node follows the feed. Shares that were
    /// found below other folders are not live.
    pub fn set_live_folders(&self, folders: Vec<PathBuf>) {
        *self.inner.live_folders.write() = folders;
        self.inner.open_files.forget_all();
        *self.inner.count.lock() = None;
        self.inner.revision.fetch_add(1, Ordering::Release);
    }

    /// The watched folders of this run.
    #[must_use]
    pub fn folders_served(&self) -> Vec<PathBuf> {
        self.live_folders().clone()
    }

    /// The live shares of this content.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn shares_of(&self, hash: &Hash) -> Result<Vec<Share>, DatabaseError> {
        let folders = self.live_folders();
        self.inner.database.read(|transaction| {
            let mut found = shares_of(transaction, hash)?;
            found.retain(|share| share.origin.is_live(&folders));
            Ok(found)
        })
    }

    /// The live shares with exactly this name. Reads every row.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn shares_named(&self, name: &str) -> Result<Vec<Share>, DatabaseError> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self.shares_page(after.as_ref(), usize::MAX, |share| share.name == name)?;
            found.extend(page.shares);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// The share at this path, live or not. Its fingerprint shows whether it has to be hashed
    /// again.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn share_at(&self, path: &Path) -> Result<Option<Share>, DatabaseError> {
        let Some(path) = path.to_str() else {
            return Ok(None);
        };
        self.inner.database.read(|transaction| {
            let paths = transaction.open_table(PATHS)?;
            let Some(hash) = paths.get(path)? else {
                return Ok(None);
            };
            row(&transaction.open_table(SHARES)?, hash.value(), path)
        })
    }

    /// Up to `limit` live shares that the filter accepts, ordered by hash, from after the cursor.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn shares_page(
        &self,
        after: Option<&Cursor>,
        limit: usize,
        mut filter: impl FnMut(&Share) -> bool,
    ) -> Result<Page, DatabaseError> {
        let folders = self.live_folders();
        self.every_share(after, limit, |share| {
            share.origin.is_live(&folders) && filter(share)
        })
    }

    /// A page of all shares, live or not.
    pub(crate) fn every_share(
        &self,
        after: Option<&Cursor>,
        limit: usize,
        mut filter: impl FnMut(&Share) -> bool,
    ) -> Result<Page, DatabaseError> {
        self.inner.database.read(|transaction| {
            let table = transaction.open_table(SHARES)?;
            let start = after.map_or(Bound::Unbounded, |cursor| {
                Bound::Excluded((cursor.hash.as_bytes(), cursor.path.as_str()))
            });
            let mut shares = Vec::new();
            let mut examined = 0;
            for entry in table.range::<(&[u8; 32], &str)>((start, Bound::Unbounded))? {
                let (key, row) = entry?;
                let (hash, path) = key.value();
                let share = Share::from_row(hash, path, row.value())?;
                examined += 1;
                let next = Cursor {
                    hash: share.hash,
                    path: path.to_owned(),
                };
                if filter(&share) {
                    shares.push(share);
                }
                if shares.len() >= limit || examined >= MAX_ROWS_PER_PAGE {
                    let next = Some(next);
                    return Ok(Page { shares, next });
                }
            }
            Ok(Page { shares, next: None })
        })
    }

    /// Up to `limit` shares below `folder`, live or not, ordered by path, from after `after`: to
    /// compare them with the result of a scan.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn shares_under(
        &self,
        folder: &Path,
        after: Option<&Path>,
        limit: usize,
    ) -> Result<Vec<Share>, DatabaseError> {
        let Some(mut prefix) = folder.to_str().map(str::to_owned) else {
            return Ok(Vec::new());
        };
        if !prefix.ends_with(MAIN_SEPARATOR) {
            prefix.push(MAIN_SEPARATOR);
        }
        let after = after.and_then(Path::to_str).unwrap_or_default();
        let start = Bound::Excluded(after.max(prefix.as_str()));
        self.inner.database.read(|transaction| {
            let paths = transaction.open_table(PATHS)?;
            let shares = transaction.open_table(SHARES)?;
            let mut found = Vec::new();
            for entry in paths.range::<&str>((start, Bound::Unbounded))? {
                let (path, hash) = entry?;
                if found.len() >= limit || !path.value().starts_with(&prefix) {
                    break;
                }
                found.extend(row(&shares, hash.value(), path.value())?);
            }
            Ok(found)
        })
    }

    /// The number of live shares. Counted once after each change.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn count(&self) -> Result<u64, DatabaseError> {
        let mut known = self.inner.count.lock();
        if let Some(count) = *known {
            return Ok(count);
        }
        let folders = self.live_folders();
        let count = self.inner.database.read(|transaction| {
            let mut count = 0;
            for entry in transaction.open_table(SHARES)?.iter()? {
                let (key, row) = entry?;
                let (hash, path) = key.value();
                let share = Share::from_row(hash, path, row.value())?;
                count += u64::from(share.origin.is_live(&folders));
            }
            Ok(count)
        })?;
        *known = Some(count);
        Ok(count)
    }

    /// A number that changes with each change of the shares.
    pub fn shares_revision(&self) -> u64 {
        self.inner.revision.load(Ordering::Acquire)
    }

    /// Increments the revision, because the states of shares are a part of their list.
    pub(crate) fn states_changed(&self) {
        self.inner.revision.fetch_add(1, Ordering::Release);
    }

    pub(super) fn live_folders(&self) -> RwLockReadGuard<'_, Vec<PathBuf>> {
        self.inner.live_folders.read()
    }

    /// The feed of what changes in the shares of this store.
    pub fn share_feed(&self) -> &ShareFeed {
        &self.inner.share_feed
    }

    /// Clears the caches of the earlier shares, and feeds the `changed` hashes. `gone` are not
    /// shared anywhere any more.
    pub(super) fn shares_changed(&self, changed: impl IntoIterator<Item = Hash>, gone: &[Hash]) {
        *self.inner.count.lock() = None;
        self.inner.revision.fetch_add(1, Ordering::Release);
        self.inner.open_files.forget(gone);
        self.inner.share_states.note_withdrawn(gone);
        self.inner.share_feed.note(changed);
    }

    /// Makes the stored trees and manifests durable, before rows refer to them.
    pub(super) fn sync_side_files(&self, hashes: &[Hash]) -> Result<(), ShareError> {
        let synced = self.inner.trees.sync(hashes);
        let synced = synced.and_then(|()| self.inner.manifests.sync(hashes));
        synced.map_err(|source| ShareError::Sync {
            folder: self.folder().map(Path::to_owned).unwrap_or_default(),
            source,
        })
    }

    /// Unpins the trees and manifests of these hashes, whose rows are written.
    pub(super) fn unpin(&self, hashes: &[Hash]) {
        self.inner.trees.unpin(hashes);
        self.inner.manifests.unpin(hashes);
    }
}

/// Refuses a path that the database cannot store, or that is relative.
fn checked_path(path: &Path) -> Result<(), ShareError> {
    if path.is_absolute() && path.to_str().is_some() {
        Ok(())
    } else {
        Err(ShareError::Path {
            path: path.to_owned(),
        })
    }
}

/// Why shares were not added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// The path is relative, or is not valid UTF-8.
    #[error("{} cannot be shared: its path has to be absolute and valid UTF-8", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// The trees or manifests of the shares cannot be made durable.
    #[error("{} cannot be made durable, so nothing is shared: {source}", folder.display())]
    Sync {
        /// The data folder.
        folder: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The rows cannot be written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
