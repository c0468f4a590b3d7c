//! The start of a file's download: its part file and record, and what an earlier run left in them.

use std::{io, sync::Arc};

use super::{
    Partial, PartialError, PartialSpec,
    earlier_run::EarlierRun,
    page::Recorded,
    part_opener::{self, LockedPart},
    reservations::Reservation,
    resume::Proving,
    workspace::Workspace,
};
use crate::{Store, dir::Dir};

impl Partial {
    /// Begins or resumes a download. Every block that an earlier run recorded is proven again
    /// first, on all cores. `progress` receives the bytes examined so far, from several threads. If
    /// the earlier run had another target, its part file is moved.
    ///
    /// # Errors
    ///
    /// See [`PartialError`].
    pub fn create_or_resume(
        store: &Store,
        spec: PartialSpec,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Arc<Self>, PartialError> {
        let partials = &store.inner.partials;
        let begin = Begin::new(&partials.workspace, spec)?;
        let opened = part_opener::open(&partials.workspace.records, &begin.spec, &begin.earlier)?;
        let partial = begin.open(opened, progress)?;
        if partial.spec().part_of.is_none() {
            partials.publish_file(&partial);
        }
        Ok(partial)
    }

    /// Begins or resumes the download of a file in a folder. Its part file is `inner` in `dir`. If
    /// there is none yet, `clear_path` makes sure that nothing else has that path.
    pub(super) fn create_in(
        workspace: &Arc<Workspace>,
        spec: PartialSpec,
        dir: Arc<Dir>,
        inner: String,
        clear_path: &dyn Fn() -> io::Result<()>,
    ) -> Result<Arc<Self>, PartialError> {
        let begin = Begin::new(workspace, spec)?;
        let (spec, earlier) = (&begin.spec, &begin.earlier);
        let opened =
            part_opener::open_in(&workspace.records, spec, earlier, dir, inner, clear_path)?;
        begin.open(opened, &|_| ())
    }
}

/// A download that is about to begin.
struct Begin<'w> {
    workspace: &'w Arc<Workspace>,
    spec: PartialSpec,
    reservation: Reservation,
    earlier: EarlierRun,
}

impl<'w> Begin<'w> {
    fn new(workspace: &'w Arc<Workspace>, spec: PartialSpec) -> Result<Self, PartialError> {
        check_target(&spec)?;
        Ok(Self {
            reservation: workspace.reservations.reserve(&spec)?,
            earlier: workspace.records.earlier_run_of(&spec)?,
            workspace,
            spec,
        })
    }

    fn open(
        self,
        locked: LockedPart,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Arc<Partial>, PartialError> {
        let records = &self.workspace.records;
        let sync_failed = records.has_failed_sync(&self.reservation.key, &self.earlier);
        let recorded = Recorded {
            part: Some(locked.0.recorded()),
            spec: self.spec,
            sync_failed,
        };
        let open_parts = &self.workspace.open_parts;
        let (files, opened) = open_parts.begin(locked, self.reservation, &recorded)?;
        let is_part = recorded.spec.part_of.is_some();
        let workspace = Arc::clone(self.workspace);
        let partial = Arc::new(Partial::new(recorded.spec, files, workspace));
        let proving = if sync_failed {
            Proving::WriteAgain
        } else {
            Proving::Only
        };
        partial.prove_recorded(&opened, proving, progress);
        drop(opened);
        if is_part {
            open_parts.add(&partial.files);
        }
        Ok(partial)
    }
}

/// Refuses a target that a record cannot hold.
pub(super) fn check_target(spec: &PartialSpec) -> Result<(), PartialError> {
    let recorded = Recorded {
        spec: spec.clone(),
        part: None,
        sync_failed: false,
    };
    if spec.target.is_absolute() && recorded.to_page().is_some() {
        Ok(())
    } else {
        let target = spec.target.clone();
        Err(PartialError::Target { target })
    }
}
