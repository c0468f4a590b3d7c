//! Finds out whether what this node shares can be had, from time to time and when serving it fails.
//!
//! Owns what follows from a state that changes: what is not available is not announced, what is again is,
//! and the log says so. A look costs a call of the system a file and reads none; files that may hold
//! other content are left to the queue of files to hash. A file that is gone from a watched folder is the
//! watcher's business.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use pelago_content::{Hash, Kind};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    time::{Instant, sleep_until},
};

use super::{
    blocking::blocking,
    core::NodeCore,
    scan::{DuePath, ScanObserver, scan},
    settling::Settling,
    shares::each_page,
};
use crate::{
    duties::Outcome,
    serve::{RehashQueue, RehashReason},
    store::{
        DatabaseError, Exclusion, Look, Member, MemberState, Origin, Share, ShareState, Sight,
        Store, Unavailable,
    },
};

/// Paths of files that could not be served and were not looked at yet, at most.
pub(super) const DOUBTFUL_QUEUED: usize = 256;

/// Between two looks at everything, at least and at most.
const MIN_PAUSE: Duration = Duration::from_secs(2);
const MAX_PAUSE: Duration = Duration::from_secs(600);

/// Between two looks passes this many times what the last one took: half a percent of one core.
const PAUSE_FACTOR: u32 = 200;

/// Members of a folder that are read from the database at a time.
const PAGE: usize = 1000;

/// Files of a folder that a log line names, at most.
const NAMED: usize = 3;

/// Unavailable places that are told, at most: more than anybody reads.
const MAX_TOLD: usize = 1000;

/// What is not available of what this node shares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnavailableShares {
    /// How many places there are.
    pub count: u64,
    /// The first 1000 of them, by path.
    pub places: Vec<Unavailable>,
}

/// Looks at what is shared as long as the node runs: all of it now and then, and the `doubtful` paths
/// at once.
pub(super) async fn keep_states(
    core: Arc<NodeCore>,
    doubtful: Arc<AsyncMutex<mpsc::Receiver<PathBuf>>>,
) -> Outcome {
    let mut doubtful = doubtful.lock().await;
    let mut next = Instant::now() + MIN_PAUSE;
    loop {
        tokio::select! {
            path = doubtful.recv() => match path {
                Some(path) => core.inspect_path(path).await,
                None => return Ok(()),
            },
            () = sleep_until(next) => {
                let begun = Instant::now();
                core.inspect_shares().await;
                let pause = begun.elapsed() * PAUSE_FACTOR;
                next = Instant::now() + pause.clamp(MIN_PAUSE, MAX_PAUSE);
            }
        }
    }
}

impl NodeCore {
    /// Looks at everything that is shared.
    pub(super) async fn inspect_shares(&self) {
        let (store, rehash) = (self.store.clone(), self.rehash.clone());
        self.take(move || inspect_shares(&store, &rehash)).await;
    }

    /// Looks at what is shared at `path`, or below it in a shared folder.
    pub(super) async fn inspect_path(&self, path: PathBuf) {
        let (store, rehash) = (self.store.clone(), self.rehash.clone());
        self.take(move || inspect_path(&store, &rehash, &path))
            .await;
    }

    /// Announces what a look found to be available, and withdraws what is not any more.
    async fn take(&self, look: impl FnOnce() -> Result<Vec<Hash>, DatabaseError> + Send + 'static) {
        match blocking(look).await {
            Ok(Ok(changed)) => {
                for hash in changed {
                    self.provide_if_shared(hash).await;
                    self.withdraw_if_gone(hash).await;
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "what is shared cannot be looked at: tried again soon");
            }
            Err(_) => {}
        }
    }
}

/// The hashes of shares that are available and were not, or the other way around.
fn inspect_shares(store: &Store, rehash: &RehashQueue) -> Result<Vec<Hash>, DatabaseError> {
    let mut changed = inspect_folders(store)?;
    each_page(store, |page| {
        for share in page {
            let is_changed = inspect_share(store, rehash, &share)?;
            changed.extend(is_changed.then_some(share.hash));
        }
        Ok(())
    })?;
    Ok(changed)
}

/// The hashes of shares in watched folders, or on mounts below them, that are missing now, or back.
fn inspect_folders(store: &Store) -> Result<Vec<Hash>, DatabaseError> {
    let mut changed = Vec::new();
    for folder in store.folders_served() {
        let missing = store.missing_folders(&folder, &folder);
        let (gone, back) = store.set_missing(&folder, &folder, &missing);
        for path in gone.iter().chain(&back) {
            let folder = path.display();
            match back.contains(path) {
                true => tracing::info!(%folder, "back: its shares are offered again"),
                false => tracing::warn!(
                    %folder, "missing: its shares are offered again when it is back"
                ),
            }
            let mut after: Option<PathBuf> = None;
            loop {
                let page = store.shares_under(path, after.as_deref(), PAGE)?;
                let Some(last) = page.last() else { break };
                after = Some(last.path.clone());
                changed.extend(page.iter().map(|share| share.hash));
            }
        }
    }
    Ok(changed)
}

fn inspect_path(
    store: &Store,
    rehash: &RehashQueue,
    path: &Path,
) -> Result<Vec<Hash>, DatabaseError> {
    let mut changed = Vec::new();
    if let Some(share) = store.share_at(path)? {
        let is_changed = inspect_share(store, rehash, &share)?;
        changed.extend(is_changed.then_some(share.hash));
    }
    for (folder, member) in store.members_at(path)? {
        let MemberState::File(listed) = member.state else {
            continue;
        };
        let before = store.member_state(&folder, &member.path);
        let sight = store.look_at_file(path, &listed);
        note(rehash, path, &sight);
        store.set_member_state(&folder, &member.path, sight.state);
        if before != sight.state {
            let (path, state) = (path.display(), sight.state.as_str());
            tracing::info!(%path, state, folder = %folder.display(), "a file of a shared folder");
        }
    }
    Ok(changed)
}

/// Whether the share is available and was not, or the other way around.
fn inspect_share(
    store: &Store,
    rehash: &RehashQueue,
    share: &Share,
) -> Result<bool, DatabaseError> {
    let is_watched = matches!(share.origin, Origin::Folder(_));
    // Whoever watches the folder knows more of it.
    if is_watched && store.is_below_missing(&share.path) {
        return Ok(false);
    }
    let before = store.state_of(share);
    let mut sight = store.look_at_share(share);
    if share.descriptor.kind() == Kind::Folder && sight.state.is_available() {
        sight.state = inspect_members(store, rehash, &share.path)?;
    }
    // A file of a watched folder has to settle before it is hashed.
    if !is_watched || sight.rehash == Some(Look::InDoubt) {
        note(rehash, &share.path, &sight);
    }
    store.set_state(&share.path, sight.state);
    let after = store.state_of(share);
    let is_changed = before.is_available() != after.is_available();
    if is_changed {
        let (path, state) = (share.path.display(), after.as_str());
        let hash = share.hash;
        match after {
            ShareState::Available => tracing::info!(%path, %hash, "offered again"),
            _ => tracing::warn!(%path, %hash, state, "not offered any more until it is back"),
        }
    }
    Ok(is_changed)
}

/// Looks at all files of the folder shared at `folder`, and gives the state of the folder: it is missing
/// if all its files are.
fn inspect_members(
    store: &Store,
    rehash: &RehashQueue,
    folder: &Path,
) -> Result<ShareState, DatabaseError> {
    let mut states = BTreeMap::new();
    let (mut files, mut missing) = (0_u64, 0);
    let mut after: Option<String> = None;
    loop {
        let page = store.members_page(folder, after.as_deref(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.path.clone());
        for Member { path, state, .. } in page {
            let MemberState::File(listed) = state else {
                continue;
            };
            let at = folder.join(&path);
            let sight = store.look_at_file(&at, &listed);
            note(rehash, &at, &sight);
            files += 1;
            missing += u64::from(sight.state == ShareState::Missing);
            if !sight.state.is_available() {
                states.insert(path, sight.state);
            }
        }
    }
    if files > 0 && missing == files {
        store.set_member_states(folder, BTreeMap::new());
        return Ok(ShareState::Missing);
    }
    let named: Vec<_> = states.iter().take(NAMED).map(name).collect();
    let (count, named) = (states.len(), named.join(", "));
    if store.set_member_states(folder, states) {
        let folder = folder.display();
        match count {
            0 => tracing::info!(%folder, "all files of the shared folder are available again"),
            _ => tracing::warn!(
                %folder, count, "some files of the shared folder are not available, and the others are \
                 offered; share it again to share it as it is: {named}"
            ),
        }
    }
    Ok(ShareState::Available)
}

fn name((path, state): (&String, &ShareState)) -> String {
    format!("{path} ({})", state.as_str())
}

/// Has a file hashed again if that may tell more.
fn note(rehash: &RehashQueue, path: &Path, sight: &Sight) {
    match sight.rehash {
        Some(Look::InDoubt) => rehash.enqueue_doubted(path.to_owned()),
        Some(Look::Changed) => rehash.enqueue(path.to_owned(), RehashReason::Changed),
        Some(Look::Sure) | None => {}
    }
}

/// What is not available of what is shared, by the last look. Blocks.
///
/// # Errors
/// The database cannot be read.
pub fn unavailable(store: &Store) -> Result<UnavailableShares, DatabaseError> {
    let (mut count, mut places) = store.unavailable_files(MAX_TOLD);
    each_page(store, |page| {
        for share in page {
            let state = store.state_of(&share);
            if state.is_available() {
                continue;
            }
            count += 1;
            if places.len() < 2 * MAX_TOLD {
                places.push(Unavailable {
                    path: share.path,
                    state,
                    folder: None,
                });
            }
        }
        Ok(())
    })?;
    places.sort_unstable();
    places.truncate(MAX_TOLD);
    Ok(UnavailableShares { count, places })
}

/// Looks at everything that is shared, without a node. Blocks.
///
/// # Errors
/// The database cannot be read.
pub fn inspect_all(store: &Store) -> Result<(), DatabaseError> {
    inspect_shares(store, &RehashQueue::default()).map(drop)
}

/// Takes the hashes that a look at a watched folder finds, to be announced after it.
#[derive(Default)]
struct Collected(Mutex<Vec<Hash>>);

impl ScanObserver for Collected {
    fn shared(&self, hashes: Vec<Hash>) -> ControlFlow<()> {
        self.0.lock().extend(hashes);
        ControlFlow::Continue(())
    }

    fn gone(&self, hashes: Vec<Hash>) -> ControlFlow<()> {
        self.shared(hashes)
    }

    // The watcher tells which files wait.
    fn waiting(&self, _: &Settling) {}
}

impl NodeCore {
    /// Shares what watched folders hold at places that are not excluded any more.
    pub(super) async fn share_included(&self, places: Vec<Exclusion>) {
        if places.is_empty() {
            return;
        }
        let store = self.store.clone();
        let look_at = move || {
            let found = Collected::default();
            for Exclusion { path, folder } in places {
                let is_early = false;
                let due = [DuePath { path, is_early }];
                let looked = scan(&store, &folder, &due, &mut Settling::default(), &found);
                if let Err(error) = looked {
                    tracing::warn!(folder = %folder.display(), %error, "looked at again later");
                }
            }
            Ok(found.0.into_inner())
        };
        self.take(look_at).await;
    }
}
