//! How a file is known to be unchanged without reading it.
//!
//! Owns what is compared. Never opens a file. Cannot fail: what the platform does not tell is
//! left out.

use std::fs::Metadata;

use serde::{Deserialize, Serialize};

/// What the system tells of a file, as it was when its content was hashed.
///
/// Equal fingerprints mean equal content as far as the file system's clock can tell; see
/// `hashing` for files that were written a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Length, in bytes.
    #[serde(rename = "s")]
    size: u64,
    /// When the content last changed, in nanoseconds since 1970.
    #[serde(rename = "m")]
    modified: i64,
    /// When content or attributes last changed, in nanoseconds since 1970: catches what sets back
    /// the time above. Zero where the platform has none.
    #[serde(rename = "c")]
    changed: i64,
    /// The number of the file in its file system: catches a file put in the place of another.
    /// Zero where the platform has none.
    ///
    /// The file system's own number is left out: some get another one at each start of the
    /// machine, and everything shared would be hashed again.
    #[serde(rename = "i")]
    inode: u64,
    /// Whether the content may be other than what was hashed, though the values above say nothing of
    /// it: each chunk is then proven before it is sent, until the file is hashed again.
    #[serde(rename = "q", default, skip_serializing_if = "std::ops::Not::not")]
    in_doubt: bool,
    /// Whether the file was hashed again with these values, and holds other content than is listed: it
    /// is not hashed once more before it changes.
    #[serde(rename = "o", default, skip_serializing_if = "std::ops::Not::not")]
    is_other: bool,
}

/// What a look at a file tells of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is what was hashed, as far as the file system can tell.
    Unchanged,
    /// It may be other content: size and time of modification are as they were, and something else
    /// is not, or nobody could be sure from the start.
    InDoubt,
    /// It was written to, or is another file.
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

    /// The same of what `stat` tells.
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

    /// Whether the file system keeps times in whole seconds: then a change within the second of the last
    /// one leaves no mark. (By chance a file of another file system looks so once in 10^18.)
    pub(super) const fn is_coarse(&self) -> bool {
        self.modified % 1_000_000_000 == 0 && self.changed % 1_000_000_000 == 0
    }

    /// The same, of a file whose content may be other than what was hashed.
    #[must_use]
    pub const fn doubted(self) -> Self {
        Self {
            in_doubt: true,
            ..self
        }
    }

    /// The same, of a file that was hashed and holds other content than is listed.
    #[must_use]
    pub const fn of_other_content(self) -> Self {
        Self {
            is_other: true,
            ..self
        }
    }

    /// Whether the file that looks like `now` was hashed, and holds other content than is listed.
    pub fn is_of_other_content(&self, now: &Self) -> bool {
        let same = Self {
            is_other: false,
            in_doubt: now.in_doubt,
            ..*self
        };
        self.is_other && same == *now
    }

    /// Whether the content may be other than what was hashed.
    pub const fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// What the metadata of the file now tell of its content, which was hashed when it had this
    /// fingerprint.
    pub fn compare_metadata(&self, metadata: &Metadata) -> Comparison {
        self.compare(&Self::new(metadata))
    }

    /// The same of the fingerprint that the file has now.
    pub fn compare(&self, now: &Self) -> Comparison {
        if self.is_other || (now.size, now.modified) != (self.size, self.modified) {
            Comparison::Changed
        } else if (now.changed, now.inode) != (self.changed, self.inode) || self.in_doubt {
            Comparison::InDoubt
        } else {
            Comparison::Unchanged
        }
    }

    /// Whether both are of the same file, as long as its file system stays mounted.
    pub(super) const fn has_inode_of(&self, other: &Self) -> bool {
        self.inode == other.inode
    }

    /// Length of the file, in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// When the file last changed in any way that the platform tells, in nanoseconds since 1970.
    pub(super) fn last_change(&self) -> i64 {
        // What changes attributes can set the time of modification to anything.
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
