//! Capabilities, which grant reading of one content, and the key that makes them.

use std::{
    fmt::{self, Write as _},
    fs, io,
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{content::Hash, durable};

/// The file in the data folder.
const FILE: &str = "gateway.key";

/// Bytes of the key.
const KEY_LEN: usize = 32;

/// Bytes of a capability: 128 bits cannot be guessed over HTTP.
const CAPABILITY_LEN: usize = 16;

/// Separates capabilities from any other use of the key.
const PURPOSE: &[u8] = b"pelago/gateway/1";

/// The key of all capabilities. Never logged: `Debug` hides it.
#[derive(Clone)]
pub(super) struct Key([u8; KEY_LEN]);

impl Key {
    /// The key in `folder`, whose lock the caller holds. Creates it if the file is absent, and
    /// keeps it so that URLs stay valid after a restart. Only its owner can read the file. A
    /// damaged file is set aside and logged.
    pub(super) fn load_or_create(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join(FILE);
        let loaded = match fs::read(&path) {
            Ok(bytes) => match Self::from_bytes(bytes) {
                Some(key) => Ok(key),
                None => set_aside(&path).and_then(|()| Self::create(&path)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(&path),
            Err(error) => Err(error),
        };
        loaded.map_err(|source| KeyError { path, source })
    }

    /// The key in `bytes`. A power cut can leave a wrong length or only zeros: these are damaged.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let key = bytes.try_into().ok()?;
        (key != [0; KEY_LEN]).then_some(Self(key))
    }

    fn create(path: &Path) -> io::Result<Self> {
        let key = Self(rand::random());
        durable::replace(path, &key.0)?;
        Ok(key)
    }

    /// The capability for `hash`, in hex.
    pub(super) fn capability(&self, hash: &Hash) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(PURPOSE);
        mac.update(hash.as_bytes());
        let code = mac.finalize().into_bytes();
        code[..CAPABILITY_LEN]
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }

    /// Whether `claimed` is the capability for `hash`, compared in constant time.
    pub(super) fn is_capability(&self, claimed: &str, hash: &Hash) -> bool {
        let capability = self.capability(hash);
        capability.as_bytes().ct_eq(claimed.as_bytes()).into()
    }
}

fn set_aside(path: &Path) -> io::Result<()> {
    let aside = durable::set_aside(path)?;
    tracing::error!(
        "{} was damaged and is now {}: the gateway has a new key, and its earlier URLs are \
         invalid; to make them valid again, stop the node and restore a copy of the key",
        path.display(),
        aside.display()
    );
    Ok(())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The error of reading or creating the key.
#[derive(Debug, thiserror::Error)]
#[error("the key of the gateway, {}, cannot be read or created: {source}", path.display())]
pub struct KeyError {
    /// The file of the key.
    pub path: PathBuf,
    /// The error of the system.
    pub source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(byte: u8) -> Hash {
        Hash::from_bytes([byte; 32])
    }

    #[test]
    fn a_capability_is_for_one_hash_and_stays_valid_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::load_or_create(folder.path()).unwrap();
        let capability = key.capability(&hash(1));
        assert!(key.is_capability(&capability, &hash(1)));
        assert!(!key.is_capability(&capability, &hash(2)));
        for wrong in ["", "0", &capability[1..], &capability.to_uppercase()] {
            assert!(!key.is_capability(wrong, &hash(1)), "{wrong}");
        }
        let again = Key::load_or_create(folder.path()).unwrap();
        assert!(again.is_capability(&capability, &hash(1)));
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Key::load_or_create(elsewhere.path()).unwrap();
        assert!(!other.is_capability(&capability, &hash(1)));
        assert!(!format!("{key:?}").contains(&format!("{}", key.0[0])));
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_the_key_and_a_torn_one_is_set_aside() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let torn = [&b"torn"[..], b"", &[0; KEY_LEN], &[7; KEY_LEN + 1]];
        for (bytes, number) in torn.into_iter().zip(1..) {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
            Key::load_or_create(folder.path()).unwrap();
            let metadata = path.metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
            assert_eq!(metadata.len(), KEY_LEN as u64);
            let aside = folder.path().join(format!("{FILE}.damaged-{number}"));
            assert_eq!(fs::read(aside).unwrap(), bytes);
        }
    }

    #[test]
    fn a_key_that_cannot_be_read_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FILE)).unwrap();
        let error = Key::load_or_create(folder.path()).unwrap_err();
        assert!(error.to_string().contains(FILE), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
