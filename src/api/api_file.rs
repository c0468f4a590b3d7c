//! `api.json` in the data folder: the address and the token of a running node's API.
//!
//! A hint, not a proof that a node runs: a node that was killed leaves the file behind, so readers
//! test the lock of the data folder first. Readable only by its owner. Errors leave as an
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

/// Bytes of the file that are read, at most. The file has less than 200.
const MAX_LEN: u64 = 4096;

/// The content of the file.
#[derive(Serialize, Deserialize)]
struct Record {
    address: SocketAddr,
    token: String,
    pid: u32,
}

/// The file of a served API. Dropping it removes the file.
#[derive(Debug)]
pub struct ApiFile {
    path: PathBuf,
}

impl ApiFile {
    /// Writes the file to `folder`, whose lock the caller holds, for an API at `address`.
    ///
    /// # Errors
    ///
    /// [`ApiFileError`] if the file cannot be written.
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

    /// Removes the file that a killed node left in `folder`, whose lock the caller holds.
    ///
    /// # Errors
    ///
    /// [`ApiFileError`] if the file exists and cannot be removed.
    pub fn clear(folder: &Path) -> Result<(), ApiFileError> {
        let path = folder.join(FILE);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(ApiFileError { path, source })
            }
            _ => Ok(()),
        }
    }

    /// The address and the token in the file of `folder`; `None` if it is absent or damaged.
    pub fn read(folder: &Path) -> Option<(SocketAddr, Token)> {
        let mut bytes = Vec::new();
        let file = File::open(folder.join(FILE)).ok()?;
        file.take(MAX_LEN).read_to_end(&mut bytes).ok()?;
        parse(&bytes)
    }
}

/// The address and the token in `bytes`; `None` if they are damaged.
pub(super) fn parse(bytes: &[u8]) -> Option<(SocketAddr, Token)> {
    let record: Record = serde_json::from_slice(bytes).ok()?;
    Some((record.address, Token::from(record.token)))
}

impl Drop for ApiFile {
    fn drop(&mut self) {
        // Readers ignore a file that stays behind, as the lock is free.
        let _ = fs::remove_file(&self.path);
    }
}

/// The error of writing or removing the file.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written: {source}", path.display())]
pub struct ApiFileError {
    /// The file.
    pub path: PathBuf,
    /// The error of the system.
    pub source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7);

    #[test]
    fn the_file_exists_while_the_api_does() {
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
    fn only_its_owner_may_read_it_even_if_it_replaces_an_older_file() {
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
    fn the_file_of_a_killed_node_is_cleared() {
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
    fn the_error_names_a_missing_folder() {
        let error = ApiFile::write(Path::new("/no/such"), ADDRESS, &Token::generate());
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("/no/such/api.json cannot be written")
        );
    }
}
