//! `pages.json` in the data folder: keeps open pages signed in after a restart of the node.
//!
//! A page knows the address of the API and the secret of its session. So the file holds the port
//! and the secrets. Each run derives new bearers from the secrets, which are never sent. Only the
//! owner can read the file.
//!
//! If the file cannot be used, people have to open their pages again. A damaged file is set aside.
//! A file that cannot be read, or that a newer version wrote, is not replaced.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::durable;

const FILE: &str = "pages.json";

/// Bytes of the file that are read, at most. The largest file has less than 3000.
const MAX_LEN: u64 = 16 * 1024;

/// The version of the format.
const VERSION: u32 = 2;

/// The content of the file with its version. Version 1 held hashes of sessions, which are not valid
/// any more. Its first files held no version.
#[derive(Serialize, Deserialize)]
struct Versioned {
    #[serde(default)]
    version: u32,
    #[serde(flatten)]
    saved: SavedSessions,
}

/// The sessions of pages, and the port of the API.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedSessions {
    /// The port of the API.
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

/// A file, as far as this version understands it.
pub(super) enum Parsed {
    Sessions(SavedSessions),
    /// A newer version of Pelago wrote it.
    Newer,
}

/// The file that holds saved sessions.
#[derive(Clone, Debug)]
pub(super) struct SavedSessionsFile {
    path: PathBuf,
    /// Whether the file may be replaced: it could be read, was absent, or was set aside.
    may_be_replaced: bool,
}

impl SavedSessionsFile {
    /// The file in `folder`, whose lock the caller holds, and its sessions. If it cannot be read,
    /// there are none, and the log has the reason.
    pub(super) fn open(folder: &Path) -> (Self, SavedSessions) {
        let path = folder.join(FILE);
        let (saved, why) = match durable::read_or_set_aside(&path, MAX_LEN, parse) {
            Ok(None) => (SavedSessions::default(), None),
            Ok(Some(Parsed::Sessions(saved))) => (saved, None),
            Ok(Some(Parsed::Newer)) => {
                let why = "a newer version of Pelago wrote it".to_owned();
                (SavedSessions::default(), Some(why))
            }
            Err(error) => (SavedSessions::default(), Some(error.to_string())),
        };
        if let Some(why) = &why {
            let path = path.display();
            tracing::warn!(
                %path,
                why,
                "could not load the sessions of pages: open pages are signed out, and new sessions \
                 end with this node"
            );
        }
        let may_be_replaced = why.is_none();
        let file = Self {
            path,
            may_be_replaced,
        };
        (file, saved)
    }

    /// Replaces the file. Blocks on the disk.
    pub(super) fn write(&self, saved: SavedSessions) -> io::Result<()> {
        if !self.may_be_replaced {
            return Err(io::Error::other(
                "the file could not be read when the node started, and is not replaced",
            ));
        }
        let version = VERSION;
        // Numbers and hex digits are always valid JSON.
        let bytes = serde_json::to_vec(&Versioned { version, saved }).unwrap_or_default();
        durable::replace(&self.path, &bytes)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the file.
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
    let Versioned { saved, .. } = serde_json::from_slice(bytes).ok()?;
    Some(Parsed::Sessions(saved))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn saved_sessions_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let (file, nothing) = SavedSessionsFile::open(folder.path());
        assert_eq!(nothing, SavedSessions::default());
        let saved = SavedSessions {
            port: 7,
            secrets: vec!["ab".repeat(32)],
        };
        file.write(saved.clone()).unwrap();
        assert_eq!(SavedSessionsFile::open(folder.path()).1, saved);
        let path = folder.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(r#""version":2"#), "{text}");
        // Files of the first versions.
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
    fn a_damaged_file_is_set_aside_and_a_newer_one_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, "{").unwrap();
        let (file, saved) = SavedSessionsFile::open(folder.path());
        assert_eq!(saved, SavedSessions::default());
        file.write(saved).unwrap();
        let aside = folder.path().join("pages.json.damaged-1");
        assert_eq!(fs::read_to_string(aside).unwrap(), "{");

        let newer = r#"{"version":3,"other":[]}"#;
        fs::write(&path, newer).unwrap();
        let (file, saved) = SavedSessionsFile::open(folder.path());
        file.write(saved).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    }
}
