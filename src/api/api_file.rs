//! `api.json` in the data folder: where a running node's API is, and the token it asks for.
//!
//! A hint, never the truth: whoever reads it tests the data folder's lock first, as the file of a
//! node that was killed stays behind. Readable only by its owner. Failures leave as an
//! [`ApiFileError`].

use std::{
    fs::{self, File},
    io::{self, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process,
};

use serde::{Deserialize, Serialize};

use super::Token;
use crate::durable;

const FILE: &str = "api.json";

/// Bytes read of a file, at most; ours has under 200.
const MAX_LEN: u64 = 4096;

/// What the file says.
#[derive(Serialize, Deserialize)]
struct Record {
    address: SocketAddr,
    token: String,
    pid: u32,
}

/// The file of an API that is served; removed when dropped.
#[derive(Debug)]
pub struct ApiFile {
    path: PathBuf,
}

impl ApiFile {
    /// Says in `folder`, whose lock the caller holds, that an API is served at `address`.
    ///
    /// # Errors
    ///
    /// [`ApiFileError`] if the folder cannot be written.
    pub fn write(folder: &Path, address: SocketAddr, token: &Token) -> Result<Self, ApiFileError> {
        let path = folder.join(FILE);
        let record = Record {
            address,
            token: token.as_str().to_owned(),
            pid: process::id(),
        };
        let written = serde_json::to_vec(&record)
            .map_err(io::Error::from)
            .and_then(|bytes| durable::replace_unsynced(&path, &bytes));
        match written {
            Ok(()) => Ok(Self { path }),
            Err(source) => Err(ApiFileError { path, source }),
        }
    }

    /// Removes what a killed node left in `folder`, whose lock the caller holds.
    ///
    /// # Errors
    ///
    /// [`ApiFileError`] if there is a file that cannot be removed.
    pub fn clear(folder: &Path) -> Result<(), ApiFileError> {
        let path = folder.join(FILE);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(ApiFileError { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Where the API of the node on `folder` is, if the file is there and whole.
    pub fn read(folder: &Path) -> Option<(SocketAddr, Token)> {
        let mut bytes = Vec::new();
        let file = File::open(folder.join(FILE)).ok()?;
        file.take(MAX_LEN).read_to_end(&mut bytes).ok()?;
        parse(&bytes)
    }
}

/// None if it says nothing.
pub(super) fn parse(bytes: &[u8]) -> Option<(SocketAddr, Token)> {
    let record: Record = serde_json::from_slice(bytes).ok()?;
    Some((record.address, Token::from(record.token)))
}

impl Drop for ApiFile {
    fn drop(&mut self) {
        // If it stays behind, the lock says what it is worth.
        let _ = fs::remove_file(&self.path);
    }
}

/// The file cannot be written or removed.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written: {source}", path.display())]
pub struct ApiFileError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7);

    #[test]
    fn it_is_there_while_the_api_is() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ApiFile::read(folder.path()).is_none());
        let token = Token::generate();
        let file = ApiFile::write(folder.path(), ADDRESS, &token).unwrap();
        let (address, read) = ApiFile::read(folder.path()).unwrap();
        assert_eq!(address, ADDRESS);
        assert!(read.is(token.as_str().as_bytes()));
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it_whatever_was_there() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for left_over in ["api.json", "api.json.new"] {
            let path = folder.path().join(left_over);
            fs::write(&path, "{").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        }
        let _file = ApiFile::write(folder.path(), ADDRESS, &Token::generate()).unwrap();
        let metadata = folder.path().join(FILE).metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_a_killed_node_left_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        ApiFile::clear(folder.path()).unwrap();
        for left_over in ["", "{", r#"{"address":"x","token":"","pid":1}"#] {
            fs::write(folder.path().join(FILE), left_over).unwrap();
            assert!(ApiFile::read(folder.path()).is_none(), "{left_over}");
        }
        std::mem::forget(ApiFile::write(folder.path(), ADDRESS, &Token::generate()).unwrap());
        assert!(ApiFile::read(folder.path()).is_some());
        ApiFile::clear(folder.path()).unwrap();
        assert!(ApiFile::read(folder.path()).is_none());
    }

    #[test]
    fn a_folder_that_is_gone_is_named() {
        let error = ApiFile::write(Path::new("/no/such"), ADDRESS, &Token::generate());
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("/no/such/api.json cannot be written")
        );
    }
}
