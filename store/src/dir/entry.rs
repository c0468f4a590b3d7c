//! The entries of directories, and the parts of their paths.

use crate::Fingerprint;

/// The mode in which a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// For reading.
    Read,
    /// For reading and writing.
    Write,
    /// For reading and writing, as a new file; fails if anything is there.
    New,
}

/// The type of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryType {
    File,
    Folder,
    Link,
    Other,
}

/// Identifies a file or directory for as long as its file system stays mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// The metadata of an entry. A link is not followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryMetadata {
    pub(crate) kind: EntryType,
    pub(crate) file_id: FileId,
    pub(crate) fingerprint: Fingerprint,
    /// The number of its names; 1 where the system does not report it.
    pub(crate) links: u64,
}

/// The path of the directory that holds an entry; empty for the top.
pub(crate) fn parent_of(inner: &str) -> &str {
    inner.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The last component of a path.
#[cfg(unix)]
pub(crate) fn name_of(inner: &str) -> &str {
    inner.rsplit_once('/').map_or(inner, |(_, name)| name)
}
