//! `pages.json` in the data folder: what the pages that are open need to go on when the node is back.
//!
//! A page knows an address and the secret of its session. So the API is at the same port again if that is
//! free, and knows the secrets: what a page has to show is made of them anew at each start, so that they
//! are never sent. Readable only by its owner.
//! Whatever is wrong with it, pages have to be opened anew, and nothing else: a damaged file is set aside,
//! and one that cannot be read, or that a newer version wrote, is not replaced.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::durable;

const FILE: &str = "pages.json";

/// Bytes read of a file, at most; the largest of ours has under 3000.
const MAX_LEN: u64 = 16 * 1024;

/// Of the form below.
const VERSION: u32 = 2;

/// The file, which says of which form it is. The first version did not, and knew sessions by hashes: they
/// are over.
#[derive(Serialize, Deserialize)]
struct Versioned {
    #[serde(default)]
    version: u32,
    #[serde(flatten)]
    kept: SavedSessions,
}

/// What is kept for pages.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedSessions {
    /// Where the API was.
    pub(super) port: u16,
    /// The secret of each session, in hex; oldest first.
    #[serde(default)]
    pub(super) secrets: Vec<String>,
}

impl fmt::Debug for SavedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SavedSessions({}, {} sessions)",
            self.port,
            self.secrets.len()
        )
    }
}

/// What a file says, as far as this version knows.
pub(super) enum Parsed {
    Sessions(SavedSessions),
    /// A newer version wrote it.
    Newer,
}

/// Where that is kept.
#[derive(Clone, Debug)]
pub(super) struct SavedSessionsFile {
    path: PathBuf,
    /// Whether what is there may be replaced: it could be read, or is set aside.
    may_be_replaced: bool,
}

impl SavedSessionsFile {
    /// The file in `folder`, whose lock the caller holds, and what was kept in it. Where that cannot be
    /// read, it is nothing, and the log says why.
    pub(super) fn open(folder: &Path) -> (Self, SavedSessions) {
        let path = folder.join(FILE);
        let (kept, why) = match durable::read_or_set_aside(&path, MAX_LEN, parse) {
            Ok(None) => (SavedSessions::default(), None),
            Ok(Some(Parsed::Sessions(kept))) => (kept, None),
            Ok(Some(Parsed::Newer)) => {
                let why = "a newer version of Pelago wrote it".to_owned();
                (SavedSessions::default(), Some(why))
            }
            Err(error) => (SavedSessions::default(), Some(error.to_string())),
        };
        if let Some(why) = &why {
            let path = path.display();
            tracing::warn!(%path, why, "open pages are not known, and none will outlast this node");
        }
        let may_be_replaced = why.is_none();
        let file = Self {
            path,
            may_be_replaced,
        };
        (file, kept)
    }

    /// Replaces what was kept. Blocks on the disk.
    pub(super) fn write(&self, kept: SavedSessions) -> io::Result<()> {
        if !self.may_be_replaced {
            return Err(io::Error::other(
                "it could not be read when the node started, and is not replaced",
            ));
        }
        let version = VERSION;
        // Numbers and hex digits: nothing that JSON could not say.
        let bytes = serde_json::to_vec(&Versioned { version, kept }).unwrap_or_default();
        durable::replace(&self.path, &bytes)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that it is in.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

pub(super) fn parse(bytes: &[u8]) -> Option<Parsed> {
    #[derive(Deserialize)]
    struct Version {
        #[serde(default)]
        version: u32,
    }
    let Version { version } = serde_json::from_slice(bytes).ok()?;
    if version > VERSION {
        return Some(Parsed::Newer);
    }
    let Versioned { kept, .. } = serde_json::from_slice(bytes).ok()?;
    Some(Parsed::Sessions(kept))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_kept_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let (file, nothing) = SavedSessionsFile::open(folder.path());
        assert_eq!(nothing, SavedSessions::default());
        let kept = SavedSessions {
            port: 7,
            secrets: vec!["ab".repeat(32)],
        };
        file.write(kept.clone()).unwrap();
        assert_eq!(SavedSessionsFile::open(folder.path()).1, kept);
        let path = folder.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(r#""version":2"#), "{text}");
        // As the first versions wrote it.
        for version in ["", r#""version":1,"#] {
            fs::write(&path, format!(r#"{{{version}"port":7,"sessions":["ab"]}}"#)).unwrap();
            let over = SavedSessions {
                port: 7,
                secrets: Vec::new(),
            };
            assert_eq!(SavedSessionsFile::open(folder.path()).1, over);
        }
    }

    #[test]
    fn what_is_damaged_is_set_aside_and_what_is_newer_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, "{").unwrap();
        let (file, kept) = SavedSessionsFile::open(folder.path());
        assert_eq!(kept, SavedSessions::default());
        file.write(kept).unwrap();
        let aside = folder.path().join("pages.json.damaged-1");
        assert_eq!(fs::read_to_string(aside).unwrap(), "{");

        let newer = r#"{"version":3,"other":[]}"#;
        fs::write(&path, newer).unwrap();
        let (file, kept) = SavedSessionsFile::open(folder.path());
        file.write(kept).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    }
}
