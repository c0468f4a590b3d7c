//! What is shared: rows added, removed and found.
//!
//! Owns which rows are live, and what else has to follow when rows change; the rows are written in
//! `share_tables`. Never opens a shared file. Failures leave as a [`ShareError`] from [`Store::add_shares`], as the
//! database's from all else.

#[cfg(test)]
mod tests;

use std::{
    io,
    ops::Bound,
    path::{MAIN_SEPARATOR, Path, PathBuf},
    sync::atomic::Ordering,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::RwLockReadGuard;
use pelago_content::{Hash, Totals};
use redb::ReadableTable;

use crate::store::{
    DatabaseError, Member, NewShare, Share, Store,
    database::{PATHS, SHARES},
    share_log::is_logged,
    share_tables::{Tables, row, shares_of},
    side_files::StoredByHash,
};

/// How many rows one page looks at, however few the filter lets through: about 5 ms.
const MAX_ROWS_PER_PAGE: usize = 10_000;

/// Where a page of shares ended, so that the next begins behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) hash: Hash,
    pub(super) path: String,
}

impl Cursor {
    /// Before all places of this hash.
    pub fn before(hash: Hash) -> Self {
        Self {
            hash,
            path: String::new(),
        }
    }
}

/// Some of the shares, ordered by hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The shares; also a page that is not the last may have few, or none.
    pub shares: Vec<Share>,
    /// Where the next page begins; none if this was the last.
    pub next: Option<Cursor>,
}

impl Store {
    /// Adds files in one commit. What was shared at the same path is replaced; if a person had
    /// shared it and a folder scan finds it again, it keeps their name, scopes and origin.
    ///
    /// # Errors
    ///
    /// [`ShareError`]; nothing is added then.
    pub fn add_shares(&self, shares: &[NewShare]) -> Result<(), ShareError> {
        for share in shares {
            checked_path(&share.path)?;
        }
        let hashes: Vec<_> = shares.iter().map(|share| share.descriptor.hash()).collect();
        self.sync_side_files(&hashes)?;
        let now = now();
        let mut log = self.inner.share_log.lock();
        let (added, replaced) = self.inner.database.write(|transaction| {
            let mut tables = Tables::open(transaction)?;
            let (mut added, mut replaced) = (Vec::new(), Vec::new());
            for share in shares {
                let totals = Totals::of_file(&share.descriptor);
                let (share, hashes) = tables.add_folder(share, totals, &[], now)?;
                added.push(share);
                replaced.extend(hashes);
            }
            Ok((added, tables.without_rows(replaced)?))
        })?;
        let names = added.iter().map(|share| (share.hash, &*share.name));
        self.inner.names.add(names);
        self.inner.names.withdrawn(replaced.len());
        self.inner.provider_keys.change(&hashes, &replaced);
        log.add(&added);
        drop(log);
        self.inner
            .share_states
            .forget(shares.iter().map(|share| &*share.path));
        self.shares_changed(&replaced);
        self.unpin(&hashes);
        Ok(())
    }

    /// Adds a folder in one commit, with all that is in it and nothing that was before. Its manifests
    /// are to be kept already.
    ///
    /// # Errors
    ///
    /// [`ShareError`]; nothing is changed then.
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
        let now = now();
        let mut log = self.inner.share_log.lock();
        let (added, replaced) = self.inner.database.write(|transaction| {
            let mut tables = Tables::open(transaction)?;
            let (added, replaced) = tables.add_folder(folder, totals, members, now)?;
            Ok((added, tables.without_rows(replaced)?))
        })?;
        self.inner
            .names
            .add([(added.hash, &*added.name)].into_iter());
        log.add([&added]);
        self.inner.provider_keys.change(&hashes, &replaced);
        drop(log);
        self.inner.share_states.forget([&*folder.path]);
        self.shares_changed(&replaced);
        self.unpin(&hashes);
        Ok(())
    }

    /// Removes shares in one commit, and tells how many there were. Trees and manifests that nobody needs
    /// any more are collected later: work under way may need them.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]; nothing is removed then.
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
        self.shares_changed(&gone);
        Ok(count)
    }

    /// Takes these as the folders that this run serves: shares found below others are not live.
    pub fn set_live_folders(&self, folders: Vec<PathBuf>) {
        *self.inner.live_folders.write() = folders;
        self.inner.open_files.forget_all();
        *self.inner.count.lock() = None;
        self.inner.revision.fetch_add(1, Ordering::Release);
    }

    /// The folders that this run serves.
    #[must_use]
    pub fn folders_served(&self) -> Vec<PathBuf> {
        self.live_folders().clone()
    }

    /// The live places of this content.
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

    /// The live shares with exactly this name. Looks at every row.
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

    /// What is shared at this path, live or not: its fingerprint tells whether it has to be
    /// hashed again.
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

    /// Up to `limit` live shares that the filter lets through, ordered by hash, from behind the
    /// cursor.
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

    /// The same for all shares, live or not.
    pub(in crate::store) fn every_share(
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
            let mut looked_at = 0;
            for entry in table.range::<(&[u8; 32], &str)>((start, Bound::Unbounded))? {
                let (key, row) = entry?;
                let (hash, path) = key.value();
                let share = Share::from_row(hash, path, row.value())?;
                looked_at += 1;
                let next = Cursor {
                    hash: share.hash,
                    path: path.to_owned(),
                };
                if filter(&share) {
                    shares.push(share);
                }
                if shares.len() >= limit || looked_at >= MAX_ROWS_PER_PAGE {
                    let next = Some(next);
                    return Ok(Page { shares, next });
                }
            }
            Ok(Page { shares, next: None })
        })
    }

    /// Up to `limit` shares below `folder`, live or not, ordered by path, from behind `after`: to
    /// compare them with what a scan of the folder finds.
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

    /// How many shares are live. Counted once after each change.
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

    /// A number that is another after each change of what is shared.
    pub fn shares_revision(&self) -> u64 {
        self.inner.revision.load(Ordering::Acquire)
    }

    /// Another list shows the states of shares as they are now.
    pub(in crate::store) fn states_changed(&self) {
        self.inner.revision.fetch_add(1, Ordering::Release);
    }

    pub(super) fn live_folders(&self) -> RwLockReadGuard<'_, Vec<PathBuf>> {
        self.inner.live_folders.read()
    }

    /// Forgets what was known of the shares as they were; `gone` are shared nowhere any more.
    fn shares_changed(&self, gone: &[Hash]) {
        *self.inner.count.lock() = None;
        self.inner.revision.fetch_add(1, Ordering::Release);
        self.inner.open_files.forget(gone);
        self.inner.share_states.note_withdrawn(gone);
    }

    /// Makes the trees and manifests that were kept so far durable: before rows of these say that they are
    /// here.
    pub(super) fn sync_side_files(&self, hashes: &[Hash]) -> Result<(), ShareError> {
        let synced = self.inner.trees.sync(hashes);
        let synced = synced.and_then(|()| self.inner.manifests.sync(hashes));
        synced.map_err(|source| ShareError::Sync {
            folder: self.folder().map(Path::to_owned).unwrap_or_default(),
            source,
        })
    }

    /// Rows of these are written: they keep their trees and manifests from now on.
    pub(super) fn unpin(&self, hashes: &[Hash]) {
        self.inner.trees.unpin(hashes);
        self.inner.manifests.unpin(hashes);
    }
}

/// Refuses a path that the database could not hold, or that means another file elsewhere.
fn checked_path(path: &Path) -> Result<(), ShareError> {
    if path.is_absolute() && path.to_str().is_some() {
        Ok(())
    } else {
        Err(ShareError::Path {
            path: path.to_owned(),
        })
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_secs())
}

/// Why shares were not added.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The path is relative or no valid UTF-8.
    #[error("{} cannot be shared: its path has to be absolute and valid UTF-8", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// What belongs to the shares cannot be made durable.
    #[error("{} cannot be made durable, so nothing is shared: {source}", folder.display())]
    Sync {
        /// Where it is.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The rows cannot be written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
