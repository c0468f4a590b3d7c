//! What people do with what a node shares: share, unshare, list, check.

use std::{ops::ControlFlow, path::PathBuf};

use pelago_content::Hash;
use tokio::sync::oneshot;

use super::{
    BeingWritten, CheckEvent, ListError, Listed, Node, ShareError, ShareRequest, Shared,
    UnavailableShares, UnshareError, Upload, UploadError, WatchedFolder, blocking::blocking,
    check_shares, share_states::unavailable, shares,
};
use crate::{
    store::{Exclusion, NewFile},
    transfer::sanitised,
};

impl Node {
    /// Shares a file or directory from where it lies, and announces it. `progress` is given the bytes
    /// hashed so far. Dropping the call ends the hashing.
    ///
    /// # Errors
    /// See [`ShareError`].
    pub async fn share(
        &self,
        request: ShareRequest,
        progress: impl Fn(u64) + Send + 'static,
    ) -> Result<Shared, ShareError> {
        let store = self.core.store.clone();
        let mut included = store.exclusions();
        included.retain(|excluded| excluded.path.starts_with(&request.path));
        let (caller, waiting) = oneshot::channel::<()>();
        let hashing = move |bytes| {
            progress(bytes);
            // Gone with this future.
            match caller.is_closed() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let mut shared = blocking(move || shares::share(&store, &request, &hashing)).await??;
        drop(waiting);
        self.core.share_included(included).await;
        shared.link.peers = self.link_peers().await?;
        self.core.provide_if_shared(shared.hash).await;
        if let Some(before) = shared.replaced {
            self.core.withdraw_if_gone(before).await;
        }
        Ok(shared)
    }

    /// Withdraws what `what` means: a hash or at least 6 of its first digits mean all places of that
    /// content, a name those of that name, an absolute path that place. `path` is what a relative path
    /// leads to, for what nothing is called. Gives each place.
    ///
    /// # Errors
    /// See [`UnshareError`].
    pub async fn unshare(
        &self,
        what: &str,
        path: Option<PathBuf>,
    ) -> Result<Vec<Shared>, UnshareError> {
        let (store, what) = (self.core.store.clone(), what.to_owned());
        let withdrawn = blocking(move || shares::unshare(&store, &what, path.as_deref())).await??;
        for shared in &withdrawn {
            self.core.withdraw_if_gone(shared.hash).await;
        }
        Ok(withdrawn)
    }

    /// What this node shares, by name.
    ///
    /// # Errors
    /// The database cannot be read, or the node has shut down.
    pub async fn list(&self) -> Result<Vec<Listed>, ListError> {
        let store = self.core.store.clone();
        Ok(blocking(move || shares::list(&store)).await??)
    }

    /// Reads all that this node shares, and compares it with what is listed. `take` is given what is
    /// found, on a thread that may block, and may stop it.
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

    /// What is not available of what this node shares, by the last look.
    ///
    /// # Errors
    /// The database cannot be read, or the node has shut down.
    pub async fn unavailable(&self) -> Result<UnavailableShares, ListError> {
        let store = self.core.store.clone();
        Ok(blocking(move || unavailable(&store)).await??)
    }

    /// Whether content was shared here and cannot be had from here any more.
    pub async fn is_gone(&self, hash: Hash) -> bool {
        let store = self.core.store.clone();
        let told = blocking(move || store.is_gone(&hash)).await;
        told.is_ok_and(|told| told.unwrap_or(false))
    }

    /// The places in watched folders that a person withdrew, by path.
    #[must_use]
    pub fn exclusions(&self) -> Vec<Exclusion> {
        self.core.store.exclusions()
    }

    /// The files in watched folders that are not shared yet, or no longer, as programs may still write
    /// to them.
    #[must_use]
    pub fn being_written(&self) -> BeingWritten {
        self.core.being_written.all()
    }

    /// The watched folders, and what each relies on.
    #[must_use]
    pub fn watched_folders(&self) -> Vec<WatchedFolder> {
        self.core.watches.all()
    }

    /// Begins to take a file of `len` bytes into the first shared folder, under a name made of `name` as
    /// those of downloads are.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn upload(&self, name: &str, len: u64) -> Result<Upload, UploadError> {
        let folders = &self.core.settings.share_folders;
        let folder = folders.first().ok_or(UploadError::NoFolder)?.clone();
        let wrong = || UploadError::Name {
            name: name.to_owned(),
        };
        let name = sanitised(name).ok_or_else(wrong)?;
        let permit = self.core.uploads.permit(folder.join(&name))?;
        let room = self.core.store.room().clone();
        let file = blocking(move || NewFile::create(&room, &folder, &name, len)).await??;
        Ok(Upload::new(file, permit))
    }
}
