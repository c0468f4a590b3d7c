//! What a download fetches: the file, or the manifests of a folder and then its files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use pelago_content::{Descriptor, Kind, Listing, UNQUESTIONED_ENTRIES};

use super::{Folder, Purpose, Task, blocking};
use crate::{
    store::{Differences, Ending, Partial, PartialFolder, PartialSpec},
    transfer::{
        DownloadError, DownloadState, Finished,
        manifests::{Next, Round, Unfolding},
        sink::Sink,
        stage::Stage,
        target::{ExistingTarget, examine_target},
    },
};

impl Task {
    /// The first source has said what the content is: prepares to write it.
    pub(super) async fn begin(
        &mut self,
        descriptor: Descriptor,
        name: Option<String>,
    ) -> Result<Option<Finished>, DownloadError> {
        if let Purpose::Read { cache, .. } = &self.purpose {
            let cache = cache.clone();
            return self.begin_reading(cache, descriptor).await.map(|()| None);
        }
        let fixed = self.fixed_target().await?;
        let name = self.request.name.clone().or(name);
        let (output, hash) = (self.request.output.clone(), self.request.hash);
        let resolve = {
            let name = name.clone();
            move || output.resolve(name.as_deref(), &hash)
        };
        let target = blocking(resolve).await?;
        let file_name = || {
            target
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        let name = name.or_else(file_name).unwrap_or_else(|| hash.to_string());
        self.status.send_modify(|status| {
            status.name.clone_from(&name);
            status.path = Some(target.clone());
        });
        // A fixed target was looked at before.
        if fixed.is_none()
            && let Some(finished) = self.existing_content(target.clone()).await?
        {
            return Ok(Some(finished));
        }
        let spec = PartialSpec {
            descriptor,
            target,
            name,
            scopes: self.request.scopes.clone(),
            resume_on_start: self.request.resume_on_start,
            only: self.request.only.clone(),
            part_of: None,
            overwrite: self.request.overwrite,
            is_named: fixed.is_some(),
            links: self.request.links,
            strict_names: self.request.strict_names,
        };
        match descriptor.kind() {
            Kind::File => {
                let path = spec.target.clone();
                if blocking(move || path.is_dir()).await? {
                    let path = spec.target;
                    return Err(DownloadError::TargetExists { path });
                }
                self.open_file(spec).await?;
            }
            Kind::Folder => {
                let unfolding =
                    Unfolding::new(self.store.clone(), descriptor, self.request.may_expand)?;
                self.folder = Some(Folder { unfolding, spec });
                self.unfold(None).await?;
            }
        }
        Ok(None)
    }

    pub(super) async fn open_file(&mut self, spec: PartialSpec) -> Result<(), DownloadError> {
        let (store, progress) = (self.store.clone(), self.checking());
        let ending = self.ending();
        let open = move || {
            unless_stopped(ending.as_ref())?;
            Ok::<_, DownloadError>(Partial::create_or_resume(&store, spec, &progress)?)
        };
        let partial = blocking(open).await??;
        self.fetch(Sink::File(partial), DownloadState::Downloading);
        self.notice_room().await
    }

    /// Warns if the disk has no room for the bytes that are still to be written. The download runs all the
    /// same: zeros take no room, and somebody may make some.
    async fn notice_room(&self) -> Result<(), DownloadError> {
        let Some(stage) = &self.stage else {
            return Ok(());
        };
        let needed = stage.wanted_bytes - stage.resumed_bytes;
        let Some(path) = self.status.borrow().path.clone() else {
            return Ok(());
        };
        let (room, target) = (self.store.room().clone(), path.clone());
        let look = move || room.shortage(target.parent()?, needed);
        let Some(shortage) = blocking(look).await? else {
            return Ok(());
        };
        let notice = format!("{} may not fit: {shortage}", crate::store::shown(path));
        tracing::warn!("{notice}");
        self.status
            .send_modify(|status| status.notice = Some(notice));
        Ok(())
    }

    /// If it is manifests that were fetched: takes them and goes on to what they lead to.
    pub(super) async fn take_manifests(&mut self) -> Result<Option<()>, DownloadError> {
        let fetched = self.stage.as_ref().and_then(Stage::manifests).cloned();
        match fetched {
            Some(round) => self.unfold(Some(round)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Has the next manifests fetched; or, if it is known what is in the folder, its files.
    async fn unfold(&mut self, fetched: Option<Arc<Round>>) -> Result<(), DownloadError> {
        // What is known of it is held once, and no longer than it is needed.
        let Some(Folder {
            mut unfolding,
            spec,
        }) = self.folder.take()
        else {
            return Ok(());
        };
        let unfold = move || {
            if let Some(round) = fetched {
                unfolding.take(&round)?;
            }
            unfolding.next()
        };
        match blocking(unfold).await?? {
            Next::Fetch(round, unfolding) => {
                self.folder = Some(Folder { unfolding, spec });
                self.fetch(Sink::Manifests(round), DownloadState::Listing);
            }
            Next::Known(listing) => {
                // A source may have said meanwhile that it lists it.
                let scopes = self.request.scopes.clone();
                let spec = PartialSpec { scopes, ..spec };
                self.notice_entries(&listing);
                let (store, progress) = (self.store.clone(), self.checking());
                let ending = self.ending();
                let open = move || {
                    unless_stopped(ending.as_ref())?;
                    let opened = PartialFolder::create_or_resume(&store, spec, listing, &progress);
                    Ok::<_, DownloadError>(opened?)
                };
                let partial = blocking(open).await??;
                let looked_at = Arc::clone(&partial);
                self.show_differences(blocking(move || looked_at.differences()).await?);
                self.fetch(Sink::Folder(partial), DownloadState::Downloading);
                self.notice_room().await?;
            }
        }
        Ok(())
    }

    /// Says how many files and folders there will be where these are so many that inodes matter.
    fn notice_entries(&self, listing: &Listing) {
        if listing.len() as u64 <= UNQUESTIONED_ENTRIES {
            return;
        }
        let (files, folders) = (listing.totals().files, listing.folders());
        let notice = format!("it has {files} files and {folders} folders, and each takes an inode");
        tracing::info!("{notice}");
        self.status
            .send_modify(|status| status.notice = Some(notice));
    }

    /// Shows what of a folder is to lie here other than its manifests say.
    fn show_differences(&self, differences: Differences) {
        if differences.is_empty() {
            return;
        }
        for difference in &differences.listed {
            tracing::info!("{difference}");
        }
        let differences = Some(Arc::new(differences));
        self.status
            .send_modify(|status| status.differences = differences);
    }

    /// Tells how far proving again is what an earlier run left.
    fn checking(&self) -> impl Fn(u64) + Sync + Send + 'static {
        self.status
            .send_modify(|status| status.state = DownloadState::Checking);
        let status = self.status.clone();
        move |bytes| status.send_modify(|status| status.verified_bytes = Some(bytes))
    }

    pub(super) async fn fixed_target(&self) -> Result<Option<PathBuf>, DownloadError> {
        let output = self.request.output.clone();
        blocking(move || output.fixed()).await
    }

    /// The finished download, if the content is at `path` already.
    pub(super) async fn existing_content(
        &self,
        path: PathBuf,
    ) -> Result<Option<Finished>, DownloadError> {
        let (hash, overwrite) = (self.request.hash, self.request.overwrite);
        let (store, looked_at) = (self.store.clone(), path.clone());
        let ending = self.ending();
        let look = move || {
            let is_stopped = || ending.as_ref().is_some_and(|ending| ending.is_stopped());
            let existing_content = examine_target(&looked_at, &hash, overwrite, &is_stopped)?;
            // An earlier run may have ended between the last two steps.
            if matches!(existing_content, ExistingTarget::Same { .. }) {
                store.forget_partial_at(&hash, &looked_at)?;
            }
            Ok::<_, DownloadError>(existing_content)
        };
        let existing_content = blocking(look).await??;
        let ExistingTarget::Same { size } = existing_content else {
            return Ok(None);
        };
        Ok(Some(self.already_there(&path, size)))
    }

    /// What decides whether it is stopped, if it is for a place on the disk.
    fn ending(&self) -> Option<Arc<Ending>> {
        match &self.purpose {
            Purpose::Deliver { ending } => Some(Arc::clone(ending)),
            Purpose::Read { .. } => None,
        }
    }

    fn already_there(&self, path: &Path, size: u64) -> Finished {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Finished {
            hash: self.request.hash,
            name: name.unwrap_or_default(),
            path: path.to_owned(),
            size,
            elapsed: self.started.elapsed(),
            sources: 0,
            resumed_bytes: size,
            fetched_bytes: 0,
            is_shared: false,
            differences: Differences::default(),
        }
    }
}

/// A download that was stopped before a thread began to open it opens nothing.
fn unless_stopped(ending: Option<&Arc<Ending>>) -> Result<(), DownloadError> {
    match ending.is_some_and(|ending| ending.is_stopped()) {
        true => Err(DownloadError::Paused),
        false => Ok(()),
    }
}
