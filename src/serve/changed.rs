//! Files that were found changed, and wait to be hashed again.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// Files that wait, at most; further ones are found again by the next request for them.
const MAX_WAITING: usize = 1024;

/// The files that wait, each once, however often it is asked for. A handle: clones share them.
#[derive(Clone, Debug, Default)]
pub struct Changed(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    paths: Mutex<VecDeque<PathBuf>>,
    noted: Notify,
}

impl Changed {
    /// The file at `path` is to be hashed again, unless it waits for that already.
    pub fn note(&self, path: PathBuf) {
        let mut paths = self.lock();
        if paths.len() < MAX_WAITING && !paths.contains(&path) {
            paths.push_back(path);
            self.0.noted.notify_one();
        }
    }

    /// Waits until there is a file to take. For one task at a time.
    pub async fn wait(&self) {
        while self.lock().is_empty() {
            self.0.noted.notified().await;
        }
    }

    /// The file that has waited longest. From now on it may be noted again.
    pub fn take(&self) -> Option<PathBuf> {
        self.lock().pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<PathBuf>> {
        self.0.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_file_that_is_asked_for_often_leaves_room_for_others() {
        let changed = Changed::default();
        assert!(changed.wait().now_or_never().is_none());
        for _ in 0..MAX_WAITING {
            changed.note("popular".into());
        }
        changed.note("other".into());
        assert!(changed.wait().now_or_never().is_some());
        assert_eq!(changed.take(), Some("popular".into()));
        changed.note("popular".into());
        assert_eq!(changed.take(), Some("other".into()));
        assert_eq!(changed.take(), Some("popular".into()), "changed again");
        assert_eq!(changed.take(), None);
    }

    #[test]
    fn no_more_wait_than_may() {
        let changed = Changed::default();
        (0..2 * MAX_WAITING).for_each(|n| changed.note(n.to_string().into()));
        assert_eq!(changed.lock().len(), MAX_WAITING);
    }
}
