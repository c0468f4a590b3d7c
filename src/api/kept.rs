//! `pages.json` in the data folder: what the pages that are open need to go on when the node is back.
//!
//! A page knows an address and a cookie. So the API is at the same port again if that is free, and knows
//! sessions by the hashes of their secrets: what is in the file lets nobody in. Readable only by its owner.
//! Whatever is wrong with it, pages have to be opened anew, and nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::api_file;

const FILE: &str = "pages.json";

/// Bytes read of a file, at most; the largest of ours has under 3000.
const MAX_LEN: u64 = 16 * 1024;

/// What is kept for pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Where the API was.
    pub(super) port: u16,
    /// SHA-256 of each session's secret, in hex; oldest first.
    pub(super) sessions: Vec<String>,
}

/// Where that is kept, if it is.
#[derive(Clone, Debug)]
pub(super) struct KeptFile(PathBuf);

impl KeptFile {
    pub(super) fn new(folder: &Path) -> Self {
        Self(folder.join(FILE))
    }

    /// What was kept; nothing if that cannot be read.
    pub(super) fn read(&self) -> Kept {
        let is_small = fs::metadata(&self.0).is_ok_and(|file| file.len() <= MAX_LEN);
        let bytes = if is_small {
            fs::read(&self.0)
        } else {
            return Kept::default();
        };
        bytes
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Replaces what was kept.
    pub(super) fn write(&self, kept: &Kept) {
        // Numbers and hex digits: nothing that JSON could not say.
        let bytes = serde_json::to_vec(kept).unwrap_or_default();
        if let Err(error) = api_file::replace(&self.0, &bytes) {
            tracing::warn!(path = %self.0.display(), %error, "open pages will not outlast this node");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_nonsense_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeptFile::new(folder.path());
        assert_eq!(file.read(), Kept::default());
        let kept = Kept {
            port: 7,
            sessions: vec!["ab".repeat(32)],
        };
        file.write(&kept);
        assert_eq!(file.read(), kept);
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(file.read(), Kept::default());
    }
}
