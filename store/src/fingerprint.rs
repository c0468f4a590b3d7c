//! Fingerprints, which show whether a file has changed without reading it.
//!
//! Compares metadata only, and never opens a file. Values that the platform does not report are
//! left out.

use std::fs::Metadata;

use serde::{Deserialize, Serialize};

/// The metadata of a file at the time when its content was hashed.
///
/// Equal fingerprints mean equal content, as far as the clock of the file system can distinguish
/// changes; see `hashing` for files that were written a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Length, in bytes.
    #[serde(rename = "s")]
    size: u64,
    /// When the content last changed, in nanoseconds since 1970.
    #[serde(rename = "m")]
    modified: i64,
    /// When content or attributes last changed, in nanoseconds since 1970. Detects programs that
    /// reset the time above. Zero where the platform does not report it.
    #[serde(rename = "c")]
    changed: i64,
    /// The inode number of the file. Detects a file that replaced another. Zero where the platform
    /// does not report it.
    ///
    /// The device number is left out: some file systems get a new one at each start of the machine,
    /// and everything shared would be hashed again.
    #[serde(rename = "i")]
    inode: u64,
    /// Whether the content may differ from what was hashed, although the values above are equal.
    /// Each chunk is then proven before it is sent, until the file is hashed again.
    #[serde(rename = "q", default, skip_serializing_if = "std::ops::Not::not")]
    in_doubt: bool,
    /// Whether the file was hashed again with these values, and its content differs from what is
    /// listed. It is not hashed again until it changes.
    #[serde(rename = "o", default, skip_serializing_if = "std::ops::Not::not")]
    is_other: bool,
}

/// The result of comparing two fingerprints of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The content is what was hashed, as far as the file system can tell.
    Unchanged,
    /// The content may differ: size and modification time are equal, and something else is not, or
    /// the fingerprint was in doubt from the start.
    InDoubt,
    /// The file was written to, or is another file.
    Changed,
}

impl Fingerprint {
    /// The fingerprint of the file with this metadata.
    pub fn new(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Self {
                size: metadata.len(),
                modified: since_1970(metadata.mtime(), metadata.mtime_nsec()),
                changed: since_1970(metadata.ctime(), metadata.ctime_nsec()),
                inode: metadata.ino(),
                in_doubt: false,
                is_other: false,
            }
        }
        #[cfg(not(unix))]
        {
            let modified = metadata.modified().unwrap_or(std::time::UNIX_EPOCH);
            let age = modified.duration_since(std::time::UNIX_EPOCH);
            let age = age.unwrap_or_default();
            Self {
                size: metadata.len(),
                modified: since_1970(age.as_secs().cast_signed(), age.subsec_nanos().into()),
                changed: 0,
                inode: 0,
                in_doubt: false,
                is_other: false,
            }
        }
    }

    /// The fingerprint of the file with this result of `stat`.
    #[cfg(unix)]
    #[allow(clippy::unnecessary_cast, reason = "the types differ between systems")]
    pub(super) fn of_stat(stat: &rustix::fs::Stat) -> Self {
        Self {
            size: stat.st_size as u64,
            modified: since_1970(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: since_1970(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            inode: stat.st_ino as u64,
            in_doubt: false,
            is_other: false,
        }
    }

    /// Whether the file system keeps times in whole seconds, so that a second change within one
    /// second leaves no mark. (Other file systems produce such times once in 10^18 by chance.)
    pub(super) const fn is_coarse(&self) -> bool {
        self.modified % 1_000_000_000 == 0 && self.changed % 1_000_000_000 == 0
    }

    /// This fingerprint, for a file whose content may differ from what was hashed.
    #[must_use]
    pub const fn doubted(self) -> Self {
        Self {
            in_doubt: true,
            ..self
        }
    }

    /// This fingerprint, for a file that was hashed and whose content differs from what is listed.
    #[must_use]
    pub const fn of_other_content(self) -> Self {
        Self {
            is_other: true,
            ..self
        }
    }

    /// Whether a file with the fingerprint `now` was hashed already, and its content differs from
    /// what is listed.
    pub fn is_of_other_content(&self, now: &Self) -> bool {
        let same = Self {
            is_other: false,
            in_doubt: now.in_doubt,
            ..*self
        };
        self.is_other && same == *now
    }

    /// Whether the content may differ from what was hashed.
    pub const fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Compares this fingerprint, taken when the file was hashed, with the current metadata.
    pub fn compare_metadata(&self, metadata: &Metadata) -> Comparison {
        self.compare(&Self::new(metadata))
    }

    /// Compares this fingerprint with the current one.
    pub fn compare(&self, now: &Self) -> Comparison {
        if self.is_other || (now.size, now.modified) != (self.size, self.modified) {
            Comparison::Changed
        } else if (now.changed, now.inode) != (self.changed, self.inode) || self.in_doubt {
            Comparison::InDoubt
        } else {
            Comparison::Unchanged
        }
    }

    /// Whether both belong to the same file, while its file system stays mounted.
    pub(super) const fn has_inode_of(&self, other: &Self) -> bool {
        self.inode == other.inode
    }

    /// The length of the file, in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// When the file last changed, as far as the platform reports it, in nanoseconds since 1970.
    pub(super) fn last_change(&self) -> i64 {
        // Programs can set the modification time to any value.
        if self.changed == 0 {
            self.modified
        } else {
            self.changed
        }
    }
}

const fn since_1970(seconds: i64, nanoseconds: i64) -> i64 {
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}
