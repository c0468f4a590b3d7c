//! The bytes of a manifest: deterministic CBOR (RFC 8949, 4.2.1).
//!
//! Owns keys and their order. Decoding allocates only for what has been read, never for a claimed
//! length. The caller encodes the result again to check that the encoding is the valid one.

use std::convert::Infallible;

use cbor4ii::core::{
    dec::{self, Decode},
    enc::{self, Encode, Write},
    types::{Array, Bytes, Map},
    utils::SliceReader,
};

use super::{
    entry::{EntryKind, MANIFEST_VERSION, MAX_MANIFEST_ENTRIES, ManifestEntry},
    error::{ManifestError, shown},
};
use crate::Descriptor;

/// Keys of the manifest, in the order of their encoding.
const VERSION: &str = "v";
const ENTRIES: &str = "entries";

/// Keys of an entry, in the order of their encoding.
const BYTES: &str = "b";
const FILES: &str = "c";
const FOLDER: &str = "d";
const FILE: &str = "f";
const SYMLINK: &str = "l";
const NAME: &str = "n";
const EXECUTABLE: &str = "x";

/// Entries for which memory is reserved before the first is read.
const MAX_RESERVED: usize = 1024;

pub(super) fn encode(entries: &[ManifestEntry]) -> Vec<u8> {
    let mut memory = Memory(Vec::new());
    write(entries, &mut memory).expect("appending to memory does not fail");
    memory.0
}

pub(super) fn encoded_len(entries: &[ManifestEntry]) -> u64 {
    let mut length = Length(0);
    write(entries, &mut length).expect("counting does not fail");
    length.0
}

struct Memory(Vec<u8>);

impl Write for Memory {
    type Error = Infallible;

    fn push(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

struct Length(u64);

impl Write for Length {
    type Error = Infallible;

    fn push(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0 += bytes.len() as u64;
        Ok(())
    }
}

fn write<W: Write>(entries: &[ManifestEntry], to: &mut W) -> Result<(), enc::Error<W::Error>> {
    Map::bounded(2, to)?;
    VERSION.encode(to)?;
    MANIFEST_VERSION.encode(to)?;
    ENTRIES.encode(to)?;
    Array::bounded(entries.len(), to)?;
    entries.iter().try_for_each(|entry| write_entry(entry, to))
}

fn write_entry<W: Write>(entry: &ManifestEntry, to: &mut W) -> Result<(), enc::Error<W::Error>> {
    match &entry.kind {
        EntryKind::File {
            descriptor,
            executable,
        } => {
            Map::bounded(if *executable { 3 } else { 2 }, to)?;
            FILE.encode(to)?;
            Bytes(&descriptor.to_bytes()[..]).encode(to)?;
        }
        EntryKind::Folder {
            descriptor,
            bytes,
            files,
        } => {
            Map::bounded(4, to)?;
            BYTES.encode(to)?;
            bytes.encode(to)?;
            FILES.encode(to)?;
            files.encode(to)?;
            FOLDER.encode(to)?;
            Bytes(&descriptor.to_bytes()[..]).encode(to)?;
        }
        EntryKind::Symlink { target } => {
            Map::bounded(2, to)?;
            SYMLINK.encode(to)?;
            target.as_str().encode(to)?;
        }
    }
    NAME.encode(to)?;
    entry.name.as_str().encode(to)?;
    if let EntryKind::File {
        executable: true, ..
    } = entry.kind
    {
        EXECUTABLE.encode(to)?;
        true.encode(to)?;
    }
    Ok(())
}

/// Reads the entries, in any order.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<ManifestEntry>, ManifestError> {
    let mut from = SliceReader::new(bytes);
    if length(Map::len(&mut from))? != 2 {
        return Err(malformed("it has other keys than its version and entries"));
    }
    expect_key(&mut from, VERSION)?;
    let found: u64 = read(&mut from)?;
    if found != MANIFEST_VERSION {
        return Err(ManifestError::Version { found });
    }
    expect_key(&mut from, ENTRIES)?;
    let count = length(Array::len(&mut from))?;
    if count > MAX_MANIFEST_ENTRIES {
        let found = count as u64;
        return Err(ManifestError::Entries { found });
    }
    let mut entries = Vec::with_capacity(count.min(MAX_RESERVED));
    for number in 1..=count {
        entries.push(Fields::read(&mut from, number)?.into_entry(number)?);
    }
    Ok(entries)
}

/// The values of an entry.
#[derive(Default)]
struct Fields<'b> {
    bytes: Option<u64>,
    files: Option<u64>,
    folder: Option<&'b [u8]>,
    file: Option<&'b [u8]>,
    symlink: Option<&'b str>,
    name: Option<&'b str>,
    executable: Option<bool>,
}

impl<'b> Fields<'b> {
    fn read(from: &mut SliceReader<'b>, number: usize) -> Result<Self, ManifestError> {
        let mut fields = Self::default();
        for _ in 0..length(Map::len(from))? {
            let key: &str = read(from)?;
            match key {
                BYTES => fields.bytes = Some(read(from)?),
                FILES => fields.files = Some(read(from)?),
                FOLDER => fields.folder = Some(read::<Bytes<_>>(from)?.0),
                FILE => fields.file = Some(read::<Bytes<_>>(from)?.0),
                SYMLINK => fields.symlink = Some(read(from)?),
                NAME => fields.name = Some(read(from)?),
                EXECUTABLE => fields.executable = Some(read(from)?),
                _ => {
                    let key = shown(key);
                    return Err(ManifestError::Key { number, key });
                }
            }
        }
        Ok(fields)
    }

    fn into_entry(self, number: usize) -> Result<ManifestEntry, ManifestError> {
        let name = self
            .name
            .ok_or_else(|| malformed(&format!("entry {number} has no name")))?;
        let kind = match self {
            Self {
                file: Some(file),
                bytes: None,
                files: None,
                folder: None,
                symlink: None,
                executable,
                ..
            } => EntryKind::File {
                descriptor: descriptor(name, file)?,
                executable: executable.unwrap_or_default(),
            },
            Self {
                folder: Some(folder),
                bytes: Some(bytes),
                files: Some(files),
                file: None,
                symlink: None,
                executable: None,
                ..
            } => EntryKind::Folder {
                descriptor: descriptor(name, folder)?,
                bytes,
                files,
            },
            Self {
                symlink: Some(target),
                bytes: None,
                files: None,
                folder: None,
                file: None,
                executable: None,
                ..
            } => EntryKind::Symlink {
                target: target.to_owned(),
            },
            _ => {
                let what = "is neither a file, nor a folder with its totals, nor a symbolic link";
                let name = shown(name);
                return Err(malformed(&format!("entry {number}, {name:?}, {what}")));
            }
        };
        let name = name.to_owned();
        Ok(ManifestEntry { name, kind })
    }
}

/// The wrong kind is reported later, with other errors of the entry: see `check`.
fn descriptor(name: &str, bytes: &[u8]) -> Result<Descriptor, ManifestError> {
    Descriptor::from_bytes(bytes).map_err(|source| ManifestError::Descriptor {
        name: shown(name),
        source,
    })
}

fn expect_key(from: &mut SliceReader<'_>, expected: &str) -> Result<(), ManifestError> {
    let found: &str = read(from)?;
    if found == expected {
        Ok(())
    } else {
        Err(malformed(&format!("expected the key {expected:?}")))
    }
}

fn read<'b, T: Decode<'b>>(from: &mut SliceReader<'b>) -> Result<T, ManifestError> {
    T::decode(from).map_err(|error| malformed(&error.to_string()))
}

/// A definite length; deterministic CBOR does not allow others.
fn length<E: std::fmt::Debug>(
    length: Result<Option<usize>, dec::Error<E>>,
) -> Result<usize, ManifestError> {
    match length {
        Ok(Some(length)) => Ok(length),
        Ok(None) => Err(ManifestError::Form),
        Err(error) => Err(malformed(&error.to_string())),
    }
}

fn malformed(what: &str) -> ManifestError {
    ManifestError::Malformed(what.to_owned())
}
