//! `gateway.port` in the data folder: where the gateway was, so that URLs which were passed on lead there
//! again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::durable;

/// The file in the data folder.
const FILE: &str = "gateway.port";

/// What a killed node of version 0.1 could leave of an unfinished file.
const LEFT_OVER: &str = "gateway.json.new";

/// Where the port is kept.
pub(super) struct KeptPort(PathBuf);

impl KeptPort {
    /// In `folder`, whose lock the caller holds.
    pub(super) fn new(folder: &Path) -> Self {
        let left_over = folder.join(LEFT_OVER);
        if let Err(error) = durable::remove(&left_over) {
            tracing::warn!(path = %left_over.display(), %error, "an unfinished file stays");
        }
        Self(folder.join(FILE))
    }

    /// The port of the last time, if that is known.
    pub(super) fn read(&self) -> Option<u16> {
        let text = fs::read_to_string(&self.0).ok()?;
        text.trim().parse().ok().filter(|port| *port != 0)
    }

    pub(super) fn write(&self, port: u16) {
        if self.read() == Some(port) {
            return;
        }
        if let Err(error) = durable::replace(&self.0, port.to_string().as_bytes()) {
            let path = self.0.display();
            tracing::warn!(%path, %error, "URLs of the gateway will not outlast this node");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_version_left_unfinished_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LEFT_OVER), "47").unwrap();
        KeptPort::new(folder.path()).write(4711);
        let names = fs::read_dir(folder.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [FILE]);
    }

    #[test]
    fn a_port_is_read_back_and_nonsense_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let port = KeptPort::new(folder.path());
        assert_eq!(port.read(), None);
        port.write(4711);
        assert_eq!(port.read(), Some(4711));
        for nonsense in ["", "0", "70000", "-1", "x"] {
            fs::write(folder.path().join(FILE), nonsense).unwrap();
            assert_eq!(port.read(), None, "{nonsense:?}");
        }
    }
}
