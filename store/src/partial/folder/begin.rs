//! The start of a folder's download.

use std::{
    collections::HashSet,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64},
    },
};

use parking_lot::{Mutex, RwLock};
use pelago_content::{BlockRanges, Listing, Sequence};

use super::{
    PartialFolder, Selection,
    files::Files,
    local_paths::LocalPaths,
    progress::{FileState, FolderProgress},
    staging::Staging,
};
use crate::{
    Store,
    partial::{
        PartialError, PartialSpec, begin::check_target, earlier_run::EarlierRun, page::Recorded,
    },
};

impl PartialFolder {
    /// Begins or resumes the download of the folder with this listing. Everything that is here
    /// already is hashed first, on all cores, and what another share has is copied. `progress`
    /// receives the bytes examined so far, from several threads.
    ///
    /// # Errors
    ///
    /// See [`PartialError`].
    pub fn create_or_resume(
        store: &Store,
        spec: PartialSpec,
        listing: Arc<Listing>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Arc<Self>, PartialError> {
        let folder = Self::open(store, spec, listing)?;
        let proven = folder.prove(store, progress);
        if let Err(error) = proven.and_then(|()| folder.check_chosen()) {
            folder.roll_back();
            return Err(error);
        }
        store.inner.partials.publish_folder(&folder);
        Ok(folder)
    }

    /// Opens the staging directory and the record.
    fn open(
        store: &Store,
        spec: PartialSpec,
        listing: Arc<Listing>,
    ) -> Result<Arc<Self>, PartialError> {
        check_target(&spec)?;
        let selection = Selection::new(&spec.only)?.among(&listing)?;
        let files = Files::new(&listing, &selection)?;
        let workspace = Arc::clone(&store.inner.partials.workspace);
        let reservation = workspace.reservations.reserve(&spec)?;
        let earlier = workspace.records.earlier_run_of(&spec)?;
        // A download that resumes has some of them already.
        if matches!(earlier, EarlierRun::None) {
            check_inodes(&spec, listing.len() as u64)?;
        }
        let staging = Staging::open(&spec, &earlier, &listing)?;
        let local = LocalPaths::new(&listing, staging.file_system(), spec.links);
        if let Err(error) = check_local(&local, &spec, &selection) {
            staging.roll_back();
            return Err(error);
        }
        let records = &workspace.records;
        let recorded = Recorded {
            part: Some(staging.recorded()),
            sync_failed: records.has_failed_sync(&reservation.key, &earlier),
            spec,
        };
        let opened = records.open(&recorded);
        opened.map_err(|source| records.failed(&recorded.spec, source))?;
        let state = FolderProgress {
            verified: BlockRanges::new(),
            arrived: BlockRanges::new(),
            files: vec![FileState::Missing; files.len()],
            repeated: HashSet::new(),
        };
        let sizes = listing.files().map(|file| file.descriptor.size());
        Ok(Arc::new(Self {
            sequence: Arc::new(Sequence::new(sizes)),
            spec: recorded.spec,
            listed: OnceLock::new(),
            listing,
            selection,
            files,
            local,
            staging,
            progress: Mutex::new(state),
            growing: Mutex::default(),
            partly_written: Mutex::default(),
            writing: RwLock::default(),
            is_dirty: AtomicBool::new(false),
            copied: AtomicU64::new(0),
            write_again: recorded.sync_failed,
            reservation,
            workspace,
        }))
    }

    /// Removes the staging directory and the record, if this run created them and the download is
    /// refused.
    fn roll_back(&self) {
        if self.staging.roll_back()
            && let Err(error) = self.workspace.records.remove(&self.reservation.key, false)
        {
            tracing::warn!(%error, "cannot remove the record of a download");
        }
    }
}

/// Refuses a folder with more entries than its disk has inodes. File systems that create inodes as
/// needed report that they have none in total.
#[cfg(unix)]
fn check_inodes(spec: &PartialSpec, needed: u64) -> Result<(), PartialError> {
    let parent = spec.target.ancestors().skip(1);
    let disk = parent.map(rustix::fs::statvfs).find_map(Result::ok);
    match disk {
        Some(disk) if disk.f_files > 0 && disk.f_favail < needed => Err(PartialError::Inodes {
            target: spec.target.clone(),
            needed,
            free: disk.f_favail,
        }),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
const fn check_inodes(_: &PartialSpec, _: u64) -> Result<(), PartialError> {
    Ok(())
}

/// Refuses a folder whose names must not change but would, or that has more differences than can be
/// kept.
fn check_local(
    local: &LocalPaths,
    spec: &PartialSpec,
    selection: &Selection,
) -> Result<(), PartialError> {
    let target = || spec.target.clone();
    if spec.strict_names {
        let differences = local.imposed(selection);
        if !differences.is_empty() {
            let target = target();
            return Err(PartialError::Names {
                target,
                differences,
            });
        }
    }
    if local
        .received()
        .is_some_and(|received| received.is_too_long())
    {
        return Err(PartialError::TooDifferent { target: target() });
    }
    Ok(())
}
