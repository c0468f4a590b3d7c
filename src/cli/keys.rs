//! The keys with which a node of this process starts: those of its user, or those in clear.
//!
//! A node that starts without a person logs in with the passphrase that systemd passes, or with the
//! one in `user.passphrase_file`, unless the user has logged out.

use std::{env, fs::File, path::Path, sync::Arc};

use anyhow::Context as _;

use super::{context::Context, output::Printer};
use crate::{
    api::{Transition, Users, types::ErrorInfo},
    memory::Memory,
    store::{DataFolder, MemoryCost, Passphrase, SealedUser, SealingKey, UnlockedUser, UserFile},
};

/// The variable with the folder in which systemd passes credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The name of the credential.
const CREDENTIAL: &str = "pelago-passphrase";

/// The keys with which a node starts.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    /// The data folder has no user: the key of the node is in clear.
    WithoutUser,
    /// The user is logged in.
    Unlocked(Arc<UnlockedUser>),
    /// The user is logged out.
    Locked(SealedUser),
}

impl Keys {
    /// The keys of a node that starts without a person, as far as no person has to type a passphrase.
    pub(super) fn unattended(context: &Context, folder: &DataFolder) -> anyhow::Result<Self> {
        let file = UserFile::from(folder);
        let Some(sealed) = file.read().map_err(ErrorInfo::from)? else {
            return Ok(Self::WithoutUser);
        };
        if file.is_logged_out() {
            return Ok(Self::Locked(sealed));
        }
        let passphrase = match sealed.has_passphrase() {
            false => None,
            true => match passphrase(&context.config.user.passphrase_file) {
                Ok(Some(passphrase)) => Some(passphrase),
                Ok(None) => return Ok(Self::Locked(sealed)),
                Err(error) => {
                    warn(&context.output, &error);
                    return Ok(Self::Locked(sealed));
                }
            },
        };
        Ok(match file.unlock(passphrase.as_ref()) {
            Ok(user) => Self::Unlocked(Arc::new(user)),
            Err(error) => {
                let error = anyhow::Error::from(error);
                warn(
                    &context.output,
                    &error.context("the node cannot log in by itself"),
                );
                Self::Locked(sealed)
            }
        })
    }

    /// The keys of the next run of this process, as the run before passed them on.
    pub(super) fn handed_over(
        context: &Context,
        folder: &DataFolder,
        transition: &Transition,
    ) -> anyhow::Result<Self> {
        let file = UserFile::from(folder);
        let sealed = file.read().map_err(ErrorInfo::from)?;
        if matches!(transition, Transition::WithoutUser) && sealed.is_none() {
            return Ok(Self::WithoutUser);
        }
        let sealed = sealed.context("the user of this node disappeared while it restarted")?;
        let Transition::LogIn(key) = transition else {
            return Ok(Self::Locked(sealed));
        };
        Ok(match file.unlock_with(SealingKey::clone(key)) {
            Ok(user) => Self::Unlocked(Arc::new(user)),
            Err(error) => {
                let error = anyhow::Error::from(error);
                warn(&context.output, &error.context("the node cannot log in"));
                Self::Locked(sealed)
            }
        })
    }

    /// The keys, if the user is logged in.
    pub(super) const fn unlocked(&self) -> Option<&Arc<UnlockedUser>> {
        match self {
            Self::Unlocked(user) => Some(user),
            Self::WithoutUser | Self::Locked(_) => None,
        }
    }

    /// The user of `folder` for the API of a process with these keys. `transitions` receives what
    /// makes the process execute itself again.
    pub(super) fn users(
        &self,
        folder: &DataFolder,
        transitions: Option<tokio::sync::mpsc::Sender<Transition>>,
    ) -> Users {
        let unlocked = self.unlocked().map(Arc::clone);
        Users::new(UserFile::from(folder), unlocked, memory_cost(), transitions)
    }
}

/// Memory that sealing keys may take in this process.
pub(super) fn memory_cost() -> MemoryCost {
    MemoryCost::of_bytes(Memory::of_this_process().sealing())
}

/// The passphrase that no person types; none if there is none.
fn passphrase(set: &Path) -> anyhow::Result<Option<Passphrase>> {
    let credential = env::var_os(CREDENTIALS).map(|folder| Path::new(&folder).join(CREDENTIAL));
    if let Some(path) = credential.filter(|path| path.exists()) {
        // systemd keeps it from other users, in part by access lists.
        let read = File::open(&path)
            .map_err(Into::into)
            .and_then(Passphrase::read_from);
        let read = read.with_context(|| format!("the credential {CREDENTIAL} cannot be used"))?;
        return Ok(Some(read));
    }
    if set.as_os_str().is_empty() {
        return Ok(None);
    }
    let read = Passphrase::read(set);
    let read = read.with_context(|| format!("{} cannot be used", set.display()))?;
    Ok(Some(read))
}

fn warn(output: &Printer, error: &anyhow::Error) {
    output.note(format_args!("{error:#}"));
}
