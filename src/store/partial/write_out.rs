//! What was verified, made durable while the download goes on: a power cut then loses seconds of it, and the
//! sync at the end is short.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use super::{Partial, PartialFolder, WriteError, download::record_path, record::Partials};

impl Partial {
    /// Makes what was verified so far durable, data and record. Blocks, while others may write. Costs two
    /// syncs if anything was written since the last time, and two more the first time.
    ///
    /// # Errors
    ///
    /// [`WriteError::Disk`]: the disk refused. What was not durable before is written once more when the
    /// download is resumed.
    pub fn write_out(self: &Arc<Self>) -> Result<(), WriteError> {
        if !self.is_dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let partials = &self.reservation.store.inner.partials;
        let at_part = |source| self.disk_error(self.part_file.path(), source);
        let at_record = |source| self.disk_error(record_path(partials, self.spec()), source);
        let opened = self.opened().map_err(at_part)?;
        self.sync_data(&opened).map_err(at_part)?;
        opened.record.sync().map_err(at_record)?;
        if !self.has_durable_names.load(Ordering::Acquire) {
            self.part_file.dir.sync().map_err(at_part)?;
            partials.sync_names().map_err(at_record)?;
            self.has_durable_names.store(true, Ordering::Release);
        }
        Ok(())
    }
}

impl PartialFolder {
    /// The same of all files of the folder. Costs three syncs, however many files there are.
    ///
    /// # Errors
    ///
    /// As [`Partial::write_out`].
    pub fn write_out(&self) -> Result<(), WriteError> {
        if !self.take_dirty() {
            return Ok(());
        }
        let partials: &Partials = self.partials();
        let failed = |path, source: io::Error| WriteError::Disk {
            path,
            missing: self.missing_bytes(),
            source,
        };
        let synced = self.sync();
        synced.map_err(|source| failed(self.staged_path(), source))?;
        let synced = partials.sync_all();
        synced.map_err(|source| failed(record_path(partials, self.spec()), source))
    }
}
