//! The two files of a download, open: its part file and its record.
//!
//! Owns how many files of folders are open at a time. A standalone download keeps its files open,
//! and with them the lock of its part file. A file of a folder, whose staging directory is locked,
//! may be closed while it is idle. When it is opened again, its fingerprint shows whether others
//! changed it meanwhile.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

use super::{
    PartialError,
    page::Recorded,
    part_file::PartFile,
    record::Record,
    records::Records,
    reservations::Reservation,
    tampering::{Guard, Watches},
};
use crate::{Comparison, Fingerprint};

/// Files of folders that are open at a time. Each takes two handles, and many systems allow a
/// process 1,024.
const MAX_OPEN: usize = 128;

/// Both files of a download, open.
pub(super) struct OpenPart {
    pub(super) part: File,
    pub(super) record: Record,
    pub(super) guard: Guard,
}

/// The files of one download, opened when they are used.
pub(super) struct DownloadFiles {
    pub(super) part_file: PartFile,
    size: u64,
    state: Mutex<PartState>,
    /// Whether another program may have written to the part file before it was opened the last
    /// time.
    was_suspect: AtomicBool,
    open_parts: Arc<OpenParts>,
    /// The last field: the files are closed before another run can begin.
    pub(super) reservation: Reservation,
}

enum PartState {
    Open(Arc<OpenPart>),
    /// The fingerprint of the part file when it was closed.
    Closed(Fingerprint),
}

/// The open files of all folders, and the means to open them.
pub(super) struct OpenParts {
    /// The file opened last is at the end.
    open: Mutex<VecDeque<Weak<DownloadFiles>>>,
    records: Arc<Records>,
    watches: Arc<Watches>,
}

impl OpenParts {
    pub(super) fn new(records: &Arc<Records>) -> Self {
        Self {
            open: Mutex::default(),
            records: Arc::clone(records),
            watches: Arc::default(),
        }
    }

    /// Opens the record of a download whose part file is open, and watches that file.
    ///
    /// # Errors
    ///
    /// [`PartialError::Io`].
    pub(super) fn begin(
        self: &Arc<Self>,
        (part_file, part): (PartFile, File),
        reservation: Reservation,
        recorded: &Recorded,
    ) -> Result<(Arc<DownloadFiles>, Arc<OpenPart>), PartialError> {
        let size = recorded.spec.descriptor.size();
        let record = self.records.open(recorded);
        let record = record.map_err(|source| self.records.failed(&recorded.spec, source))?;
        let guard = Guard::new(&self.watches, &part, size);
        let guard = guard.map_err(|source| PartialError::Io {
            path: part_file.path(),
            source,
        })?;
        let opened = Arc::new(OpenPart {
            part,
            record,
            guard,
        });
        let files = DownloadFiles {
            part_file,
            size,
            state: Mutex::new(PartState::Open(Arc::clone(&opened))),
            was_suspect: AtomicBool::new(false),
            open_parts: Arc::clone(self),
            reservation,
        };
        Ok((Arc::new(files), opened))
    }

    /// Lets the files of a download be closed when too many are open, and closes idle ones that
    /// were opened earlier.
    pub(super) fn add(&self, files: &Arc<DownloadFiles>) {
        let mut open = self.open.lock();
        open.push_back(Arc::downgrade(files));
        for _ in MAX_OPEN..open.len() {
            let first = open.pop_front();
            let Some(files) = first.as_ref().and_then(Weak::upgrade) else {
                continue;
            };
            if !files.close() {
                open.extend(first);
            }
        }
    }
}

impl DownloadFiles {
    /// The path of the part file.
    pub(super) fn path(&self) -> PathBuf {
        self.part_file.path()
    }

    /// Both files. Opens them again if they were closed.
    pub(super) fn opened(self: &Arc<Self>) -> io::Result<Arc<OpenPart>> {
        let mut state = self.state.lock();
        let before = match &*state {
            PartState::Open(opened) => return Ok(Arc::clone(opened)),
            PartState::Closed(before) => *before,
        };
        let key = &self.reservation.key;
        let part = self.part_file.reopen(&key.hash)?;
        // It may hold other bytes without a trace: then everything is proven before the end.
        match before.compare_metadata(&part.metadata()?) {
            Comparison::Unchanged if !before.is_coarse() => {}
            _ => self.was_suspect.store(true, Ordering::Release),
        }
        let record = self.open_parts.records.reopen(key)?;
        let guard = Guard::new(&self.open_parts.watches, &part, self.size)?;
        let opened = Arc::new(OpenPart {
            part,
            record,
            guard,
        });
        *state = PartState::Open(Arc::clone(&opened));
        drop(state);
        self.open_parts.add(self);
        Ok(opened)
    }

    /// Whether another program may have written to the part file.
    pub(super) fn is_suspect(&self, opened: &OpenPart) -> bool {
        self.was_suspect.load(Ordering::Acquire) || opened.guard.is_suspect(&opened.part)
    }

    /// Forgets what other programs did so far: the caller is about to prove everything again.
    pub(super) fn clear_suspicion(&self, opened: &OpenPart) {
        self.was_suspect.store(false, Ordering::Release);
        opened.guard.clear();
    }

    /// Closes both files, unless they are in use. Returns whether they are closed.
    fn close(&self) -> bool {
        // A thread that holds this lock is about to use them.
        let Some(mut state) = self.state.try_lock() else {
            return false;
        };
        let PartState::Open(opened) = &*state else {
            return true;
        };
        let is_idle = Arc::strong_count(opened) == 1;
        let now = opened.part.metadata().ok().filter(|_| is_idle);
        let Some(now) = now.map(|now| Fingerprint::new(&now)) else {
            return false;
        };
        if opened.guard.is_suspect(&opened.part) {
            self.was_suspect.store(true, Ordering::Release);
        }
        *state = PartState::Closed(now);
        true
    }
}
