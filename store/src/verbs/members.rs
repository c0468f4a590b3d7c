//! The members of shared folders, looked up by folder, path and hash.

use std::{
    ops::Bound,
    path::{Path, PathBuf},
};

use pelago_content::Hash;
use redb::ReadTransaction;

use crate::{
    DatabaseError, Member, Share, Store,
    database::{MEMBER_HASHES, MEMBERS, PATHS, SHARES},
    members::{PAST_ALL_FOLDERS, all_locations, all_of, past},
    share_tables,
};

/// How many locations of the same content in shared folders are examined to serve it.
const MAX_LOCATIONS: usize = 100;

impl Store {
    /// All members of the folder shared at `folder`, ordered by path.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn members(&self, folder: &Path) -> Result<Vec<Member>, DatabaseError> {
        let Some(folder) = folder.to_str() else {
            return Ok(Vec::new());
        };
        self.inner.database.read(|transaction| {
            let table = transaction.open_table(MEMBERS)?;
            let past = past(folder);
            let members = table.range(all_of(folder, &past))?.map(|entry| {
                let (key, row) = entry?;
                Member::from_row(key.value().1, row.value())
            });
            members.collect()
        })
    }

    /// Up to `limit` members, from after `after`.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn members_page(
        &self,
        folder: &Path,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Member>, DatabaseError> {
        let Some(folder) = folder.to_str() else {
            return Ok(Vec::new());
        };
        self.inner.database.read(|transaction| {
            let table = transaction.open_table(MEMBERS)?;
            let past = past(folder);
            let start = after.map_or(Bound::Included((folder, "")), |after| {
                Bound::Excluded((folder, after))
            });
            let rows = table.range::<(&str, &str)>((start, Bound::Excluded((&past[..], ""))))?;
            let members = rows.take(limit).map(|entry| {
                let (key, row) = entry?;
                Member::from_row(key.value().1, row.value())
            });
            members.collect()
        })
    }

    /// The members at the absolute `path`, each with its shared folder.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn members_at(&self, path: &Path) -> Result<Vec<(PathBuf, Member)>, DatabaseError> {
        self.inner.database.read(|transaction| {
            let table = transaction.open_table(MEMBERS)?;
            let mut found = Vec::new();
            for folder in path.ancestors().skip(1) {
                let below = path.strip_prefix(folder).ok().and_then(inner_path);
                if let (Some(folder), Some(below)) = (folder.to_str(), below)
                    && let Some(row) = table.get((folder, &below[..]))?
                {
                    found.push((folder.into(), Member::from_row(&below, row.value())?));
                }
            }
            Ok(found)
        })
    }
}

/// The path of a member, with `/` on every system.
fn inner_path(path: &Path) -> Option<String> {
    let names: Option<Vec<_>> = path.iter().map(|name| name.to_str()).collect();
    Some(names?.join("/"))
}

/// The live folders that contain this hash, each with the first location there.
pub(crate) fn folders_of(
    transaction: &ReadTransaction,
    hash: &Hash,
    is_live: impl Fn(&Share) -> bool,
) -> Result<Vec<(Share, Member)>, redb::Error> {
    let mut found = Vec::new();
    let mut next = String::new();
    let table = transaction.open_table(MEMBER_HASHES)?;
    while found.len() < MAX_LOCATIONS {
        let places = (hash.as_bytes(), &next[..], "")..(hash.as_bytes(), PAST_ALL_FOLDERS, "");
        let Some(entry) = table.range(places)?.next().transpose()? else {
            break;
        };
        let (_, folder, path) = entry.0.value();
        let row = folder_at(transaction, folder)?.filter(&is_live);
        if let Some(share) = row
            && let Some(member) = member_at(transaction, folder, path)?
        {
            found.push((share, member));
        }
        next = past(folder);
    }
    Ok(found)
}

/// The locations of this hash in live folders, each with the path of the folder, up to
/// [`MAX_LOCATIONS`].
pub(crate) fn locations_of(
    transaction: &ReadTransaction,
    hash: &Hash,
    is_live: impl Fn(&Share) -> bool,
) -> Result<Vec<(PathBuf, Member)>, redb::Error> {
    let mut found = Vec::new();
    let mut folder_seen: Option<(String, bool)> = None;
    let table = transaction.open_table(MEMBER_HASHES)?;
    for entry in table.range(all_locations(hash))?.take(MAX_LOCATIONS) {
        let (key, _) = entry?;
        let (_, folder, path) = key.value();
        let live = match &folder_seen {
            Some((seen, live)) if seen == folder => *live,
            _ => folder_at(transaction, folder)?.is_some_and(|share| is_live(&share)),
        };
        folder_seen = Some((folder.to_owned(), live));
        if live && let Some(member) = member_at(transaction, folder, path)? {
            found.push((folder.into(), member));
        }
    }
    Ok(found)
}

/// The folder that is shared at this path.
fn folder_at(transaction: &ReadTransaction, path: &str) -> Result<Option<Share>, redb::Error> {
    match transaction.open_table(PATHS)?.get(path)? {
        Some(hash) => share_tables::row(&transaction.open_table(SHARES)?, hash.value(), path),
        None => Ok(None),
    }
}

fn member_at(
    transaction: &ReadTransaction,
    folder: &str,
    path: &str,
) -> Result<Option<Member>, redb::Error> {
    let row = transaction.open_table(MEMBERS)?.get((folder, path))?;
    row.map(|row| Member::from_row(path, row.value()))
        .transpose()
}
