//! The key pair that identifies a node without a user to other peers.
//!
//! Owns `identity.key` in the data folder, where the key is in clear; with a user, it is sealed
//! (`user_file`). A key is never replaced, because a node without it becomes another peer. Errors
//! are [`IdentityError`]s.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use libp2p_identity::Keypair;

use super::files;

/// The file with the key, in the protobuf encoding of libp2p.
pub(super) const KEY_FILE: &str = "identity.key";

/// How many bytes of a key file are read at most; an Ed25519 key has 68.
const MAX_KEY_LEN: u64 = 1024;

/// The path of the key in the data folder. The file may not exist yet.
pub(super) fn key_file(folder: &Path) -> PathBuf {
    folder.join(KEY_FILE)
}

/// Reads the key in the data folder, or creates an Ed25519 key if there is none.
///
/// The caller must hold the lock of the data folder, so that two processes do not each create a
/// key.
///
/// # Errors
///
/// See [`IdentityError`]; an existing file is never overwritten.
pub fn load_or_create(folder: &Path) -> Result<Keypair, IdentityError> {
    match load_existing(folder)? {
        Some(keypair) => Ok(keypair),
        None => create(key_file(folder)),
    }
}

/// Reads the key in the data folder; `None` if there is none.
///
/// # Errors
///
/// See [`IdentityError`].
pub fn load_existing(folder: &Path) -> Result<Option<Keypair>, IdentityError> {
    let path = key_file(folder);
    match File::open(&path) {
        Ok(file) => load(file, path).map(Some),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::Io { path, source }),
    }
}

fn load(file: File, path: PathBuf) -> Result<Keypair, IdentityError> {
    let mut bytes = Vec::new();
    let read = file.metadata().and_then(|metadata| {
        file.take(MAX_KEY_LEN)
            .read_to_end(&mut bytes)
            .map(|_| metadata)
    });
    let metadata = match read {
        Ok(metadata) => metadata,
        Err(source) => return Err(IdentityError::Io { path, source }),
    };
    if others_may_read(&metadata) {
        return Err(IdentityError::Exposed { path });
    }
    Keypair::from_protobuf_encoding(&bytes).map_err(|_| IdentityError::Damaged { path })
}

fn create(path: PathBuf) -> Result<Keypair, IdentityError> {
    let keypair = Keypair::generate_ed25519();
    let written = keypair
        .to_protobuf_encoding()
        .map_err(io::Error::other)
        .and_then(|bytes| files::replace(&path, &bytes));
    match written {
        Ok(()) => Ok(keypair),
        Err(source) => Err(IdentityError::Io { path, source }),
    }
}

pub(super) fn others_may_read(metadata: &fs::Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0;
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

/// Why the key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Other users of this machine can read the key, and could impersonate this node.
    #[error(
        "other users may read the key {0}: run `chmod 600 {0}`",
        crate::shown(path)
    )]
    Exposed {
        /// The key file.
        path: PathBuf,
    },
    /// The file holds no key.
    #[error(
        "{} holds no key: put back a copy, or move it away to get a new identity",
        crate::shown(path)
    )]
    Damaged {
        /// The key file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("the key {} cannot be read or written: {source}", crate::shown(path))]
    Io {
        /// The key file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let first = load_or_create(folder.path()).unwrap();
        let again = load_or_create(folder.path()).unwrap();
        assert_eq!(first.public(), again.public());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEY_FILE);
        load_or_create(folder.path()).unwrap();
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        mode(0o640).unwrap();
        let refused = load_or_create(folder.path()).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
        mode(0o600).unwrap();
        load_or_create(folder.path()).unwrap();
    }

    #[test]
    fn a_damaged_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEY_FILE);
        for bytes in [&b""[..], b"half a k", &[7; 2000]] {
            files::replace(&path, bytes).unwrap();
            let refused = load_or_create(folder.path()).unwrap_err();
            assert!(
                matches!(refused, IdentityError::Damaged { .. }),
                "{refused}"
            );
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }
}
