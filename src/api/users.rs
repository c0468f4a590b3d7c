//! The user of the data folder, as the API changes it.
//!
//! Owns the unlocked keys. One operation runs at a time, so that attempts at a passphrase do not add
//! up. What changes the keys under which the node runs ends with a [`Transition`]: the program then
//! executes itself again. Errors are [`ErrorInfo`]s, of the node's errors.

use std::{io, sync::Arc};

use tokio::{
    sync::{Mutex, mpsc},
    task::spawn_blocking,
};
use zeroize::Zeroizing;

use super::{
    hex,
    types::{ErrorInfo, User, UserState, UserStatus},
};
use crate::node::{
    InvalidPassphrase, MemoryCost, Node, Passphrase, SealedUser, SealingKey, UnlockedUser,
    UserFile, UserFileError,
};

/// The user of the data folder. A handle: clones share the same user. The default has no data
/// folder, and no user.
#[derive(Clone, Default)]
pub struct Users {
    local: Option<Arc<LocalUsers>>,
    /// The node of the user in this process, if there is one.
    node: Option<Node>,
}

#[derive(Debug)]
struct LocalUsers {
    file: UserFile,
    memory: MemoryCost,
    /// Locked during each operation.
    unlocked: Mutex<Option<Arc<UnlockedUser>>>,
    /// None if the process belongs to a command.
    transitions: Option<mpsc::Sender<Transition>>,
}

/// The next phase of the program, which begins with new memory.
#[derive(Debug)]
pub enum Transition {
    /// The user is logged in: the key opens the sealed file.
    LogIn(SealingKey),
    /// The user is logged out.
    LogOut,
    /// The data folder has no user.
    WithoutUser,
    /// The process ends.
    Stop,
}

impl Users {
    /// The user in `file`. `unlocked` are the keys under which this process runs. `memory` is what
    /// sealing keys may take. `transitions` receives the next phase, and holds one.
    #[must_use]
    pub fn new(
        file: UserFile,
        unlocked: Option<Arc<UnlockedUser>>,
        memory: MemoryCost,
        transitions: Option<mpsc::Sender<Transition>>,
    ) -> Self {
        let local = LocalUsers {
            file,
            memory,
            unlocked: Mutex::new(unlocked),
            transitions,
        };
        Self {
            local: Some(Arc::new(local)),
            node: None,
        }
    }

    /// The same user, whose `node` runs in this process.
    pub(super) fn of(self, node: Node) -> Self {
        let node = Some(node);
        Self { node, ..self }
    }

    /// The user, and whether the user is logged in.
    pub(super) async fn status(&self) -> Result<UserStatus, ErrorInfo> {
        let Some(users) = &self.local else {
            return Ok(status(UserState::None, None));
        };
        let is_unlocked = users.unlocked.lock().await.is_some();
        let file = users.file.clone();
        let sealed = blocking(move || file.read()).await?;
        let state = match (&sealed, is_unlocked) {
            (None, _) => UserState::None,
            (Some(_), false) => UserState::Locked,
            (Some(_), true) => UserState::Unlocked,
        };
        Ok(status(state, sealed.as_ref().map(described)))
    }

    /// Makes a user, under whose new key the node runs next.
    pub(super) async fn create(
        &self,
        name: &str,
        passphrase: Option<String>,
    ) -> Result<UserStatus, ErrorInfo> {
        let name = parse_name(name)?;
        let passphrase = parse(passphrase)?;
        let users = self.local()?;
        let _alone = users.unlocked.lock().await;
        let next = users.next_phase()?;
        let (file, memory) = (users.file.clone(), users.memory);
        let user = blocking(move || file.create(name, passphrase.as_ref(), memory)).await?;
        users.note_logged_out(false).await;
        Ok(log_in(next, &user))
    }

    /// Makes an exported user the user of this node, under whose key it runs next.
    pub(super) async fn import(
        &self,
        sealed: &str,
        passphrase: Option<String>,
    ) -> Result<UserStatus, ErrorInfo> {
        let sealed = hex::decode(sealed).ok_or(UserFileError::NotSealed)?;
        let passphrase = parse(passphrase)?;
        let users = self.local()?;
        let _alone = users.unlocked.lock().await;
        let next = users.next_phase()?;
        let file = users.file.clone();
        let user = blocking(move || file.import(&sealed, passphrase.as_ref())).await?;
        users.note_logged_out(false).await;
        Ok(log_in(next, &user))
    }

    /// The sealed user in hex.
    pub(super) async fn export(&self) -> Result<String, ErrorInfo> {
        let file = self.local()?.file.clone();
        let sealed = blocking(move || file.export()).await?;
        Ok(hex::encode(&sealed))
    }

    /// Changes the name.
    pub(super) async fn rename(&self, name: &str) -> Result<UserStatus, ErrorInfo> {
        let name = parse_name(name)?;
        let users = self.local()?;
        let mut unlocked = users.unlocked.lock().await;
        let user = unlocked.clone().ok_or_else(locked)?;
        let file = users.file.clone();
        let user = blocking(move || file.rename(&user, name)).await?;
        let (status, name) = (unlocked_status(&user), user.name().clone());
        *unlocked = Some(Arc::new(user));
        if let Some(node) = &self.node {
            node.rename_user(name).await?;
        }
        Ok(status)
    }

    /// Changes the passphrase.
    pub(super) async fn change_passphrase(
        &self,
        current: Option<String>,
        new: Option<String>,
    ) -> Result<UserStatus, ErrorInfo> {
        let (current, new) = (parse(current)?, parse(new)?);
        let users = self.local()?;
        let mut unlocked = users.unlocked.lock().await;
        let (file, memory) = (users.file.clone(), users.memory);
        let user = blocking(move || {
            let user = file.unlock(current.as_ref())?;
            file.change_passphrase(&user, new.as_ref(), memory)
        });
        let user = user.await?;
        let status = unlocked_status(&user);
        if unlocked.is_some() {
            *unlocked = Some(Arc::new(user));
        }
        Ok(status)
    }

    /// Logs in. The network runs next.
    pub(super) async fn log_in(&self, passphrase: Option<String>) -> Result<UserStatus, ErrorInfo> {
        let passphrase = parse(passphrase)?;
        let users = self.local()?;
        let unlocked = users.unlocked.lock().await;
        let file = users.file.clone();
        if let Some(user) = &*unlocked {
            let status = unlocked_status(user);
            // One that is given has to be right.
            if passphrase.is_some() {
                blocking(move || file.unlock(passphrase.as_ref())).await?;
            }
            return Ok(status);
        }
        let next = users.next_phase()?;
        let user = blocking(move || file.unlock(passphrase.as_ref())).await?;
        users.note_logged_out(false).await;
        Ok(log_in(next, &user))
    }

    /// Ends the process.
    pub(super) fn stop(&self) -> Result<(), ErrorInfo> {
        let transitions = self
            .local
            .as_ref()
            .and_then(|users| users.transitions.as_ref());
        let transitions = transitions.ok_or_else(|| {
            ErrorInfo::new(
                "cannot-stop",
                "a command runs this node, and ends it when it is done",
            )
            .with_hint("press Ctrl-C where it runs")
        })?;
        reserve(transitions)?.send(Transition::Stop);
        Ok(())
    }

    /// Restarts the process, with its user as before.
    pub(super) async fn restart(&self) -> Result<(), ErrorInfo> {
        let users = self.local()?;
        let unlocked = users.unlocked.lock().await;
        let next = users.next_phase()?;
        let transition = match &*unlocked {
            Some(user) => Transition::LogIn(user.sealing_key().clone()),
            None => {
                let file = users.file.clone();
                match blocking(move || file.read()).await? {
                    Some(_) => Transition::LogOut,
                    None => Transition::WithoutUser,
                }
            }
        };
        next.send(transition);
        Ok(())
    }

    /// Logs out, and stays so over restarts. The network ends.
    pub(super) async fn log_out(&self) -> Result<(), ErrorInfo> {
        let users = self.local()?;
        let unlocked = users.unlocked.lock().await;
        if unlocked.is_none() {
            let file = users.file.clone();
            blocking(move || file.read())
                .await?
                .ok_or(UserFileError::NoUser)?;
        }
        let next = users.next_phase()?;
        // It ends in any case.
        next.send(Transition::LogOut);
        users.set_logged_out(true).await.map_err(|error| {
            let message = format!(
                "the user is logged out, but only until the node restarts: that cannot be written: \
                 {error}"
            );
            ErrorInfo::new("not-kept", message)
                .with_hint("free space on the disk of the data folder, then log in and out again")
        })
    }

    fn local(&self) -> Result<&LocalUsers, ErrorInfo> {
        self.local.as_deref().ok_or_else(|| {
            ErrorInfo::new(
                "no-user",
                "this node has no data folder, which a user takes",
            )
        })
    }
}

impl LocalUsers {
    /// The right to begin the next phase.
    fn next_phase(&self) -> Result<NextPhase<'_>, ErrorInfo> {
        // Other systems cannot execute a program within a process.
        let transitions = self.transitions.as_ref().filter(|_| cfg!(unix));
        let transitions = transitions.ok_or_else(|| {
            let message = "this node cannot restart itself, or change its user, while it runs";
            ErrorInfo::new("cannot-restart", message)
                .with_hint("retry when the command that runs it has ended, or stop it first")
        })?;
        reserve(transitions)
    }

    async fn set_logged_out(&self, is_logged_out: bool) -> io::Result<()> {
        let file = self.file.clone();
        let set = spawn_blocking(move || file.set_logged_out(is_logged_out)).await;
        set.map_err(io::Error::other).flatten()
    }

    async fn note_logged_out(&self, is_logged_out: bool) {
        if let Err(error) = self.set_logged_out(is_logged_out).await {
            tracing::warn!(
                %error,
                "could not note that the user has logged in: the node does not log in by itself at \
                 the next start"
            );
        }
    }
}

/// The right to begin the next phase. One phase has one successor.
fn reserve(transitions: &mpsc::Sender<Transition>) -> Result<NextPhase<'_>, ErrorInfo> {
    let permit = transitions.try_reserve().map_err(|_| {
        ErrorInfo::new("restarting", "the node is restarting or ending already")
            .with_hint("try again")
    })?;
    Ok(NextPhase(permit))
}

/// The right to begin the next phase.
struct NextPhase<'a>(mpsc::Permit<'a, Transition>);

impl NextPhase<'_> {
    fn send(self, transition: Transition) {
        self.0.send(transition);
    }
}

/// The error of everything that takes a user who is logged in.
pub(super) fn locked() -> ErrorInfo {
    ErrorInfo::new("locked", "the user of this node is logged out")
        .with_hint("log in with `pelago login`")
}

fn log_in(next: NextPhase<'_>, user: &UnlockedUser) -> UserStatus {
    next.send(Transition::LogIn(user.sealing_key().clone()));
    unlocked_status(user)
}

fn unlocked_status(user: &UnlockedUser) -> UserStatus {
    let user = User {
        key: user.secret().key().to_string(),
        name: user.name().to_string(),
        has_passphrase: user.has_passphrase(),
    };
    status(UserState::Unlocked, Some(user))
}

const fn status(state: UserState, user: Option<User>) -> UserStatus {
    UserStatus { state, user }
}

/// A sealed user, in JSON.
pub(super) fn described(sealed: &SealedUser) -> User {
    User {
        key: sealed.user().to_string(),
        name: sealed.name().to_string(),
        has_passphrase: sealed.has_passphrase(),
    }
}

fn parse_name<T: std::str::FromStr<Err: std::error::Error>>(name: &str) -> Result<T, ErrorInfo> {
    name.parse()
        .map_err(|error: T::Err| ErrorInfo::new("bad-name", error.to_string()))
}

/// Parses a passphrase, and overwrites its text.
fn parse(text: Option<String>) -> Result<Option<Passphrase>, InvalidPassphrase> {
    let text = text.map(Zeroizing::new);
    text.map(|text| Passphrase::new(&text)).transpose()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UserFileError> + Send + 'static,
) -> Result<T, ErrorInfo> {
    match spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(ErrorInfo::new("failed", error.to_string())),
    }
}
