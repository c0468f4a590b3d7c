//! The first page of a record: the options of a download, and the path of its part file.
//!
//! Owns its form: magic, version, length, checksum, CBOR. Never reads a file. A damaged page has no
//! meaning. A page of a newer version does not count as damaged, so that it is not removed.

use std::path::PathBuf;

use pelago_content::{Descriptor, Hash};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    PartialSpec,
    folder::{FileSystem, Links},
    mark::{ID_LEN, Id},
    part_name::default_part_path,
    spec::{MAX_SPEC_LEN, PAGE_LEN},
};
use crate::Scopes;

/// The first bytes of every page. The version of the whole record follows.
const MAGIC: &[u8; 7] = b"pelago\x00";

/// The version that this code writes. Version 1 had neither an id nor the path of the part file.
const VERSION: u8 = 2;

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
    /// The path of the part file or staging directory: absolute.
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

/// The content of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) spec: PartialSpec,
    /// The part file or staging directory. None if a version before format 2 wrote the record.
    pub(super) part: Option<RecordedPart>,
    /// Whether a sync failed. The disk may then hold other bytes than it shows, until they are
    /// written again.
    pub(super) sync_failed: bool,
}

/// The part file of a file, or the staging directory of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordedPart {
    pub(super) id: Id,
    /// Absolute, and valid UTF-8.
    pub(super) path: PathBuf,
    /// Of a folder: what its file system supports. None if an earlier version did not probe it.
    pub(super) file_system: Option<FileSystem>,
}

impl Recorded {
    /// What the file system of the staging directory supports.
    pub(super) fn file_system(&self) -> Option<&FileSystem> {
        self.part.as_ref()?.file_system.as_ref()
    }

    /// The path of the part file or staging directory.
    pub(super) fn part_path(&self) -> PathBuf {
        let part = self.part.as_ref().map(|part| part.path.clone());
        part.unwrap_or_else(|| default_part_path(&self.spec.target))
    }
}

/// What the bytes of a page turn out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Valid(Box<Recorded>),
    Damaged,
    /// A newer version of pelago wrote it. The number is the version of the record.
    Newer(u8),
}

impl Recorded {
    /// Encodes the page. None if paths and name are too long or not valid UTF-8.
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

    /// Decodes a page.
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

/// Decodes any bytes as a page, once as they are and once as the CBOR behind a correct checksum.
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

    use super::{super::spec::PAGE_HEADER_LEN, *};
    use crate::Scope;

    #[test]
    fn a_page_keeps_what_it_was_given_unless_it_is_damaged_or_newer() {
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
        let decoded = |page: &[u8]| match Recorded::from_page(page) {
            Page::Valid(recorded) => Some(*recorded),
            _ => None,
        };
        assert_eq!(decoded(&page), Some(recorded.clone()));
        for bit in 0..8 * (PAGE_HEADER_LEN + 60) {
            let mut damaged = page.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let found = Recorded::from_page(&damaged);
            // The checksum does not cover the version: the same page in an older version is
            // harmless.
            if bit / 8 == MAGIC.len() {
                assert!(!matches!(found, Page::Valid(_)) || damaged[bit / 8] < VERSION);
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
