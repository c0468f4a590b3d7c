//! The tables of shares, of paths and of members, which change together.
//!
//! Owns that every row has its path and every path its row. Never opens a transaction: what is done
//! here is done in one commit with the rest of it. Failures leave as redb's.

use std::ops::Range;

use pelago_content::{Hash, Totals};
use redb::{ReadTransaction, ReadableTable, Table, WriteTransaction};

use super::{
    Member, NewShare, Origin, Share,
    database::{PATHS, SHARES},
    members::MemberTables,
};

/// How many places of the same content are looked at to serve it: bounds what one request costs
/// (about 0.5 ms) where thousands of shared files are alike.
const MAX_PLACES: usize = 1000;

/// Sorts behind every absolute path.
const PAST_ALL_PATHS: &str = "\u{10FFFF}";

/// All of them within one transaction.
pub(super) struct Tables<'t> {
    shares: Table<'t, (&'static [u8; 32], &'static str), &'static [u8]>,
    paths: Table<'t, &'static str, &'static [u8; 32]>,
    members: MemberTables<'t>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            shares: transaction.open_table(SHARES)?,
            paths: transaction.open_table(PATHS)?,
            members: MemberTables::open(transaction)?,
        })
    }

    /// Adds a file, or a folder with all that is in it. Gives the share as it is kept, and the
    /// hashes that were shared by what was at its path.
    pub(super) fn add_folder(
        &mut self,
        new: &NewShare,
        totals: Totals,
        members: &[Member],
        now: u64,
    ) -> Result<(Share, Vec<Hash>), redb::Error> {
        let mut share = Share::new(new.clone(), totals, now);
        let Some(path) = new.path.to_str() else {
            return Ok((share, Vec::new())); // refused by `checked_path` before the transaction began
        };
        let mut replaced = self.members.replace(path, members)?;
        let before = self.paths.get(path)?.map(|hash| *hash.value());
        if let Some(before) = before {
            if let Some(before) = row(&self.shares, &before, path)? {
                share.keep_from(before);
            }
            self.shares.remove((&before, path))?;
            replaced.push(Hash::from_bytes(before));
        }
        let key = (share.hash.as_bytes(), path);
        self.shares.insert(key, &share.to_row()?[..])?;
        self.paths.insert(path, share.hash.as_bytes())?;
        Ok((share, replaced))
    }

    /// Puts back a single file as it was shared, unless something is at its path already. Tells
    /// whether it did.
    pub(super) fn restore(&mut self, share: &Share) -> Result<bool, redb::Error> {
        let Some(path) = share.path.to_str() else {
            return Ok(false);
        };
        if self.paths.get(path)?.is_some() {
            return Ok(false);
        }
        let key = (share.hash.as_bytes(), path);
        self.shares.insert(key, &share.to_row()?[..])?;
        self.paths.insert(path, share.hash.as_bytes())?;
        Ok(true)
    }

    /// Puts back what is known of a file in the folder at `folder`, which is not shared again yet.
    pub(super) fn restore_member(
        &mut self,
        folder: &str,
        member: &Member,
    ) -> Result<(), redb::Error> {
        self.members.insert(folder, member)
    }

    /// Removes what is known of files in folders that are not shared.
    pub(super) fn remove_strays(&mut self) -> Result<(), redb::Error> {
        for folder in self.members.folders()? {
            if self.paths.get(&folder[..])?.is_none() {
                self.members.replace(&folder, &[])?;
            }
        }
        Ok(())
    }

    /// Removes a share with all that is in it, and gives the hashes that were shared by it; none if
    /// it is not there.
    pub(super) fn remove(&mut self, hash: &Hash, path: &str) -> Result<Vec<Hash>, redb::Error> {
        if self.shares.remove((hash.as_bytes(), path))?.is_none() {
            return Ok(Vec::new());
        }
        self.paths.remove(path)?;
        let mut removed = self.members.replace(path, &[])?;
        removed.push(*hash);
        Ok(removed)
    }

    /// Those of the hashes that have no row left, of a share or a member.
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
    /// Keeps what a folder scan must not change of the share that was at this path before.
    fn keep_from(&mut self, before: Self) {
        let found_again = matches!(self.origin, Origin::Folder(_));
        if found_again && !matches!(before.origin, Origin::Folder(_)) {
            self.name = before.name;
            self.scopes = before.scopes;
            self.origin = before.origin;
        }
        self.added = before.added;
    }
}

/// The keys of all rows of one hash.
fn all_locations(hash: &Hash) -> Range<(&[u8; 32], &'static str)> {
    (hash.as_bytes(), "")..(hash.as_bytes(), PAST_ALL_PATHS)
}

/// The row of this key.
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

/// All places of this content, as far as they are looked at.
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
