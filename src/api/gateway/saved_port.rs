//! `gateway.port` in the data folder: the port of the last run, so that earlier URLs stay valid.

use std::path::{Path, PathBuf};

use crate::durable;

/// The file in the data folder.
const FILE: &str = "gateway.port";

/// The unfinished file that a killed node of version 0.1 could leave behind.
const LEFT_OVER: &str = "gateway.json.new";

/// Bytes of the longest file: a port, and a line ending that an editor may have added.
const MAX_LEN: u64 = 7;

/// The file of the port, and the port of the last run.
pub(super) struct SavedPort {
    path: PathBuf,
    /// The port of the last run, if known.
    last: Option<u16>,
    /// Whether the file may be replaced: it could be read, was absent, or was set aside.
    may_be_replaced: bool,
}

impl SavedPort {
    /// Reads the file in `folder`, whose lock the caller holds. A damaged file is set aside.
    pub(super) fn open(folder: &Path) -> Self {
        let left_over = folder.join(LEFT_OVER);
        if let Err(error) = durable::remove(&left_over) {
            let path = left_over.display();
            tracing::warn!(%path, %error, "could not remove an unfinished file");
        }
        let path = folder.join(FILE);
        let read = durable::read_or_set_aside(&path, MAX_LEN, |bytes| {
            let text = std::str::from_utf8(bytes).ok()?;
            text.trim().parse().ok().filter(|port| *port != 0)
        });
        if let Err(error) = &read {
            let path = path.display();
            tracing::warn!(
                %path,
                %error,
                "earlier URLs of the gateway may be invalid: its last port is unknown"
            );
        }
        let may_be_replaced = read.is_ok();
        Self {
            path,
            last: read.ok().flatten(),
            may_be_replaced,
        }
    }

    /// The port of the last run, if known.
    pub(super) const fn last(&self) -> Option<u16> {
        self.last
    }

    /// Saves the port of this run.
    pub(super) fn save(&self, port: u16) {
        if self.last == Some(port) || !self.may_be_replaced {
            return;
        }
        if let Err(error) = durable::replace(&self.path, port.to_string().as_bytes()) {
            let path = self.path.display();
            tracing::warn!(
                %path,
                %error,
                "URLs of the gateway may be invalid after a restart: its port was not saved"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_unfinished_file_of_an_older_version_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LEFT_OVER), "47").unwrap();
        SavedPort::open(folder.path()).save(4711);
        let names = fs::read_dir(folder.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [FILE]);
    }

    #[test]
    fn a_port_is_read_back_and_a_damaged_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let open = || SavedPort::open(folder.path());
        assert_eq!(open().last(), None);
        open().save(4711);
        assert_eq!(open().last(), Some(4711));
        for (nonsense, number) in ["", "0", "70000", "-1", "x"].into_iter().zip(1..) {
            fs::write(folder.path().join(FILE), nonsense).unwrap();
            let port = open();
            assert_eq!(port.last(), None, "{nonsense:?}");
            port.save(4711);
            assert_eq!(open().last(), Some(4711));
            let aside = folder.path().join(format!("{FILE}.damaged-{number}"));
            assert_eq!(fs::read_to_string(aside).unwrap(), nonsense);
        }
    }
}
