//! The user of a data folder: the keys of the user and the node, sealed with a passphrase.
//!
//! Owns `user.sealed` and the mark `logged-out` in the data folder. With a user, the key of the node
//! is in the sealed file only, and `identity.key` does not exist. Never logs a secret; memory that
//! held one is overwritten. Errors are [`UserFileError`]s. A file that cannot be read is never
//! replaced.
//!
//! The passphrase yields a key (Argon2id), which encrypts both secrets (XChaCha20-Poly1305).
//! Everything else in the file is in clear, authenticated by that encryption, and covered by a
//! checksum, which tells a damaged file from a wrong passphrase. A user without a passphrase has the
//! same file with an empty one: it protects nothing.

mod error;
mod passphrase;
mod sealed;
mod sealing;
mod unlocked;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use pelago_groups::{Name, Secret};
use rand::random;
use zeroize::Zeroizing;

use self::{sealed::MAX_LEN, sealing::Sealing};
use super::{
    DataFolder,
    data_layout::SEALED_FILE,
    durable,
    identity::{key_file, others_may_read},
};

pub(super) use sealed::fuzz;

pub use error::UserFileError;
pub use passphrase::{InvalidPassphrase, MAX_PASSPHRASE_LEN, Passphrase};
pub use sealed::SealedUser;
pub use sealing::{MemoryCost, SealingKey};
pub use unlocked::UnlockedUser;

/// The file that keeps a user logged out over restarts. Its content means nothing.
const LOGGED_OUT_FILE: &str = "logged-out";

/// The files of the user in one data folder. The caller holds the lock of the folder when it changes
/// them.
#[derive(Clone, Debug)]
pub struct UserFile {
    folder: PathBuf,
}

/// The files of the data folder that may hold keys: in clear, or sealed. They may not exist.
#[must_use]
pub fn key_files(folder: &Path) -> [PathBuf; 2] {
    [key_file(folder), folder.join(SEALED_FILE)]
}

impl UserFile {
    /// The files of the user in the data folder at `folder`, which need not exist.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The sealed user; none if the data folder has no user.
    ///
    /// # Errors
    ///
    /// [`UserFileError::Exposed`], [`UserFileError::Damaged`], [`UserFileError::Newer`] and
    /// [`UserFileError::Io`].
    pub fn read(&self) -> Result<Option<SealedUser>, UserFileError> {
        let path = self.path();
        let unreadable = |source| UserFileError::Io {
            path: path.clone(),
            source,
        };
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(unreadable)?,
        };
        if others_may_read(&file.metadata().map_err(unreadable)?) {
            return Err(UserFileError::Exposed { path });
        }
        let mut bytes = Vec::new();
        let read = file.take(MAX_LEN as u64 + 1).read_to_end(&mut bytes);
        read.map_err(unreadable)?;
        SealedUser::parse(&bytes)
            .map(Some)
            .map_err(|error| error.of(path))
    }

    /// Makes a user with a new key, and a new key for the node: the old one was stored in clear.
    /// Without a passphrase, everyone who reads the file has the keys. Takes as long as one attempt
    /// to unlock it.
    ///
    /// # Errors
    ///
    /// [`UserFileError::Exists`], and those of [`UserFile::read`].
    pub fn create(
        &self,
        name: Name,
        passphrase: Option<&Passphrase>,
        memory: MemoryCost,
    ) -> Result<UnlockedUser, UserFileError> {
        self.require_none()?;
        let user = UnlockedUser {
            secret: Secret::from_seed(*Zeroizing::new(random())),
            name,
            node: Zeroizing::new(random()),
            sealing: Sealing::new(passphrase, memory),
        };
        self.put(&SealedUser::seal(&user))?;
        Ok(user)
    }

    /// Opens the sealed file with its passphrase; with none if it has none.
    ///
    /// # Errors
    ///
    /// [`UserFileError::NoUser`], [`UserFileError::WrongPassphrase`], and those of
    /// [`UserFile::read`].
    pub fn unlock(&self, passphrase: Option<&Passphrase>) -> Result<UnlockedUser, UserFileError> {
        let sealed = self.require()?;
        let user = sealed
            .open(passphrase)
            .map_err(|error| error.of(self.path()))?;
        self.remove_plain_key();
        Ok(user)
    }

    /// Opens the sealed file with the key that its passphrase yields.
    ///
    /// # Errors
    ///
    /// Those of [`UserFile::unlock`].
    pub fn unlock_with(&self, key: SealingKey) -> Result<UnlockedUser, UserFileError> {
        let sealed = self.require()?;
        sealed.open_with(key).map_err(|error| error.of(self.path()))
    }

    /// Changes the name of the user.
    ///
    /// # Errors
    ///
    /// [`UserFileError::Io`]. The file is then unchanged.
    pub fn rename(&self, user: &UnlockedUser, name: Name) -> Result<UnlockedUser, UserFileError> {
        let renamed = user.with(name, user.sealing.clone());
        self.put(&SealedUser::seal(&renamed))?;
        Ok(renamed)
    }

    /// Seals the keys with another passphrase, or with none. Copies that were made before open with
    /// the old one.
    ///
    /// # Errors
    ///
    /// [`UserFileError::Io`]. The file is then unchanged.
    pub fn change_passphrase(
        &self,
        user: &UnlockedUser,
        passphrase: Option<&Passphrase>,
        memory: MemoryCost,
    ) -> Result<UnlockedUser, UserFileError> {
        let changed = user.with(user.name.clone(), Sealing::new(passphrase, memory));
        self.put(&SealedUser::seal(&changed))?;
        Ok(changed)
    }

    /// The sealed file, as a copy to keep or to [`import`](Self::import) elsewhere.
    ///
    /// # Errors
    ///
    /// [`UserFileError::NoUser`], and those of [`UserFile::read`].
    pub fn export(&self) -> Result<Vec<u8>, UserFileError> {
        Ok(self.require()?.to_bytes())
    }

    /// Makes an exported user the user of this data folder.
    ///
    /// # Errors
    ///
    /// [`UserFileError::Exists`], [`UserFileError::NotSealed`] if `bytes` are not an exported user,
    /// [`UserFileError::WrongPassphrase`], and those of [`UserFile::read`].
    pub fn import(
        &self,
        bytes: &[u8],
        passphrase: Option<&Passphrase>,
    ) -> Result<UnlockedUser, UserFileError> {
        self.require_none()?;
        let sealed = SealedUser::exported(bytes)?;
        let user = sealed
            .open(passphrase)
            .map_err(|error| error.of(self.path()))?;
        self.put(&sealed)?;
        Ok(user)
    }

    /// Whether the user has logged out, so that no run of the node logs in by itself.
    #[must_use]
    pub fn is_logged_out(&self) -> bool {
        self.folder.join(LOGGED_OUT_FILE).exists()
    }

    /// Notes durably that the user has logged out, or has logged in again.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn set_logged_out(&self, is_logged_out: bool) -> io::Result<()> {
        let mark = self.folder.join(LOGGED_OUT_FILE);
        if is_logged_out {
            durable::replace(&mark, b"")
        } else {
            durable::remove(&mark)
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(SEALED_FILE)
    }

    fn require(&self) -> Result<SealedUser, UserFileError> {
        self.read()?.ok_or(UserFileError::NoUser)
    }

    fn require_none(&self) -> Result<(), UserFileError> {
        match self.read()? {
            Some(user) => Err(UserFileError::Exists {
                name: user.name().clone(),
            }),
            None => Ok(()),
        }
    }

    /// Writes the sealed file, and removes the key that was in clear.
    fn put(&self, sealed: &SealedUser) -> Result<(), UserFileError> {
        let path = self.path();
        match durable::replace(&path, &sealed.to_bytes()) {
            Ok(()) => {
                self.remove_plain_key();
                Ok(())
            }
            Err(source) => Err(UserFileError::Io { path, source }),
        }
    }

    /// Removes the key of the node without a user. A power cut may have kept it.
    fn remove_plain_key(&self) {
        let path = key_file(&self.folder);
        if let Err(error) = durable::remove(&path) {
            let path = path.display();
            tracing::warn!(%path, %error, "the old key of this node is of no use, but was not removed");
        }
    }
}

/// The files of the user in a locked data folder.
impl From<&DataFolder> for UserFile {
    fn from(folder: &DataFolder) -> Self {
        Self::in_folder(folder.path())
    }
}

#[cfg(test)]
mod tests;
