//! What a download fetches: a file, or the manifests of a folder and then its files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use pelago_content::{Descriptor, Kind, Listing, UNQUESTIONED_ENTRIES};

use super::{Folder, Task, blocking};
use crate::{
    store::{Differences, Ending, Partial, PartialFolder, PartialSpec},
    transfer::{
        DownloadState, Finished, TransferError,
        manifests::{Next, Round, Unfolding},
        request::{Delivery, Purpose},
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
    ) -> Result<Option<Finished>, TransferError> {
        let delivery = match &self.purpose {
            Purpose::Deliver(delivery, _) => Arc::clone(delivery),
            Purpose::Read { cache, .. } => {
                let cache = cache.clone();
                return self.begin_reading(cache, descriptor).await.map(|()| None);
            }
        };
        let fixed = self.fixed_target(&delivery).await?;
        let name = delivery.name.clone().or(name);
        let (output, hash) = (delivery.output.clone(), self.wanted.hash);
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
        self.report.status.send_modify(|status| {
            status.name.clone_from(&name);
            status.path = Some(target.clone());
        });
        // A fixed target was examined before.
        if fixed.is_none()
            && let Some(finished) = self.existing_content(&delivery, target.clone()).await?
        {
            return Ok(Some(finished));
        }
        let spec = PartialSpec {
            descriptor,
            target,
            name,
            scopes: self.scopes.clone(),
            resume_on_start: delivery.resume_on_start,
            only: delivery.only.clone(),
            part_of: None,
            overwrite: delivery.overwrite,
            is_named: fixed.is_some(),
            links: delivery.links,
            strict_names: delivery.strict_names,
        };
        match descriptor.kind() {
            Kind::File => {
                let path = spec.target.clone();
                if blocking(move || path.is_dir()).await? {
                    let path = spec.target;
                    return Err(TransferError::TargetInTheWay { path });
                }
                self.open_file(spec).await?;
            }
            Kind::Folder => {
                let (store, hash) = (self.services.store.clone(), descriptor.hash());
                let has_begun = blocking(move || store.has_begun(&hash)).await?;
                let may_expand = delivery.may_expand || has_begun;
                let store = self.services.store.clone();
                let scopes = (!has_begun).then(|| self.scopes.clone());
                let unfolding = Unfolding::new(store, descriptor, scopes, may_expand)?;
                self.folder = Some(Folder { unfolding, spec });
                self.unfold(None).await?;
            }
        }
        Ok(None)
    }

    pub(super) async fn open_file(&mut self, spec: PartialSpec) -> Result<(), TransferError> {
        let (store, progress) = (self.services.store.clone(), self.checking());
        let ending = Arc::clone(&self.ending);
        let open = move || {
            unless_stopped(&ending)?;
            let partial = Partial::create_or_resume(&store, spec, &progress)?;
            let copied = partial.copy_from_shares(&store, &progress);
            copied.map_err(TransferError::Write)?;
            Ok::<_, TransferError>(partial)
        };
        let partial = blocking(open).await??;
        self.fetch(Sink::File(partial), DownloadState::Downloading);
        self.notice_shortage().await
    }

    /// Warns if the disk has too little space for the bytes that are not written yet. The download
    /// runs all the same: runs of zeros take no space, and the user may free some.
    async fn notice_shortage(&self) -> Result<(), TransferError> {
        let Some(stage) = &self.stage else {
            return Ok(());
        };
        let needed = stage.wanted_bytes - stage.resumed_bytes;
        let Some(path) = self.report.status.borrow().path.clone() else {
            return Ok(());
        };
        let (space, target) = (self.services.store.disk_space().clone(), path.clone());
        let measure = move || space.shortage(target.parent()?, needed);
        let Some(shortage) = blocking(measure).await? else {
            return Ok(());
        };
        let notice = format!("{} may not fit: {shortage}", crate::store::shown(path));
        tracing::warn!("{notice}");
        self.report.notice(notice);
        Ok(())
    }

    /// Takes the manifests that were fetched, and begins the stage that they lead to. `None` if no
    /// manifests were fetched.
    pub(super) async fn take_manifests(&mut self) -> Result<Option<()>, TransferError> {
        let fetched = self.stage.as_ref().and_then(Stage::manifests).cloned();
        match fetched {
            Some(round) => self.unfold(Some(round)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Begins to fetch the next manifests; or the files, if all entries of the folder are known.
    async fn unfold(&mut self, fetched: Option<Arc<Round>>) -> Result<(), TransferError> {
        // The known entries are in memory once, and only while they are needed.
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
                // A source may have said meanwhile that it lists the content.
                let scopes = self.scopes.clone();
                self.open_folder(PartialSpec { scopes, ..spec }, listing)
                    .await?;
            }
        }
        Ok(())
    }

    async fn open_folder(
        &mut self,
        spec: PartialSpec,
        listing: Arc<Listing>,
    ) -> Result<(), TransferError> {
        self.notice_entries(&listing);
        let (store, progress) = (self.services.store.clone(), self.checking());
        let ending = Arc::clone(&self.ending);
        let open = move || {
            unless_stopped(&ending)?;
            let opened = PartialFolder::create_or_resume(&store, spec, listing, &progress);
            Ok::<_, TransferError>(opened?)
        };
        let partial = blocking(open).await??;
        let opened = Arc::clone(&partial);
        self.show_differences(blocking(move || opened.differences()).await?);
        self.fetch(Sink::Folder(partial), DownloadState::Downloading);
        self.notice_shortage().await
    }

    /// Shows how many files and folders there will be, if they are so many that inodes matter.
    fn notice_entries(&self, listing: &Listing) {
        if listing.len() as u64 <= UNQUESTIONED_ENTRIES {
            return;
        }
        let (files, folders) = (listing.totals().files, listing.folders());
        let notice =
            format!("it has {files} files and {folders} folders, each of which takes an inode");
        tracing::info!("{notice}");
        self.report.notice(notice);
    }

    /// Shows the differences between the folder on the disk and its manifests.
    fn show_differences(&self, differences: Differences) {
        if differences.is_empty() {
            return;
        }
        for difference in &differences.listed {
            tracing::info!("{difference}");
        }
        let differences = Some(Arc::new(differences));
        self.report
            .status
            .send_modify(|status| status.differences = differences);
    }

    /// Shows that the download verifies again what an earlier run left, and how far that is.
    fn checking(&self) -> impl Fn(u64) + Sync + Send + 'static {
        let status = self.report.status.clone();
        status.send_modify(|status| status.state = DownloadState::Checking);
        move |bytes| status.send_modify(|status| status.verified_bytes = Some(bytes))
    }

    pub(super) async fn fixed_target(
        &self,
        delivery: &Delivery,
    ) -> Result<Option<PathBuf>, TransferError> {
        let output = delivery.output.clone();
        blocking(move || output.fixed()).await
    }

    /// The finished download, if the content is at `path` already.
    pub(super) async fn existing_content(
        &self,
        delivery: &Delivery,
        path: PathBuf,
    ) -> Result<Option<Finished>, TransferError> {
        let (hash, overwrite) = (self.wanted.hash, delivery.overwrite);
        let (store, target) = (self.services.store.clone(), path.clone());
        let ending = Arc::clone(&self.ending);
        let examine = move || {
            let existing = examine_target(&target, &hash, overwrite, &|| ending.is_stopped())?;
            // An earlier run may have ended between the last two steps.
            if matches!(existing, ExistingTarget::Same { .. }) {
                store.forget_partial_at(&hash, &target)?;
            }
            Ok::<_, TransferError>(existing)
        };
        let existing = blocking(examine).await??;
        let ExistingTarget::Same { size } = existing else {
            return Ok(None);
        };
        Ok(Some(self.already_there(&path, size)))
    }

    pub(super) fn already_there(&self, path: &Path, size: u64) -> Finished {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Finished {
            hash: self.wanted.hash,
            name: name.unwrap_or_default(),
            path: path.to_owned(),
            size,
            elapsed: self.timing.started.elapsed(),
            sources: 0,
            resumed_bytes: size,
            copied_bytes: 0,
            fetched_bytes: 0,
            is_shared: false,
            differences: Differences::default(),
        }
    }
}

/// A download that was stopped before a thread began to open it opens nothing.
fn unless_stopped(ending: &Ending) -> Result<(), TransferError> {
    match ending.is_stopped() {
        true => Err(TransferError::Paused),
        false => Ok(()),
    }
}
