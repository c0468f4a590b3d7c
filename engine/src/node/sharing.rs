//! What people do with the shares of a node: share, unshare, list, check, and add files.

use std::{ops::ControlFlow, time::Duration};

use pelago_content::Hash;
use tokio::time::timeout;

use super::{
    BeingWritten, CheckEvent, IncomingError, IncomingFile, ListError, Listed, Node, ShareError,
    ShareRequest, Shared, UnavailableShares, UnshareError, UnshareRequest, WatchedFolder,
    blocking::{Caller, blocking},
    check_shares,
    share_states::unavailable,
    shares,
};
use crate::{
    store::{Exclusion, Known, NewFile},
    transfer::sanitised,
};

/// How long [`Node::share`] waits until its share is on its way to be announced. It is announced
/// later, too, if the node is busy.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(1);

impl Node {
    /// Shares a file or directory from where it is stored, and has it announced. `progress` receives
    /// the bytes hashed so far. Dropping the call stops hashing.
    ///
    /// # Errors
    /// See [`ShareError`].
    pub async fn share(
        &self,
        request: ShareRequest,
        progress: impl Fn(u64) + Send + 'static,
    ) -> Result<Shared, ShareError> {
        for group in &request.groups {
            self.core.own_group(*group)?;
        }
        let store = self.core.store.clone();
        let mut included = store.exclusions();
        included.retain(|excluded| excluded.path == request.path);
        let (caller, _waiting) = Caller::new();
        let hashing = move |bytes| {
            progress(bytes);
            caller.check()
        };
        let mut shared = blocking(move || shares::share(&store, &request, &hashing)).await??;
        self.core.share_included(included).await;
        let groups: Vec<_> = shared.scopes.groups().collect();
        for group in groups {
            let known = [Known::Content(shared.hash)];
            self.core.note_known(group, known).await;
        }
        shared.link.peers = self.link_peers().await?;
        // A peer that asks right after the answer finds it.
        let _ = timeout(ANNOUNCE_TIMEOUT, self.core.store.share_feed().caught_up()).await;
        Ok(shared)
    }

    /// Stops sharing what the request selects, with all or with some. Returns each place.
    ///
    /// # Errors
    /// See [`UnshareError`].
    pub async fn unshare(&self, request: UnshareRequest) -> Result<Vec<Shared>, UnshareError> {
        let store = self.core.store.clone();
        blocking(move || shares::unshare(&store, &request)).await?
    }

    /// The shares of this node, by name.
    ///
    /// # Errors
    /// The database cannot be read, or the node has shut down.
    pub async fn list(&self) -> Result<Vec<Listed>, ListError> {
        let store = self.core.store.clone();
        Ok(blocking(move || shares::list(&store)).await??)
    }

    /// Reads all shared files and compares them with the recorded hashes. Gives events to `take`,
    /// on a thread that may block; `take` may stop the check.
    ///
    /// # Errors
    /// The database cannot be read, or the node has shut down.
    pub async fn check_shares(
        &self,
        mut take: impl FnMut(CheckEvent) -> ControlFlow<()> + Send + 'static,
    ) -> Result<(), ListError> {
        let store = self.core.store.clone();
        Ok(blocking(move || check_shares(&store, &mut take)).await??)
    }

    /// The shares that are not available, as of the last inspection.
    ///
    /// # Errors
    /// The database cannot be read, or the node has shut down.
    pub async fn unavailable(&self) -> Result<UnavailableShares, ListError> {
        let store = self.core.store.clone();
        Ok(blocking(move || unavailable(&store)).await??)
    }

    /// Whether content was shared here and is no longer available.
    pub async fn is_gone(&self, hash: Hash) -> bool {
        let store = self.core.store.clone();
        let is_gone = blocking(move || store.is_gone(&hash)).await;
        is_gone.is_ok_and(|is_gone| is_gone.unwrap_or(false))
    }

    /// The places in watched folders that a person excluded, by path.
    #[must_use]
    pub fn exclusions(&self) -> Vec<Exclusion> {
        self.core.store.exclusions()
    }

    /// The files in watched folders that are not shared, or no longer, because programs may still
    /// write to them.
    #[must_use]
    pub fn being_written(&self) -> BeingWritten {
        self.core.being_written.all()
    }

    /// The watched folders, and how the node learns of changes in each.
    #[must_use]
    pub fn watched_folders(&self) -> Vec<WatchedFolder> {
        self.core.watches.all()
    }

    /// Begins to add a file of `len` bytes to the first shared folder. Its name is derived
    /// from `name` like the names of downloads.
    ///
    /// # Errors
    /// See [`IncomingError`].
    pub async fn add_file(&self, name: &str, len: u64) -> Result<IncomingFile, IncomingError> {
        let folders = &self.core.settings.share_folders;
        let folder = folders.first().ok_or(IncomingError::NoFolder)?.clone();
        let invalid = || IncomingError::Name {
            name: name.to_owned(),
        };
        let name = sanitised(name).ok_or_else(invalid)?;
        let permit = self.core.incoming.permit(folder.join(&name))?;
        let space = self.core.store.disk_space().clone();
        let file = blocking(move || NewFile::create(&space, &folder, &name, len)).await??;
        Ok(IncomingFile::new(file, permit))
    }
}
