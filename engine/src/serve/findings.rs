//! Acts on what serving finds out about shared files: queues them to be hashed again, has their
//! state checked, and logs what is not served any more.
//!
//! Answers report a [`Finding`] and do nothing else about it. A finding that is lost is found again
//! with the next request.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use pelago_content::Hash;
use tokio::sync::mpsc;

use super::rehash_queue::{RehashQueue, RehashReason};
use crate::{
    limits::Throttle,
    store::{Member, MemberState, ReadError, Store},
};

/// The pause between two log lines on the same content, and between two looks at its files in doubt:
/// requests that peers repeat neither fill the log nor keep the disk busy.
const PAUSE: Duration = Duration::from_secs(600);

/// What reading content for an answer showed.
#[derive(Debug)]
pub(super) enum Finding {
    /// The content was served, each chunk proven first, but a file may no longer hold it.
    InDoubt(Hash),
    /// The content is shared, and no file with it is available.
    NotOffered(Hash),
    /// The content could not be served.
    Unserved(Hash, ReadError),
}

/// What happens once in [`PAUSE`] for each content.
struct Throttles {
    /// Log lines.
    logged: Throttle<Hash>,
    /// Looks at files in doubt.
    rechecked: Throttle<Hash>,
}

impl Default for Throttles {
    fn default() -> Self {
        Self {
            logged: Throttle::bounded(1, PAUSE),
            rechecked: Throttle::bounded(1, PAUSE),
        }
    }
}

/// Acts on findings. A handle: clones share the throttles.
#[derive(Clone)]
pub(super) struct Findings {
    store: Store,
    rehash: RehashQueue,
    /// Takes paths of shared files that could not be served.
    doubtful: mpsc::Sender<PathBuf>,
    throttles: Arc<Mutex<Throttles>>,
}

impl Findings {
    pub(super) fn new(store: Store, rehash: RehashQueue, doubtful: mpsc::Sender<PathBuf>) -> Self {
        Self {
            store,
            rehash,
            doubtful,
            throttles: Arc::default(),
        }
    }

    /// Acts on a finding. Blocks.
    pub(super) fn handle(&self, finding: Finding) {
        match finding {
            Finding::InDoubt(hash) => {
                let is_due = self.throttles.lock().rechecked.allows(hash, Instant::now());
                if is_due {
                    self.rehash_doubted(&hash);
                }
            }
            Finding::NotOffered(hash) => self.check_places(&hash),
            Finding::Unserved(hash, error) => self.handle_error(&hash, error),
        }
    }

    fn handle_error(&self, hash: &Hash, error: ReadError) {
        let may_log = self.throttles.lock().logged.allows(*hash, Instant::now());
        match error {
            ReadError::Changed { path } => {
                if may_log {
                    let path = path.display();
                    tracing::info!(%path, "not served any more: the file changed");
                }
                self.rehash_changed(&path);
                self.check_state(path);
            }
            ReadError::Unreadable { path, source } => {
                if may_log {
                    let path = path.display();
                    tracing::warn!(%path, error = %source, "a shared file cannot be read");
                }
                self.store.note_unreadable(&path);
                self.check_state(path);
            }
            ReadError::Tree { ref path, .. } => {
                self.rehash.enqueue_for_error(&error);
                if may_log {
                    let path = path.display();
                    tracing::debug!(%hash, %error, "a stored tree is unusable");
                    tracing::warn!(%path, "not served until its stored tree is rebuilt");
                }
            }
            error if may_log => {
                tracing::warn!(%error, "a shared file cannot be read");
            }
            _ => {}
        }
    }

    /// Queues the files that may no longer hold this content.
    fn rehash_doubted(&self, hash: &Hash) {
        match self.store.in_doubt(hash) {
            Ok(paths) => {
                for path in paths {
                    self.rehash.enqueue_doubted(path);
                }
            }
            Err(error) => tracing::error!(%error, "cannot look up a file in doubt"),
        }
    }

    /// Queues a changed file, unless it is known to hold other content, as it is now.
    fn rehash_changed(&self, path: &Path) {
        let share = self.store.share_at(path);
        let members = self.store.members_at(path);
        let (share, members) = match (share, members) {
            (Ok(share), Ok(members)) => (share, members),
            (Err(error), _) | (_, Err(error)) => {
                return tracing::error!(%error, "cannot look up a changed file");
            }
        };
        let is_due = |(_, member): &(PathBuf, Member)| match member.state {
            // A change that left no mark would be served where chunks are not proven.
            MemberState::File(listed) => {
                let sight = self.store.inspect_file(path, &listed);
                sight.rehash.is_some() || sight.state.is_available()
            }
            MemberState::Folder(_) => false,
        };
        if share.is_some() || members.iter().any(is_due) {
            self.rehash.enqueue(path.to_owned(), RehashReason::Changed);
        }
    }

    /// Has the states of the places checked that count as available.
    fn check_places(&self, hash: &Hash) {
        match self.store.places_counted_available(hash) {
            Ok(paths) => paths.into_iter().for_each(|path| self.check_state(path)),
            Err(error) => tracing::error!(%error, "cannot look up where content is shared"),
        }
    }

    /// Has the state of a share checked. While too many wait, the path is dropped.
    fn check_state(&self, path: PathBuf) {
        let _ = self.doubtful.try_send(path);
    }
}
