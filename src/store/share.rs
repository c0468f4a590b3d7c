//! What a share is, and how its row is written.
//!
//! Owns the words: origin, scope, live. Never touches the database. A row that cannot be read
//! leaves as the database's error.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use pelago_content::{Descriptor, Hash, Kind, Totals};
use serde::{Deserialize, Serialize};

use super::{
    Fingerprint,
    database::{decode, encode},
};

/// Content that is shared from where it lies. The same content may be shared from several places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The name of the content.
    pub hash: Hash,
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// What it weighs: a folder with all that is below.
    pub totals: Totals,
    /// What people call it.
    pub name: String,
    /// Where it lies: absolute.
    pub path: PathBuf,
    /// Who may know of it.
    pub scopes: Scopes,
    /// How it came to be shared.
    pub origin: Origin,
    /// When it was first shared, in seconds since 1970.
    pub added: u64,
    /// The file as it was when it was hashed; of a folder, the directory alone.
    pub fingerprint: Fingerprint,
}

/// A file to be shared; its hash follows from the descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewShare {
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// What people are to call it.
    pub name: String,
    /// Where it lies: absolute, and valid UTF-8.
    pub path: PathBuf,
    /// Who may know of it.
    pub scopes: Scopes,
    /// How it came to be shared.
    pub origin: Origin,
    /// The file as it was when it was hashed.
    pub fingerprint: Fingerprint,
}

/// How content came to be shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Somebody said so.
    #[serde(rename = "e")]
    Explicit,
    /// Found below this served folder: live only while this run serves it.
    #[serde(rename = "f")]
    Folder(PathBuf),
    /// Downloaded, and shared on.
    #[serde(rename = "d")]
    Downloaded,
}

impl Origin {
    /// Whether the content is to be known, given the folders this run serves.
    pub(super) fn is_live(&self, folders: &[PathBuf]) -> bool {
        match self {
            Self::Explicit | Self::Downloaded => true,
            Self::Folder(folder) => folders.contains(folder),
        }
    }
}

/// One answer to who may know of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Everyone: listed in the catalogue, announced.
    #[serde(rename = "e")]
    Everyone,
    /// Whoever has the hash: in no list, announced only when asked.
    #[serde(rename = "u")]
    Unlisted,
}

/// Who may know of content: those in any of the scopes. Nobody, if there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Whether `scope` is one of them.
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// The scopes, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }

    /// Adds those of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }
}

impl From<Scope> for Scopes {
    fn from(scope: Scope) -> Self {
        Self(BTreeSet::from([scope]))
    }
}

/// The value of a row; hash and path are its key.
#[derive(Serialize, Deserialize)]
struct ShareRow {
    #[serde(rename = "d", with = "serde_bytes")]
    descriptor: Vec<u8>,
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "s")]
    scopes: Scopes,
    #[serde(rename = "o")]
    origin: Origin,
    #[serde(rename = "a")]
    added: u64,
    #[serde(rename = "f")]
    fingerprint: Fingerprint,
    /// Of folders only: bytes, files and blocks.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    totals: Option<(u64, u64, u64)>,
}

impl Share {
    /// What is shared anew, as of now.
    pub(super) fn new(new: NewShare, totals: Totals, added: u64) -> Self {
        Self {
            hash: new.descriptor.hash(),
            descriptor: new.descriptor,
            totals,
            name: new.name,
            path: new.path,
            scopes: new.scopes,
            origin: new.origin,
            added,
            fingerprint: new.fingerprint,
        }
    }

    pub(super) fn to_row(&self) -> Result<Vec<u8>, redb::Error> {
        let totals = self.totals;
        let totals = (totals.bytes, totals.files, totals.blocks);
        encode(&ShareRow {
            descriptor: self.descriptor.to_bytes().to_vec(),
            name: self.name.clone(),
            scopes: self.scopes.clone(),
            origin: self.origin.clone(),
            added: self.added,
            fingerprint: self.fingerprint,
            totals: (self.descriptor.kind() == Kind::Folder).then_some(totals),
        })
    }

    /// The share of a row whose key is not at hand: the hash follows from the descriptor.
    pub(super) fn from_row_alone(path: &str, row: &[u8]) -> Result<Self, redb::Error> {
        let mut share = Self::from_row(&[0; 32], path, row)?;
        share.hash = share.descriptor.hash();
        Ok(share)
    }

    pub(super) fn from_row(hash: &[u8; 32], path: &str, row: &[u8]) -> Result<Self, redb::Error> {
        let row: ShareRow = decode("shares", row)?;
        let descriptor = Descriptor::from_bytes(&row.descriptor)
            .map_err(|error| redb::Error::Corrupted(format!("a damaged row in shares: {error}")))?;
        let of_folder = |(bytes, files, blocks)| Totals {
            bytes,
            files,
            blocks,
        };
        let of_file = || Totals::of_file(&descriptor);
        Ok(Self {
            hash: Hash::from_bytes(*hash),
            descriptor,
            totals: row.totals.map_or_else(of_file, of_folder),
            name: row.name,
            path: Path::new(path).to_owned(),
            scopes: row.scopes,
            origin: row.origin,
            added: row.added,
            fingerprint: row.fingerprint,
        })
    }
}
