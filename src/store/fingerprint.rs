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
}

impl Fingerprint {
    /// The fingerprint of the file with this metadata.
    pub fn new(metadata: &Metadata) -> Self {
        let since_1970 = |seconds: i64, nanoseconds| {
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(nanoseconds)
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Self {
                size: metadata.len(),
                modified: since_1970(metadata.mtime(), metadata.mtime_nsec()),
                changed: since_1970(metadata.ctime(), metadata.ctime_nsec()),
                inode: metadata.ino(),
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
            }
        }
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
