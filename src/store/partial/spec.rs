//! What is downloaded and where to, and the page of a record that says so.
//!
//! Owns the page: magic, length, checksum, CBOR. Never reads a file. A page that is torn says nothing; one
//! that a newer version wrote is told from that, so that nobody takes it for damaged.

use std::path::PathBuf;

use pelago_content::{Descriptor, Hash};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    folder::{FileSystem, Links},
    mark::{ID_LEN, Id},
    part_file::default_path,
};
use crate::store::Scopes;

/// Bytes of the page at the start of a record. A path has at most 4,096 on Linux.
pub(super) const PAGE_LEN: usize = 8 * 1024;

/// Starts every page, before the version of all of the record.
const MAGIC: &[u8; 7] = b"pelago\x00";

/// The version written here. Version 1 did not say where the content grows; all else is as it was.
const VERSION: u8 = 2;

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
    /// Of a folder: which symbolic links are created.
    pub links: Links,
    /// Of a folder: whether to refuse it if the file system cannot hold a name in it, or a link.
    pub strict_names: bool,
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

    /// Whether it is that of `hash` or of a part of it.
    pub(super) fn is_of(&self, hash: &Hash) -> bool {
        match &self.part_of {
            Some(folder) => folder == hash,
            None => self.hash == *hash,
        }
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
    /// The id of the download.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    id: Option<serde_bytes::ByteArray<ID_LEN>>,
    /// Where the content grows: absolute.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    part: Option<PathBuf>,
    #[serde(rename = "y", default, skip_serializing_if = "std::ops::Not::not")]
    sync_failed: bool,
    #[serde(rename = "l", default)]
    links: Links,
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    strict_names: bool,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    file_system: Option<FileSystem>,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) spec: PartialSpec,
    /// Where the content grows; none if a version before format 2 wrote the record.
    pub(super) part: Option<RecordedPart>,
    /// Whether the disk refused to make what was written durable: then it holds other bytes than it
    /// shows, until they are written again.
    pub(super) sync_failed: bool,
}

/// Where content grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordedPart {
    pub(super) id: Id,
    /// Absolute, and valid UTF-8.
    pub(super) path: PathBuf,
    /// Of a folder: what its file system holds. An earlier version did not ask.
    pub(super) file_system: Option<FileSystem>,
}

impl Recorded {
    /// What the file system of a folder that grows was found to hold.
    pub(super) fn file_system(&self) -> Option<&FileSystem> {
        self.part.as_ref()?.file_system.as_ref()
    }

    /// Where the content grows.
    pub(super) fn part_path(&self) -> PathBuf {
        let part = self.part.as_ref().map(|part| part.path.clone());
        part.unwrap_or_else(|| default_path(&self.spec.target))
    }
}

/// What a page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Valid(Box<Recorded>),
    Damaged,
    /// Of this version, which is not known here.
    Newer(u8),
}

impl PartialSpec {
    /// Which download it is.
    pub(super) fn key(&self) -> Key {
        let hash = self.descriptor.hash();
        let part_of = self.part_of;
        Key { hash, part_of }
    }
}

impl Recorded {
    /// The page that says this; none if paths and name are too long or no valid UTF-8.
    pub(super) fn to_page(&self) -> Option<Vec<u8>> {
        let spec = &self.spec;
        let part = self.part.as_ref();
        let fields = Fields {
            descriptor: spec.descriptor.to_bytes().to_vec(),
            target: spec.target.clone(),
            name: spec.name.clone(),
            scopes: spec.scopes.clone(),
            resume_on_start: spec.resume_on_start,
            only: spec.only.clone(),
            part_of: spec.part_of.map(|folder| (*folder.as_bytes()).into()),
            overwrite: spec.overwrite,
            is_named: spec.is_named,
            id: part.map(|part| (*part.id.as_bytes()).into()),
            part: part.map(|part| part.path.clone()),
            sync_failed: self.sync_failed,
            links: spec.links,
            strict_names: spec.strict_names,
            file_system: part.and_then(|part| part.file_system.clone()),
        };
        let cbor = cbor4ii::serde::to_vec(Vec::new(), &fields).ok()?;
        if cbor.len() > MAX_SPEC_LEN {
            return None;
        }
        let mut page = Vec::with_capacity(PAGE_LEN);
        page.extend_from_slice(MAGIC);
        page.push(VERSION);
        page.extend_from_slice(&u32::try_from(cbor.len()).ok()?.to_be_bytes());
        page.extend_from_slice(&Sha256::digest(&cbor));
        page.extend_from_slice(&cbor);
        page.resize(PAGE_LEN, 0);
        Some(page)
    }

    /// What a page says.
    pub(super) fn from_page(page: &[u8]) -> Page {
        let version = page
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.first().copied());
        match version {
            Some(version) if version > VERSION => Page::Newer(version),
            Some(1..) => {
                Self::read(page).map_or(Page::Damaged, |recorded| Page::Valid(Box::new(recorded)))
            }
            _ => Page::Damaged,
        }
    }

    fn read(page: &[u8]) -> Option<Self> {
        let rest = page.get(MAGIC.len() + 1..)?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (checksum, rest) = rest.split_first_chunk::<32>()?;
        let cbor = rest.get(..u32::from_be_bytes(*len) as usize)?;
        if Sha256::digest(cbor)[..] != checksum[..] {
            return None;
        }
        let fields: Fields = cbor4ii::serde::from_slice(cbor).ok()?;
        let part = fields.id.zip(fields.part).map(|(id, path)| RecordedPart {
            id: Id::from_bytes(id.into_array()),
            path,
            file_system: fields.file_system,
        });
        Some(Self {
            spec: PartialSpec {
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
                links: fields.links,
                strict_names: fields.strict_names,
            },
            part,
            sync_failed: fields.sync_failed,
        })
    }
}

/// Any bytes as the page of a record: as they are, and as what it says behind its digest.
#[cfg(all(feature = "api", any(test, feature = "fuzzing")))]
pub(crate) fn fuzz_record(data: &[u8]) {
    let _ = Recorded::from_page(data);
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes();
    let page = [&MAGIC[..], &[VERSION], &len, &Sha256::digest(data), data].concat();
    if let Page::Valid(recorded) = Recorded::from_page(&page)
        && let Some(page) = recorded.to_page()
    {
        assert_eq!(Recorded::from_page(&page), Page::Valid(recorded));
    }
}

#[cfg(test)]
mod tests {
    use pelago_content::Kind;

    use super::*;
    use crate::store::Scope;

    #[test]
    fn a_page_says_what_was_put_in_and_nothing_if_torn_or_newer() {
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
            links: Links::None,
            strict_names: true,
        };
        let part = RecordedPart {
            id: Id::random(),
            path: "/tmp/é.part".into(),
            file_system: Some(FileSystem::windows()),
        };
        let mut recorded = Recorded {
            spec,
            part: Some(part),
            sync_failed: true,
        };
        let page = recorded.to_page().unwrap();
        assert_eq!(page.len(), PAGE_LEN);
        let says = |page: &[u8]| match Recorded::from_page(page) {
            Page::Valid(recorded) => Some(*recorded),
            _ => None,
        };
        assert_eq!(says(&page), Some(recorded.clone()));
        for bit in 0..8 * (HEAD_LEN + 60) {
            let mut torn = page.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            let found = Recorded::from_page(&torn);
            // The version is in no checksum: a page that says the same is no harm.
            if bit / 8 == MAGIC.len() {
                assert!(!matches!(found, Page::Valid(_)) || torn[bit / 8] < VERSION);
            } else {
                assert_eq!(found, Page::Damaged, "bit {bit}");
            }
        }
        for len in [0, 7, 8, 11, 43, 44, 90] {
            assert_eq!(Recorded::from_page(&page[..len]), Page::Damaged);
        }
        let mut newer = page;
        newer[MAGIC.len()] = VERSION + 1;
        assert_eq!(Recorded::from_page(&newer), Page::Newer(VERSION + 1));
        recorded.spec.name = "n".repeat(MAX_SPEC_LEN);
        assert_eq!(recorded.to_page(), None);
    }
}
