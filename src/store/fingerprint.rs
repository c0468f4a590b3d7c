//! How a file is known to be unchanged without reading it.
//!
//! Owns what is compared. Never opens a file. Cannot fail: what the platform does not tell is
//! left out.

use std::{fs::Metadata, time::UNIX_EPOCH};

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
        let modified = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|age| i64::try_from(age.as_nanos()).ok())
            .unwrap_or(0);
        let mut fingerprint = Self {
            size: metadata.len(),
            modified,
            changed: 0,
            inode: 0,
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let time = |seconds: i64, rest| seconds.saturating_mul(1_000_000_000) + rest;
            fingerprint.modified = time(metadata.mtime(), metadata.mtime_nsec());
            fingerprint.changed = time(metadata.ctime(), metadata.ctime_nsec());
            fingerprint.inode = metadata.ino();
        }
        fingerprint
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
