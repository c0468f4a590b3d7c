//! Shares, their scopes and origins, and the encoding of their rows.
//!
//! Never uses the database. A row that cannot be decoded is an error of the database.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use pelago_content::{Descriptor, Hash, Kind, Totals};
use pelago_groups::GroupId;
use serde::{Deserialize, Serialize};

use super::{
    Fingerprint,
    database::{decode, encode},
};

/// Content that is shared from its location on the disk. The same content may be shared from
/// several locations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The name of the content.
    pub hash: Hash,
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// Its bytes, files and blocks; those of a folder include everything below.
    pub totals: Totals,
    /// Its name, for people.
    pub name: String,
    /// Its absolute path.
    pub path: PathBuf,
    /// Who may know about it.
    pub scopes: Scopes,
    /// Why it is shared.
    pub origin: Origin,
    /// When it was first shared, in seconds since 1970.
    pub added: u64,
    /// The fingerprint from when it was hashed; for a folder, that of the directory alone.
    pub fingerprint: Fingerprint,
}

/// A file or folder to be shared. Its hash follows from the descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewShare {
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// Its name, for people.
    pub name: String,
    /// Its absolute path, which is valid UTF-8.
    pub path: PathBuf,
    /// Who may know about it.
    pub scopes: Scopes,
    /// Why it is shared.
    pub origin: Origin,
    /// The fingerprint from when it was hashed.
    pub fingerprint: Fingerprint,
}

/// Why content is shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A person shared it.
    #[serde(rename = "e")]
    Explicit,
    /// Found below this watched folder. It is live only while this run serves the folder.
    #[serde(rename = "f")]
    Folder(PathBuf),
    /// Downloaded, and shared from then on.
    #[serde(rename = "d")]
    Downloaded,
}

impl Origin {
    /// Whether the share is live, given the folders that this run serves.
    pub(super) fn is_live(&self, folders: &[PathBuf]) -> bool {
        match self {
            Self::Explicit | Self::Downloaded => true,
            Self::Folder(folder) => folders.contains(folder),
        }
    }
}

/// Peers who may know about content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Everyone. The content is listed in the catalogue and announced.
    #[serde(rename = "e")]
    Everyone,
    /// Peers that have the hash. The content is in no list, and is announced only on request.
    #[serde(rename = "u")]
    Unlisted,
    /// The nodes of the members of a group. The content is in the catalogue of the group, and is
    /// never announced.
    #[serde(rename = "g")]
    Group(GroupId),
}

/// The key of a catalogue in the index of catalogues.
pub(super) type CatalogueKey = [u8; 33];

impl Scope {
    /// The key of the catalogue that lists what is in this scope; `None` if no catalogue does.
    pub(super) fn catalogue(self) -> Option<CatalogueKey> {
        let mut key = [0; size_of::<CatalogueKey>()];
        match self {
            Self::Everyone => {}
            Self::Unlisted => return None,
            Self::Group(group) => {
                key[0] = 1;
                key[1..].copy_from_slice(group.as_bytes());
            }
        }
        Some(key)
    }
}

/// Who may know about content: the peers in any of the scopes. If there are none, no peer may.
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

    /// The groups among them.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.iter().filter_map(|scope| match scope {
            Scope::Group(group) => Some(group),
            Scope::Everyone | Scope::Unlisted => None,
        })
    }

    /// Whether there are none, so that no peer may know about the content.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether everyone may know about it.
    pub(super) fn is_listed(&self) -> bool {
        self.contains(Scope::Everyone)
    }

    /// Whether a download in these scopes may take what a share in the scopes `of` has. Its peers see
    /// which blocks it has without having sent them, so that would tell them that the share exists:
    /// it may be one for their group, or one of which anyone who has the hash may know.
    #[must_use]
    pub fn may_copy(&self, of: &Self) -> bool {
        let is_open = of.contains(Scope::Everyone) || of.contains(Scope::Unlisted);
        is_open || self.groups().any(|group| of.contains(Scope::Group(group)))
    }

    /// The same groups, and everyone.
    pub(super) fn listed(&self) -> Self {
        let groups = self.groups().map(Scope::Group);
        Self(groups.chain([Scope::Everyone]).collect())
    }

    /// Adds a scope.
    pub fn insert(&mut self, scope: Scope) {
        self.0.insert(scope);
    }

    /// Removes a scope; returns whether it was one of them.
    pub fn remove(&mut self, scope: Scope) -> bool {
        self.0.remove(&scope)
    }

    /// Removes the scopes of `other`; returns whether any of them was one of these.
    pub fn remove_all(&mut self, other: &Self) -> bool {
        let before = self.0.len();
        self.0.retain(|scope| !other.0.contains(scope));
        self.0.len() < before
    }

    /// Adds the scopes of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl From<Scope> for Scopes {
    fn from(scope: Scope) -> Self {
        Self(BTreeSet::from([scope]))
    }
}

/// The value of a row. Hash and path are its key.
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
    /// For folders only: bytes, files and blocks.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    totals: Option<(u64, u64, u64)>,
}

impl Share {
    /// A new share, added at `now`.
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

    /// Whether a watched folder shares it, not a person or a download.
    pub(super) const fn is_found(&self) -> bool {
        matches!(self.origin, Origin::Folder(_))
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

    /// The share of a row without its key: the hash follows from the descriptor.
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
