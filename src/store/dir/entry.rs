//! What is in a directory, and the parts of a path to it.

use crate::store::Fingerprint;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum OpenMode {
    /// To be read.
    Read,
    /// To be read and written.
    Write,
    /// To be read and written, and made; fails if anything is there.
    New,
}

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum EntryType {
    File,
    Folder,
    Link,
    Other,
}

/// Names a file or directory as long as its file system stays mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct FileId {
    pub(in crate::store) device: u64,
    pub(in crate::store) inode: u64,
}

/// What the system tells of an entry, without following a link.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct EntryMetadata {
    pub(in crate::store) kind: EntryType,
    pub(in crate::store) file_id: FileId,
    pub(in crate::store) fingerprint: Fingerprint,
    /// How many names it has; 1 where the system does not tell.
    pub(in crate::store) links: u64,
}

/// The path of what holds an entry; empty for the directory itself.
pub(in crate::store) fn parent_of(inner: &str) -> &str {
    inner.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The last name of a path.
#[cfg(unix)]
pub(in crate::store) fn name_of(inner: &str) -> &str {
    inner.rsplit_once('/').map_or(inner, |(_, name)| name)
}
