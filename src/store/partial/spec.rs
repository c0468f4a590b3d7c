//! What is downloaded and where to, and the page of a record that says so.
//!
//! Owns the page: magic, length, checksum, CBOR. Never reads a file. A page that is torn or of
//! another version is none.

use std::path::PathBuf;

use pelago_content::{Descriptor, Hash};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::store::Scopes;

/// Bytes of the page at the start of a record. A path has at most 4,096 on Linux.
pub(super) const PAGE_LEN: usize = 8 * 1024;

/// Starts every page; the last byte is the version of all of the record.
const MAGIC: &[u8; 8] = b"pelago\x00\x01";

/// Bytes before the CBOR: magic, length (big-endian), SHA-256 of the CBOR.
const HEAD_LEN: usize = 8 + 4 + 32;

/// Bytes of target, name, globs and the rest together.
pub(super) const MAX_SPEC_LEN: usize = PAGE_LEN - HEAD_LEN;

/// What is downloaded, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialSpec {
    /// Kind, size (a claim until the last block is verified) and root.
    pub descriptor: Descriptor,
    /// Where the content will lie: absolute, and valid UTF-8. Until then it grows in
    /// `<target>.part`.
    pub target: PathBuf,
    /// What people call it.
    pub name: String,
    /// Who may know of it, from the first byte on.
    pub scopes: Scopes,
    /// Whether `start` is to go on with it.
    pub resume_on_start: bool,
    /// Of a folder: which files, as globs; none: all.
    pub only: Vec<String>,
    /// The folder whose download it is a part of; none: it was asked for by itself.
    pub part_of: Option<Hash>,
    /// Whether other content at the target may be replaced.
    pub overwrite: bool,
    /// Whether a person named the target, and not whoever has the content.
    pub is_named: bool,
}

/// Which download it is: content may be fetched by itself and, at the same time, as a part of folders,
/// each of them with a file and a record of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::store) struct Key {
    pub(super) hash: Hash,
    part_of: Option<Hash>,
}

impl Key {
    /// That of content which was asked for by itself.
    pub(in crate::store) const fn of(hash: Hash) -> Self {
        let part_of = None;
        Self { hash, part_of }
    }

    /// That of a file in a folder.
    pub(super) const fn part(hash: Hash, folder: Hash) -> Self {
        let part_of = Some(folder);
        Self { hash, part_of }
    }

    /// The name of the record.
    pub(super) fn file_name(&self) -> String {
        match self.part_of {
            Some(folder) => format!("{folder}-{}", self.hash),
            None => self.hash.to_string(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Fields {
    #[serde(rename = "d", with = "serde_bytes")]
    descriptor: Vec<u8>,
    #[serde(rename = "t")]
    target: PathBuf,
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "s")]
    scopes: Scopes,
    #[serde(rename = "r")]
    resume_on_start: bool,
    #[serde(rename = "o", default, skip_serializing_if = "Vec::is_empty")]
    only: Vec<String>,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    part_of: Option<serde_bytes::ByteArray<{ Hash::LEN }>>,
    #[serde(rename = "w", default, skip_serializing_if = "std::ops::Not::not")]
    overwrite: bool,
    #[serde(rename = "u", default, skip_serializing_if = "std::ops::Not::not")]
    is_named: bool,
}

impl PartialSpec {
    /// Which download it is.
    pub(super) fn key(&self) -> Key {
        let hash = self.descriptor.hash();
        let part_of = self.part_of;
        Key { hash, part_of }
    }

    /// The page that says this; none if target and name are too long or no valid UTF-8.
    pub(super) fn to_page(&self) -> Option<Vec<u8>> {
        let fields = Fields {
            descriptor: self.descriptor.to_bytes().to_vec(),
            target: self.target.clone(),
            name: self.name.clone(),
            scopes: self.scopes.clone(),
            resume_on_start: self.resume_on_start,
            only: self.only.clone(),
            part_of: self.part_of.map(|folder| (*folder.as_bytes()).into()),
            overwrite: self.overwrite,
            is_named: self.is_named,
        };
        let cbor = cbor4ii::serde::to_vec(Vec::new(), &fields).ok()?;
        if cbor.len() > MAX_SPEC_LEN {
            return None;
        }
        let mut page = Vec::with_capacity(PAGE_LEN);
        page.extend_from_slice(MAGIC);
        page.extend_from_slice(&u32::try_from(cbor.len()).ok()?.to_be_bytes());
        page.extend_from_slice(&Sha256::digest(&cbor));
        page.extend_from_slice(&cbor);
        page.resize(PAGE_LEN, 0);
        Some(page)
    }

    /// What a page says; none if it is torn or of another version.
    pub(super) fn from_page(page: &[u8]) -> Option<Self> {
        let rest = page.strip_prefix(MAGIC)?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (checksum, rest) = rest.split_first_chunk::<32>()?;
        let cbor = rest.get(..u32::from_be_bytes(*len) as usize)?;
        if Sha256::digest(cbor)[..] != checksum[..] {
            return None;
        }
        let fields: Fields = cbor4ii::serde::from_slice(cbor).ok()?;
        Some(Self {
            descriptor: Descriptor::from_bytes(&fields.descriptor).ok()?,
            target: fields.target,
            name: fields.name,
            scopes: fields.scopes,
            resume_on_start: fields.resume_on_start,
            only: fields.only,
            part_of: fields
                .part_of
                .map(|folder| Hash::from_bytes(folder.into_array())),
            overwrite: fields.overwrite,
            is_named: fields.is_named,
        })
    }
}

#[cfg(test)]
mod tests {
    use pelago_content::Kind;

    use super::*;
    use crate::store::Scope;

    #[test]
    fn a_page_says_what_was_put_in_and_nothing_if_torn() {
        let spec = PartialSpec {
            descriptor: Descriptor::new(Kind::File, 7, [7; 32]).unwrap(),
            target: "/tmp/é".into(),
            name: "é".into(),
            scopes: Scope::Unlisted.into(),
            resume_on_start: true,
            only: vec!["*.é".into()],
            part_of: Some(Hash::from_bytes([8; 32])),
            overwrite: true,
            is_named: true,
        };
        let page = spec.to_page().unwrap();
        assert_eq!(page.len(), PAGE_LEN);
        assert_eq!(PartialSpec::from_page(&page), Some(spec.clone()));
        for bit in 0..8 * (HEAD_LEN + 60) {
            let mut torn = page.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(PartialSpec::from_page(&torn), None, "bit {bit}");
        }
        for len in [0, 7, 8, 11, 43, 44, 90] {
            assert_eq!(PartialSpec::from_page(&page[..len]), None);
        }
        let name = "n".repeat(MAX_SPEC_LEN);
        assert_eq!(PartialSpec { name, ..spec }.to_page(), None);
    }
}
