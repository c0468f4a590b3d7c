//! The tables of shares, paths and members, which change together.
//!
//! Every row of a share has a row of its path, and the other way round; and a row in the catalogue of
//! each of its scopes that has one. Never opens a transaction:
//! its changes are a part of the caller's commit. Errors are those of redb.

use std::ops::Range;

use pelago_content::{Hash, Totals};
use redb::{ReadTransaction, ReadableTable, Table, TableHandle as _, WriteTransaction};

use super::{
    Member, NewShare, Scope, Scopes, Share,
    database::{CATALOGUES, CONFINED, PATHS, SHARES, UNLISTED},
    members::MemberTables,
    share::CatalogueKey,
};

/// How many locations of the same content are examined to serve it. Limits the cost of a request
/// (about 0.5 ms) where thousands of shared files are alike.
const MAX_PLACES: usize = 1000;

/// Sorts after every absolute path.
pub(super) const PAST_ALL_PATHS: &str = "\u{10FFFF}";

/// The tables in one transaction.
pub(super) struct Tables<'t> {
    pub(super) shares: Table<'t, (&'static [u8; 32], &'static str), &'static [u8]>,
    pub(super) paths: Table<'t, &'static str, &'static [u8; 32]>,
    catalogues: Table<'t, (&'static CatalogueKey, &'static [u8; 32], &'static str), ()>,
    pub(super) members: MemberTables<'t>,
    /// See `unlisted`.
    pub(super) unlisted: Table<'t, &'static [u8; 32], ()>,
    /// See `unlisted`.
    pub(super) confined: Table<'t, &'static [u8; 32], ()>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        let (mut has_unlisted, mut has_catalogues) = (false, false);
        for table in transaction.list_tables()? {
            has_unlisted |= table.name() == UNLISTED.name();
            has_catalogues |= table.name() == CATALOGUES.name();
        }
        let mut tables = Self {
            shares: transaction.open_table(SHARES)?,
            paths: transaction.open_table(PATHS)?,
            members: MemberTables::open(transaction)?,
            unlisted: transaction.open_table(UNLISTED)?,
            confined: transaction.open_table(CONFINED)?,
            catalogues: transaction.open_table(CATALOGUES)?,
        };
        if !has_catalogues {
            tables.list_all()?;
        }
        if !has_unlisted {
            tables.note_all_unlisted()?;
        }
        Ok(tables)
    }

    /// Adds a file, or a folder with its members. Returns the share as it is stored, and the hashes
    /// that were shared at its path before.
    pub(super) fn add_folder(
        &mut self,
        new: &NewShare,
        totals: Totals,
        members: &[Member],
        now: u64,
    ) -> Result<(Share, Vec<Hash>), redb::Error> {
        let mut share = Share::new(new.clone(), totals, now);
        let Some(path) = new.path.to_str() else {
            // `checked_path` refused it before the transaction began.
            return Ok((share, Vec::new()));
        };
        let mut replaced = self.members.replace(path, members)?;
        let before = self.share_at(path)?;
        if let Some(before) = &before {
            share.keep_from(before);
            self.take(&before.hash, path)?;
            replaced.push(before.hash);
        }
        self.settle_scopes(&mut share, &new.origin, before.is_some(), members)?;
        self.put(&share, path)?;
        Ok((share, replaced))
    }

    /// Writes the rows of the share at `path`, in place of those with the same hash.
    pub(super) fn put(&mut self, share: &Share, path: &str) -> Result<(), redb::Error> {
        self.take(&share.hash, path)?;
        let hash = share.hash.as_bytes();
        self.shares.insert((hash, path), &share.to_row()?[..])?;
        self.paths.insert(path, hash)?;
        for catalogue in share.scopes.iter().filter_map(Scope::catalogue) {
            self.catalogues.insert((&catalogue, hash, path), ())?;
        }
        Ok(())
    }

    /// Removes the rows of the share at `path`, except that of its path. Returns whether there were
    /// any.
    fn take(&mut self, hash: &Hash, path: &str) -> Result<bool, redb::Error> {
        let hash = hash.as_bytes();
        let row = self.shares.remove((hash, path))?;
        let share = row.map(|row| Share::from_row(hash, path, row.value()));
        let Some(share) = share.transpose()? else {
            return Ok(false);
        };
        for catalogue in share.scopes.iter().filter_map(Scope::catalogue) {
            self.catalogues.remove((&catalogue, hash, path))?;
        }
        Ok(true)
    }

    /// Lists all shares in the catalogues of their scopes.
    fn list_all(&mut self) -> Result<(), redb::Error> {
        for entry in self.shares.iter()? {
            let (key, row) = entry?;
            let (hash, path) = key.value();
            let share = Share::from_row(hash, path, row.value())?;
            for catalogue in share.scopes.iter().filter_map(Scope::catalogue) {
                self.catalogues.insert((&catalogue, hash, path), ())?;
            }
        }
        Ok(())
    }

    /// The share at this path, live or not.
    pub(super) fn share_at(&self, path: &str) -> Result<Option<Share>, redb::Error> {
        let hash = self.paths.get(path)?.map(|hash| *hash.value());
        hash.map_or(Ok(None), |hash| row(&self.shares, &hash, path))
    }

    /// Restores a single file, unless something is shared at its path already. Returns whether it
    /// did.
    pub(super) fn restore(&mut self, share: &Share) -> Result<bool, redb::Error> {
        let Some(path) = share.path.to_str() else {
            return Ok(false);
        };
        if self.paths.get(path)?.is_some() {
            return Ok(false);
        }
        let mut share = share.clone();
        let origin = share.origin.clone();
        self.settle_scopes(&mut share, &origin, false, &[])?;
        self.put(&share, path)?;
        Ok(true)
    }

    /// Gives what a watched folder found the scopes of another row of the same path, if that is not
    /// listed: of two rows of which either may be the later one, the narrower one counts.
    pub(super) fn narrow(&mut self, other: &Share) -> Result<(), redb::Error> {
        let Some(path) = other.path.to_str().filter(|_| !other.scopes.is_listed()) else {
            return Ok(());
        };
        let found = self.share_at(path)?.filter(Share::is_found);
        if let Some(mut share) = found.filter(|share| share.scopes.is_listed()) {
            share.scopes = other.scopes.clone();
            self.put(&share, path)?;
            self.keep(share.hash, &share.scopes)?;
        }
        Ok(())
    }

    /// Restores what is known about a file in the folder at `folder`, which is not shared again
    /// yet.
    pub(super) fn restore_member(
        &mut self,
        folder: &str,
        member: &Member,
    ) -> Result<(), redb::Error> {
        self.members.insert(folder, member)
    }

    /// Removes the members of folders that are not shared.
    pub(super) fn remove_strays(&mut self) -> Result<(), redb::Error> {
        for folder in self.members.folders()? {
            if self.paths.get(&folder[..])?.is_none() {
                self.members.replace(&folder, &[])?;
            }
        }
        Ok(())
    }

    /// Removes a share and its members, and returns their hashes; none if the share does not exist.
    pub(super) fn remove(&mut self, hash: &Hash, path: &str) -> Result<Vec<Hash>, redb::Error> {
        if !self.take(hash, path)? {
            return Ok(Vec::new());
        }
        self.paths.remove(path)?;
        let mut removed = self.members.replace(path, &[])?;
        removed.push(*hash);
        Ok(removed)
    }

    /// Takes `scopes` from the share at `path`, and removes the share if it has no other. Returns what
    /// is left of it, and the hashes that are not shared there any more; `None` if it was in none of
    /// them.
    pub(super) fn take_scopes(
        &mut self,
        hash: &Hash,
        path: &str,
        scopes: &Scopes,
    ) -> Result<Option<(Share, Vec<Hash>)>, redb::Error> {
        let Some(mut share) = row(&self.shares, hash.as_bytes(), path)? else {
            return Ok(None);
        };
        if !share.scopes.remove_all(scopes) {
            return Ok(None);
        }
        if share.scopes.is_empty() {
            let removed = self.remove(hash, path)?;
            return Ok(Some((share, removed)));
        }
        self.put(&share, path)?;
        Ok(Some((share, Vec::new())))
    }

    /// The hashes that have no row of a share or a member left.
    pub(super) fn without_rows(&self, mut hashes: Vec<Hash>) -> Result<Vec<Hash>, redb::Error> {
        let mut gone = Vec::new();
        hashes.sort_unstable();
        hashes.dedup();
        for hash in hashes {
            let is_share = self.shares.range(all_locations(&hash))?.next().is_some();
            if !is_share && !self.members.has(&hash)? {
                gone.push(hash);
            }
        }
        Ok(gone)
    }
}

impl Share {
    /// Keeps the properties of the earlier share at this path that a scan must not change.
    fn keep_from(&mut self, before: &Self) {
        if self.is_found() {
            let of_folder = std::mem::replace(&mut self.scopes, before.scopes.clone());
            // A folder that is watched for a group now: what it shared with everyone so far is the
            // group's.
            if !of_folder.is_listed() {
                if before.is_found() {
                    self.scopes.remove(Scope::Everyone);
                }
                self.scopes.extend(&of_folder);
            }
        }
        if self.is_found() && !before.is_found() {
            self.name = before.name.clone();
            self.origin = before.origin.clone();
        }
        self.added = before.added;
    }
}

/// The keys of all rows of one hash.
pub(super) fn all_locations(hash: &Hash) -> Range<(&[u8; 32], &'static str)> {
    (hash.as_bytes(), "")..(hash.as_bytes(), PAST_ALL_PATHS)
}

/// The share with this key.
pub(super) fn row(
    table: &impl ReadableTable<(&'static [u8; 32], &'static str), &'static [u8]>,
    hash: &[u8; 32],
    path: &str,
) -> Result<Option<Share>, redb::Error> {
    match table.get((hash, path))? {
        Some(row) => Share::from_row(hash, path, row.value()).map(Some),
        None => Ok(None),
    }
}

/// All shares of this content, up to [`MAX_PLACES`].
pub(super) fn shares_of(
    transaction: &ReadTransaction,
    hash: &Hash,
) -> Result<Vec<Share>, redb::Error> {
    let table = transaction.open_table(SHARES)?;
    let mut found = Vec::new();
    for entry in table.range(all_locations(hash))?.take(MAX_PLACES) {
        let (key, row) = entry?;
        let (hash, path) = key.value();
        found.push(Share::from_row(hash, path, row.value())?);
    }
    Ok(found)
}
