//! How far the download of a folder is, file by file.

use std::collections::HashSet;

use pelago_content::BlockRanges;

use super::staging::Base;
use crate::Fingerprint;

/// Which blocks and files of a folder are here.
pub(super) struct FolderProgress {
    /// Blocks of files that are whole, and recorded blocks of large files.
    pub(super) verified: BlockRanges,
    /// Written blocks of small files that are not whole yet.
    pub(super) arrived: BlockRanges,
    /// How far each file is, by its number.
    pub(super) files: Vec<FileState>,
    /// The first files of content that is here and occurs several times.
    pub(super) repeated: HashSet<usize>,
}

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    /// Not whole.
    Missing,
    /// Whole, and being completed by a thread.
    Completing,
    /// Whole.
    Complete(CompleteFile),
}

/// A whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CompleteFile {
    pub(super) fingerprint: Fingerprint,
    pub(super) base: Base,
    /// Whether it carries the mark of an unfinished download.
    pub(super) is_marked: bool,
}

impl CompleteFile {
    /// A file in the staging directory.
    pub(super) const fn in_staging(fingerprint: Fingerprint, is_marked: bool) -> Self {
        Self {
            fingerprint,
            base: Base::Staging,
            is_marked,
        }
    }
}
