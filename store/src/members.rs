//! The members of shared folders: each file and sub-folder is known by its own hash.
//!
//! Owns the rows of members, in two tables that change together. A member is served by its hash, in
//! the scopes of its folder, and appears in no list: only the folder itself is a share. Never opens
//! a file. Errors are those of the database.

use std::{collections::BTreeMap, ops::Range};

use pelago_content::{Descriptor, Hash, Totals};
use redb::{ReadableTable, Table, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{
    Fingerprint,
    database::{MEMBER_HASHES, MEMBERS, decode, encode},
};

/// Sorts after the path of every folder, which is absolute. A name in a folder may sort after it.
pub(super) const PAST_ALL_FOLDERS: &str = "\u{10FFFF}";

/// A file or sub-folder below a shared folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path below the folder, with `/` between the names.
    pub path: String,
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// What else is known about it.
    pub state: MemberState,
}

/// What is known about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// A file, with its fingerprint from when it was hashed.
    File(Fingerprint),
    /// A sub-folder, with its totals.
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
    /// Its bytes, files and blocks.
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

/// Both tables in one transaction.
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

    /// Replaces the members of `folder`. Returns the hashes of those that are not members any more.
    /// Unchanged rows are not written.
    pub(super) fn replace(
        &mut self,
        folder: &str,
        members: &[Member],
    ) -> Result<Vec<Hash>, redb::Error> {
        // In the order of the keys, which fills pages one after the other.
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

    /// Adds one member, and replaces an earlier one at the same path.
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

    /// Updates the fingerprint of `member` of `folder`, which is a file. Does nothing if other
    /// content is listed there by now.
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

    /// The hashes of the members of `folder`.
    pub(super) fn hashes_in(&self, folder: &str) -> Result<Vec<Hash>, redb::Error> {
        let past = past(folder);
        let rows = self.rows.range(all_of(folder, &past))?.map(|entry| {
            let (key, row) = entry?;
            Ok(Member::from_row(key.value().1, row.value())?
                .descriptor
                .hash())
        });
        rows.collect()
    }

    /// Whether content with this hash is a member of any folder.
    pub(super) fn has(&self, hash: &Hash) -> Result<bool, redb::Error> {
        Ok(self.hashes.range(all_locations(hash))?.next().is_some())
    }
}

/// The keys of all members of one folder.
pub(super) fn all_of<'f>(folder: &'f str, past: &'f str) -> Range<(&'f str, &'static str)> {
    (folder, "")..(past, "")
}

/// The first text that sorts after a folder's path: no path holds a NUL.
pub(super) fn past(folder: &str) -> String {
    format!("{folder}\0")
}

/// The keys of all locations of one hash.
pub(super) fn all_locations(hash: &Hash) -> Range<(&[u8; 32], &'static str, &'static str)> {
    (hash.as_bytes(), "", "")..(hash.as_bytes(), PAST_ALL_FOLDERS, "")
}
