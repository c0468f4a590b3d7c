//! `pages.json` in the data folder: what the pages that are open need to go on when the node is back.
//!
//! A page knows an address and a cookie. So the API is at the same port again if that is free, and knows
//! sessions by the hashes of their secrets: what is in the file lets nobody in. Readable only by its owner.
//! Whatever is wrong with it, pages have to be opened anew, and nothing else.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::durable;

const FILE: &str = "pages.json";

/// Bytes read of a file, at most; the largest of ours has under 3000.
const MAX_LEN: u64 = 16 * 1024;

/// Of the form below.
const VERSION: u32 = 1;

/// The file, which says of which form it is. The first version did not.
#[derive(Serialize, Deserialize)]
struct Versioned {
    #[serde(default)]
    version: u32,
    #[serde(flatten)]
    kept: Kept,
}

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
        let read: Option<Versioned> = bytes
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let known = read.filter(|read| read.version <= VERSION);
        known.map(|read| read.kept).unwrap_or_default()
    }

    /// Replaces what was kept. Blocks on the disk.
    pub(super) fn write(&self, kept: Kept) -> io::Result<()> {
        let version = VERSION;
        // Numbers and hex digits: nothing that JSON could not say.
        let bytes = serde_json::to_vec(&Versioned { version, kept }).unwrap_or_default();
        durable::replace(&self.0, &bytes)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
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
        file.write(kept.clone()).unwrap();
        assert_eq!(file.read(), kept);
        let path = folder.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(r#""version":1"#), "{text}");
        // As the first version wrote it.
        fs::write(&path, text.replace(r#""version":1,"#, "")).unwrap();
        assert_eq!(file.read(), kept);
        for nonsense in ["{", &text.replace(r#""version":1"#, r#""version":2"#)] {
            fs::write(&path, nonsense).unwrap();
            assert_eq!(file.read(), Kept::default(), "{nonsense}");
        }
    }
}
