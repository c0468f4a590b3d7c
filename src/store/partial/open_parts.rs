//! The two files of a download, open: its data and its record.
//!
//! Owns how many parts of folders have theirs open at a time. A download by itself has them open to
//! its end, and so the lock of its `.part`; a part of a folder, whose tree is locked, may be closed while
//! nobody writes to it. What others did to its files meanwhile is found when it is opened again.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    sync::{Arc, Weak, atomic::Ordering},
};

use parking_lot::Mutex;

use super::{Partial, record::Record, tampering::Guard};
use crate::store::{Fingerprint, Look};

/// Parts of folders that are open at a time: each takes two handles, and processes may often have no
/// more than 1,024.
const MAX_OPEN: usize = 128;

/// Both files.
pub(super) struct OpenPart {
    pub(super) part: File,
    pub(super) record: Record,
    pub(super) guard: Guard,
}

/// The files of one download.
pub(super) enum PartState {
    Open(Arc<OpenPart>),
    /// As its data was when it was closed.
    Closed(Fingerprint),
}

/// Those of all parts of folders that are open, the one opened last at the end.
#[derive(Default)]
pub(super) struct OpenParts(Mutex<VecDeque<Weak<Partial>>>);

impl OpenParts {
    /// Another one is open: closes those opened first that nobody uses, until there is room.
    pub(super) fn add(&self, partial: &Arc<Partial>) {
        let mut open = self.0.lock();
        open.push_back(Arc::downgrade(partial));
        for _ in MAX_OPEN..open.len() {
            let first = open.pop_front();
            let Some(partial) = first.as_ref().and_then(Weak::upgrade) else {
                continue;
            };
            if !partial.close() {
                open.extend(first);
            }
        }
    }
}

impl Partial {
    /// Both files, opened again if they were closed.
    pub(super) fn opened(self: &Arc<Self>) -> io::Result<Arc<OpenPart>> {
        let mut handles = self.handles.lock();
        let before = match &*handles {
            PartState::Open(opened) => return Ok(Arc::clone(opened)),
            PartState::Closed(before) => *before,
        };
        let spec = self.spec();
        let partials = &self.reservation.store.inner.partials;
        let part = self.part_file.reopen(&self.reservation.key.hash)?;
        // Other bytes may be there without a trace: then all is proven before the end.
        match before.look(&part.metadata()?) {
            Look::Sure if !before.is_coarse() => {}
            _ => self.was_suspect.store(true, Ordering::Release),
        }
        let record = partials.open_again(spec)?;
        let guard = Guard::new(partials.watches(), &part, spec.descriptor.size())?;
        let opened = Arc::new(OpenPart {
            part,
            record,
            guard,
        });
        *handles = PartState::Open(Arc::clone(&opened));
        drop(handles);
        partials.open_parts().add(self);
        Ok(opened)
    }

    /// Closes both files, unless somebody uses them.
    fn close(&self) -> bool {
        // Whoever opens it now, uses it.
        let Some(mut handles) = self.handles.try_lock() else {
            return false;
        };
        let PartState::Open(opened) = &*handles else {
            return true;
        };
        let idle = Arc::strong_count(opened) == 1;
        let now = opened.part.metadata().ok().filter(|_| idle);
        let Some(now) = now.map(|now| Fingerprint::new(&now)) else {
            return false;
        };
        if opened.guard.is_suspect(&opened.part) {
            self.was_suspect.store(true, Ordering::Release);
        }
        *handles = PartState::Closed(now);
        true
    }
}
