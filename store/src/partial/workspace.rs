//! What all downloads of one store share: their records, reservations and open files, the trees
//! that they keep at the end, and the free space of disks.

use std::{io, sync::Arc};

use super::{PartialSpec, open_parts::OpenParts, records::Records, reservations::Reservations};
use crate::{DiskSpace, OnDisk, trees::Trees};

/// What a download needs of the store while it runs. It knows no [`Store`](crate::Store):
/// verbs that need one take it as an argument.
pub(crate) struct Workspace {
    pub(super) records: Arc<Records>,
    pub(super) reservations: Arc<Reservations>,
    pub(super) open_parts: Arc<OpenParts>,
    pub(super) trees: Arc<Trees>,
    space: DiskSpace,
}

impl Workspace {
    pub(super) fn new(records: Records, trees: Arc<Trees>, space: DiskSpace) -> Self {
        let records = Arc::new(records);
        Self {
            open_parts: Arc::new(OpenParts::new(&records)),
            records,
            reservations: Arc::default(),
            trees,
            space,
        }
    }

    /// Allows the download of `spec` to write `len` more bytes to the disk of `at`. Blocks.
    ///
    /// # Errors
    ///
    /// [`StorageFull`](io::ErrorKind::StorageFull) if less than the reserve would stay free.
    pub(super) fn check_space<D: OnDisk + ?Sized>(
        &self,
        spec: &PartialSpec,
        at: &D,
        len: u64,
    ) -> io::Result<()> {
        self.space.check(spec.writer(), at, len)
    }
}
