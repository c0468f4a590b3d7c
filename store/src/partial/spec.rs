//! The content, target and options of a download.

use std::path::PathBuf;

use pelago_content::{Descriptor, Hash};

use super::folder::Links;
use crate::{Scopes, Writer};

/// Bytes of the page at the start of a record. A path has at most 4,096 on Linux.
pub(super) const PAGE_LEN: usize = 8 * 1024;

/// Bytes of a page before its CBOR: magic and version, length (big-endian), SHA-256 of the CBOR.
pub(super) const PAGE_HEADER_LEN: usize = 8 + 4 + 32;

/// Bytes of target, name, globs and the rest together, in CBOR.
pub(super) const MAX_SPEC_LEN: usize = PAGE_LEN - PAGE_HEADER_LEN;

/// The content, target and options of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialSpec {
    /// Kind, size (a claim until the last block is verified) and root.
    pub descriptor: Descriptor,
    /// The path of the content once it is whole: absolute, and valid UTF-8. Until then the content
    /// is in `<target>.part`.
    pub target: PathBuf,
    /// The name that people see.
    pub name: String,
    /// The peers that may learn of it, from the first byte on.
    pub scopes: Scopes,
    /// Whether `start` resumes it.
    pub resume_on_start: bool,
    /// Of a folder: globs of the files to download. If empty, all are.
    pub only: Vec<String>,
    /// The folder that this file is downloaded with. None if it was requested by itself.
    pub part_of: Option<Hash>,
    /// Whether other content at the target may be replaced.
    pub overwrite: bool,
    /// Whether a person chose the target. Otherwise its name comes from a peer.
    pub is_named: bool,
    /// Of a folder: which symbolic links are created.
    pub links: Links,
    /// Of a folder: whether to refuse it if the file system cannot hold one of its names or links.
    pub strict_names: bool,
}

/// Identifies a download. The same content may be downloaded by itself and, at the same time, as a
/// part of folders, each time with a part file and a record of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(super) hash: Hash,
    part_of: Option<Hash>,
}

impl Key {
    /// The key of content that was requested by itself.
    pub(crate) const fn standalone(hash: Hash) -> Self {
        let part_of = None;
        Self { hash, part_of }
    }

    /// The key of a file in a folder.
    pub(super) const fn part(hash: Hash, folder: Hash) -> Self {
        let part_of = Some(folder);
        Self { hash, part_of }
    }

    pub(super) const fn is_standalone(&self) -> bool {
        self.part_of.is_none()
    }

    /// Whether this is the download of `hash`, or of a file that it fetches as its part.
    pub(super) fn belongs_to(&self, hash: &Hash) -> bool {
        self.part_of.as_ref().unwrap_or(&self.hash) == hash
    }

    /// The file name of the record.
    pub(super) fn file_name(&self) -> String {
        match self.part_of {
            Some(folder) => format!("{folder}-{}", self.hash),
            None => self.hash.to_string(),
        }
    }
}

impl PartialSpec {
    pub(super) fn key(&self) -> Key {
        let hash = self.descriptor.hash();
        let part_of = self.part_of;
        Key { hash, part_of }
    }

    /// Whether this fills the gateway's cache, or stays.
    pub(crate) fn writer(&self) -> Writer {
        match self.part_of {
            Some(folder) if is_cache_owner(&folder) => Writer::Cache,
            _ => Writer::Permanent,
        }
    }
}

/// The folder that the record of cached content names, by the number of that content. A real folder
/// has no such hash.
pub(crate) fn cache_owner(number: u64) -> Hash {
    let mut bytes = [0; Hash::LEN];
    bytes[Hash::LEN - 8..].copy_from_slice(&number.to_be_bytes());
    Hash::from_bytes(bytes)
}

fn is_cache_owner(hash: &Hash) -> bool {
    hash.as_bytes()[..Hash::LEN - 8] == [0; Hash::LEN - 8]
}
