//! What is in shared folders: each file and sub-folder below one is known by its own hash.
//!
//! Owns the rows of members, in two tables that change together. A member is served wherever its
//! folder is, in the scopes of that folder, and is in no list: only the folder itself is a share.
//! Never opens a file. Failures leave as the database's.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
    path::{Path, PathBuf},
};

use pelago_content::{Descriptor, Hash, Totals};
use redb::{ReadTransaction, ReadableTable, Table, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{
    DatabaseError, Fingerprint, Share, Store,
    database::{MEMBER_HASHES, MEMBERS, PATHS, SHARES, decode, encode},
    shares::tables,
};

/// How many places of the same content in shared folders are looked at to serve it.
const MAX_LOCATIONS: usize = 100;

/// Sorts behind every folder's path, which is absolute; a name in a folder may sort behind it.
const PAST_ALL_FOLDERS: &str = "\u{10FFFF}";

/// Something below a shared folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path from the folder, with `/` between the names.
    pub path: String,
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// What else is known of it.
    pub state: MemberState,
}

/// What is known of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It is a file: as it was when it was hashed.
    File(Fingerprint),
    /// It is a sub-folder: what it weighs.
    Folder(Totals),
}

#[derive(Serialize, Deserialize)]
struct MemberRow {
    #[serde(rename = "d", with = "serde_bytes")]
    descriptor: Vec<u8>,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<Fingerprint>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    totals: Option<(u64, u64, u64)>,
}

impl Member {
    /// What it weighs.
    pub const fn totals(&self) -> Totals {
        match self.state {
            MemberState::File(_) => Totals::of_file(&self.descriptor),
            MemberState::Folder(totals) => totals,
        }
    }

    fn to_row(&self) -> Result<Vec<u8>, redb::Error> {
        let (fingerprint, totals) = match self.state {
            MemberState::File(fingerprint) => (Some(fingerprint), None),
            MemberState::Folder(totals) => {
                (None, Some((totals.bytes, totals.files, totals.blocks)))
            }
        };
        encode(&MemberRow {
            descriptor: self.descriptor.to_bytes().to_vec(),
            fingerprint,
            totals,
        })
    }

    pub(super) fn from_row(path: &str, row: &[u8]) -> Result<Self, redb::Error> {
        let row: MemberRow = decode("members", row)?;
        let damaged =
            |what: &str| redb::Error::Corrupted(format!("a damaged row in members: {what}"));
        let state = match (row.fingerprint, row.totals) {
            (Some(fingerprint), None) => MemberState::File(fingerprint),
            (None, Some((bytes, files, blocks))) => MemberState::Folder(Totals {
                bytes,
                files,
                blocks,
            }),
            _ => return Err(damaged("neither a file nor a folder")),
        };
        Ok(Self {
            path: path.to_owned(),
            descriptor: Descriptor::from_bytes(&row.descriptor)
                .map_err(|error| damaged(&error.to_string()))?,
            state,
        })
    }
}

/// Both tables within one transaction.
pub(super) struct MemberTables<'t> {
    rows: Table<'t, (&'static str, &'static str), &'static [u8]>,
    hashes: Table<'t, (&'static [u8; 32], &'static str, &'static str), ()>,
}

impl<'t> MemberTables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            rows: transaction.open_table(MEMBERS)?,
            hashes: transaction.open_table(MEMBER_HASHES)?,
        })
    }

    /// Makes these, and no others, the members of `folder`. Gives the hashes of those that are
    /// members no more. What has not changed is not written.
    pub(super) fn replace(
        &mut self,
        folder: &str,
        members: &[Member],
    ) -> Result<Vec<Hash>, redb::Error> {
        // In the order of the tables' keys, which fills pages one after the other.
        let mut new: BTreeMap<&str, &Member> = members.iter().map(|m| (&m.path[..], m)).collect();
        let (mut old, mut gone) = (Vec::new(), Vec::new());
        let past = past(folder);
        for entry in self.rows.range(all_of(folder, &past))? {
            let (key, row) = entry?;
            let known = Member::from_row(key.value().1, row.value())?;
            match new.get(&known.path[..]) {
                Some(same) if **same == known => {
                    new.remove(&known.path[..]);
                }
                _ => old.push(known),
            }
        }
        for member in old {
            let hash = member.descriptor.hash();
            self.rows.remove((folder, &member.path[..]))?;
            self.hashes
                .remove((hash.as_bytes(), folder, &member.path[..]))?;
            gone.push(hash);
        }
        let mut hashes = Vec::with_capacity(new.len());
        for (path, member) in new {
            self.rows.insert((folder, path), &member.to_row()?[..])?;
            hashes.push((member.descriptor.hash(), path));
        }
        hashes.sort_unstable();
        for (hash, path) in hashes {
            self.hashes.insert((hash.as_bytes(), folder, path), ())?;
        }
        Ok(gone)
    }

    /// Adds one member, and what was known of the same path goes.
    pub(super) fn insert(&mut self, folder: &str, member: &Member) -> Result<(), redb::Error> {
        let path = &member.path[..];
        let before = self.rows.insert((folder, path), &member.to_row()?[..])?;
        let before = before.map(|row| Member::from_row(path, row.value()));
        if let Some(before) = before.transpose()? {
            let hash = before.descriptor.hash();
            self.hashes.remove((hash.as_bytes(), folder, path))?;
        }
        let hash = member.descriptor.hash();
        self.hashes.insert((hash.as_bytes(), folder, path), ())?;
        Ok(())
    }

    /// The paths of all folders that have members.
    pub(super) fn folders(&self) -> Result<Vec<String>, redb::Error> {
        let mut folders: Vec<String> = Vec::new();
        loop {
            let behind = folders.last().map_or_else(String::new, |last| past(last));
            let next = self.rows.range((&behind[..], "")..)?.next().transpose()?;
            match next {
                Some((key, _)) => folders.push(key.value().0.to_owned()),
                None => return Ok(folders),
            }
        }
    }

    /// Writes down what `member` of `folder`, which is a file, looks like: nothing if the same content is
    /// not listed there any more.
    pub(super) fn set_fingerprint(
        &mut self,
        folder: &str,
        member: &Member,
        fingerprint: Fingerprint,
    ) -> Result<(), redb::Error> {
        let key = (folder, &member.path[..]);
        let listed = match self.rows.get(key)? {
            Some(row) => Member::from_row(&member.path, row.value())?,
            None => return Ok(()),
        };
        if listed.descriptor == member.descriptor {
            let state = MemberState::File(fingerprint);
            let row = Member { state, ..listed }.to_row()?;
            self.rows.insert(key, &row[..])?;
        }
        Ok(())
    }

    /// Whether content of this hash is a member of any folder.
    pub(super) fn has(&self, hash: &Hash) -> Result<bool, redb::Error> {
        Ok(self.hashes.range(all_locations(hash))?.next().is_some())
    }
}

impl Store {
    /// All that is known to be below the folder shared at `folder`, by path.
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

    /// Up to `limit` of them, from behind `after`.
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

    /// The members at `path`, which is absolute, each with the shared folder that it is in.
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

/// The live folders that content of this hash is in, each with its first place there.
pub(super) fn folders_of(
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

/// Where content of this hash is in live folders, each with the path of the folder, as far as it is
/// looked at.
pub(super) fn locations_of(
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
        Some(hash) => tables::row(&transaction.open_table(SHARES)?, hash.value(), path),
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

/// The keys of all members of one folder.
fn all_of<'f>(folder: &'f str, past: &'f str) -> Range<(&'f str, &'static str)> {
    (folder, "")..(past, "")
}

/// What sorts directly behind a folder's path: no path holds a NUL.
fn past(folder: &str) -> String {
    format!("{folder}\0")
}

/// The keys of all places of one hash.
fn all_locations(hash: &Hash) -> Range<(&[u8; 32], &'static str, &'static str)> {
    (hash.as_bytes(), "", "")..(hash.as_bytes(), PAST_ALL_FOLDERS, "")
}
