//! Makes verified content durable while the download continues. A power cut then loses seconds of
//! it, and the sync at the end is short.

use std::{io, sync::atomic::Ordering};

use super::{Partial, PartialFolder, WriteError};

impl Partial {
    /// Makes the content and the record durable as far as they are written. Blocks, while other
    /// threads may write. Costs two syncs if anything was written since the last call, and four the
    /// first time.
    ///
    /// # Errors
    ///
    /// [`WriteError::Disk`] if the disk refuses. When the download resumes, it writes everything
    /// again that was not durable before.
    pub fn write_out(&self) -> Result<(), WriteError> {
        if !self.is_dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let records = &self.workspace.records;
        let at_part = |source| self.disk_error(self.files.path(), source);
        let at_record = |source| self.disk_error(self.record_path(), source);
        let opened = self.files.opened().map_err(at_part)?;
        self.sync_data(&opened).map_err(at_part)?;
        opened.record.sync().map_err(at_record)?;
        if !self.has_durable_names.load(Ordering::Acquire) {
            self.files.part_file.dir.sync().map_err(at_part)?;
            records.sync_names().map_err(at_record)?;
            self.has_durable_names.store(true, Ordering::Release);
        }
        Ok(())
    }
}

impl PartialFolder {
    /// Makes the content and the records of all files durable as far as they are written. Costs
    /// three syncs, however many files there are.
    ///
    /// # Errors
    ///
    /// See [`Partial::write_out`].
    pub fn write_out(&self) -> Result<(), WriteError> {
        if !self.is_dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let records = &self.workspace.records;
        let failed = |path, source: io::Error| WriteError::Disk {
            path,
            missing: self.missing_bytes(),
            source,
        };
        let synced = self.sync();
        synced.map_err(|source| failed(self.staging.dir().path().to_owned(), source))?;
        let synced = records.sync_all();
        synced.map_err(|source| failed(records.path_of(self.spec()), source))
    }
}
