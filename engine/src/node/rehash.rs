//! Hashes shared files again, one at a time, when their content may differ from what is recorded.
//!
//! Acts on the new hash: a file that is shared by itself is then shared under it. A file of a
//! shared folder with other content is not served until the folder is shared again.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use pelago_content::{Hash, Kind};
use tokio::{task::spawn_blocking, time::interval};

use super::{ShareError, blocking::Caller, core::NodeCore, scan::check_settled, shares};
use crate::{
    duties::Outcome,
    serve::{QueuedFile, RehashQueue, RehashReason},
    store::{self, Fingerprint, HashError, Hashed, Member, MemberState, NewShare, Store},
};

/// How often the node checks whether the disk of the file that is being hashed still responds.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The result of hashing a file again.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rehashed {
    /// Whether it was hashed. It is not if no share or member at its path depends on the hash.
    is_hashed: bool,
    /// The hash under which it was shared by itself, and its hash now.
    share: Option<(Hash, Hash)>,
    /// The shared folders that record it with other content.
    outdated: Vec<PathBuf>,
}

/// Hashes the files in the queue, for as long as the node runs.
pub(super) async fn rehash_all(core: Arc<NodeCore>) -> Outcome {
    let queue = core.rehash.clone();
    loop {
        let file = queue.next().await;
        if core.store.is_unresponsive(&file.path) {
            queue.retry(file);
            continue;
        }
        let (store, path, reason) = (core.store.clone(), file.path.clone(), file.reason);
        let (caller, _waiting) = Caller::new();
        let began = Instant::now();
        let hashing = spawn_blocking(move || rehash(&store, &path, reason, &|_| caller.check()));
        let hashed = tokio::select! {
            hashed = hashing => hashed,
            () = unresponsive(&core.store, &file.path) => {
                queue.retry(file);
                continue;
            }
        };
        let rehashed = match hashed {
            Ok(rehashed) => rehashed,
            Err(panic) => {
                // The file is tried again, as after any other failure.
                queue.retry(file);
                return Err(panic.into());
            }
        };
        queue.hashed(file.path.clone(), began.elapsed());
        match rehashed {
            Ok(rehashed) => {
                core.apply_rehashed(&file, rehashed).await;
                core.inspect_path(file.path).await;
            }
            Err(error) => {
                if let ShareError::Hash(HashError::Unreadable { path, .. }) = &error {
                    core.store.note_unreadable(path);
                }
                core.inspect_path(file.path.clone()).await;
                try_again(&queue, file, &error);
            }
        }
    }
}

/// Waits until the disk with `path` does not respond. Files on other disks do not wait for it.
async fn unresponsive(store: &Store, path: &Path) {
    let mut look = interval(LOOK_INTERVAL);
    while !store.is_unresponsive(path) {
        look.tick().await;
    }
}

fn try_again(queue: &RehashQueue, file: QueuedFile, error: &ShareError) {
    let (path, reason) = (file.path.clone(), file.reason);
    if queue.retry(file) {
        return;
    }
    let path = path.display();
    match reason {
        RehashReason::Doubted => {
            tracing::warn!(
                %path, %error, "the file is in doubt and cannot be hashed: each chunk is \
                 verified before it is sent"
            );
        }
        RehashReason::Changed | RehashReason::NoTree => {
            tracing::warn!(%path, %error, "the file is no longer served");
        }
    }
}

impl NodeCore {
    async fn apply_rehashed(&self, file: &QueuedFile, rehashed: Rehashed) {
        let path = file.path.display();
        for folder in &rehashed.outdated {
            let folder = folder.display();
            tracing::warn!(
                %path, %folder, "the file has changed since its folder was shared, and is not \
                 available: share the folder again"
            );
        }
        match rehashed.share {
            Some((before, after)) if before != after => {
                tracing::debug!(%path, %before, %after, "the hash of a file changed");
                tracing::info!(%path, "the changed file is shared under its new hash");
            }
            _ if !rehashed.is_hashed || !rehashed.outdated.is_empty() => {}
            _ => match file.reason {
                RehashReason::NoTree => {
                    tracing::info!(%path, "the file is served again: its stored tree was rebuilt");
                }
                RehashReason::Changed => {
                    tracing::info!(%path, "hashed the file again: its content is unchanged");
                }
                // It was served all the time, and there may be a million of them.
                RehashReason::Doubted => {
                    tracing::debug!(%path, "hashed the file again: its content is unchanged");
                }
            },
        }
    }
}

/// Hashes the file at `path`, and updates what is recorded of it. Blocks.
///
/// # Errors
/// The file cannot be hashed, for example because it is still growing.
fn rehash(
    store: &Store,
    path: &Path,
    reason: RehashReason,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Rehashed, ShareError> {
    let share = share_of(store, path)?;
    let is_unknown = |(_, member): &(PathBuf, Member)| !is_known_to_differ(member, path);
    let is_member = members_of(store, path)?.iter().any(is_unknown);
    // The tree of a file may be that of a folder which is being downloaded.
    if share.is_none() && !is_member && reason != RehashReason::NoTree {
        return Ok(Rehashed::default());
    }
    share.as_ref().map_or(Ok(()), check_settled)?;
    let hashed = shares::hash(store, path, progress)?;
    Ok(Rehashed {
        is_hashed: true,
        share: renew(store, path, hashed)?,
        outdated: confirm_members(store, path, hashed)?,
    })
}

/// The file that is shared by itself at `path`.
fn share_of(store: &Store, path: &Path) -> Result<Option<store::Share>, store::ShareError> {
    let known = store.share_at(path)?;
    Ok(known.filter(|known| known.descriptor.kind() == Kind::File))
}

fn members_of(store: &Store, path: &Path) -> Result<Vec<(PathBuf, Member)>, store::ShareError> {
    Ok(store.members_at(path)?)
}

/// Whether it is known that the file at `path` differs from the member recorded there: it was
/// hashed with its present fingerprint, or is not a file.
fn is_known_to_differ(member: &Member, path: &Path) -> bool {
    match (member.state, path.symlink_metadata()) {
        (MemberState::File(listed), Ok(metadata)) => {
            !metadata.is_file() || listed.is_of_other_content(&Fingerprint::new(&metadata))
        }
        _ => true,
    }
}

/// Updates the share of a file that is shared by itself. It may have been unshared meanwhile.
fn renew(
    store: &Store,
    path: &Path,
    hashed: Hashed,
) -> Result<Option<(Hash, Hash)>, store::ShareError> {
    let Some(known) = share_of(store, path)? else {
        return Ok(None);
    };
    let renewed = NewShare {
        descriptor: hashed.descriptor,
        name: known.name,
        path: known.path,
        scopes: known.scopes,
        origin: known.origin,
        fingerprint: hashed.fingerprint,
    };
    store.add_shares(&[renewed])?;
    Ok(Some((known.hash, hashed.descriptor.hash())))
}

/// Records in the folders that contain the file that it matches. Returns the folders where it does
/// not: they no longer serve it.
fn confirm_members(
    store: &Store,
    path: &Path,
    hashed: Hashed,
) -> Result<Vec<PathBuf>, store::ShareError> {
    let mut outdated = Vec::new();
    for (folder, member) in store.members_at(path)? {
        if !store.confirm_member(&folder, &member, &hashed)? {
            outdated.push(folder);
        }
    }
    Ok(outdated)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::store::{DataFolder, Fingerprint, NewFolder, Origin, ReadError, Scope};

    /// More than one run of blocks that is verified together: such a file has a stored tree.
    const SIZE: usize = 600_000;

    const ON: &dyn Fn(u64) -> ControlFlow<()> = &|_| ControlFlow::Continue(());

    struct Home {
        store: Store,
        folder: TempDir,
    }

    impl Home {
        /// A file that is shared by itself, and one in a shared folder.
        fn new() -> (Self, [(PathBuf, Hash); 2]) {
            let folder = tempfile::tempdir().unwrap();
            let data = DataFolder::lock(folder.path().join("data")).unwrap();
            let store = Store::open(&data).unwrap();
            let home = Self { store, folder };
            let (own, member) = (home.path("own"), home.path("tree/member"));
            fs::create_dir(home.path("tree")).unwrap();
            fs::write(&own, vec![1; SIZE]).unwrap();
            fs::write(&member, vec![2; SIZE]).unwrap();
            let hashed = home.store.hash_file(&own, ON).unwrap();
            let share = NewShare {
                descriptor: hashed.descriptor,
                name: "own".into(),
                path: own.clone(),
                scopes: Scope::Everyone.into(),
                origin: Origin::Explicit,
                fingerprint: hashed.fingerprint,
            };
            home.store.add_shares(&[share]).unwrap();
            home.share_folder();
            let hash = store::hash_file(&member, ON).unwrap().descriptor.hash();
            (home, [(own, hashed.descriptor.hash()), (member, hash)])
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn share_folder(&self) {
            let folder = NewFolder {
                path: self.path("tree"),
                name: "tree".into(),
                scopes: Scope::Everyone.into(),
                origin: Origin::Explicit,
            };
            self.store.share_folder(&folder, ON).unwrap();
        }

        fn tree(&self, hash: &Hash) -> PathBuf {
            self.path("data/trees").join(hash.to_string())
        }

        /// Records the member at `path` with its present fingerprint, in doubt, and its earlier
        /// content.
        fn doubt(&self, path: &Path) {
            let now = Fingerprint::new(&path.metadata().unwrap()).doubted();
            for (folder, member) in self.store.members_at(path).unwrap() {
                let recorded = Hashed {
                    descriptor: member.descriptor,
                    fingerprint: now,
                };
                self.store
                    .confirm_member(&folder, &member, &recorded)
                    .unwrap();
            }
        }

        fn rehash(&self, path: &Path, reason: RehashReason) -> Rehashed {
            rehash(&self.store, path, reason, ON).unwrap()
        }

        fn reads(&self, hash: &Hash) -> Result<(), ReadError> {
            self.store.read_chunk(hash, 4, 0, true).map(drop)
        }
    }

    #[test]
    fn a_lost_tree_is_rebuilt_though_the_file_has_not_changed() {
        let (home, files) = Home::new();
        for (path, hash) in &files {
            fs::remove_file(home.tree(hash)).unwrap();
            let error = home.reads(hash).unwrap_err();
            assert!(matches!(error, ReadError::Tree { .. }), "{error}");

            let rehashed = home.rehash(path, RehashReason::NoTree);

            assert!(rehashed.is_hashed && rehashed.outdated.is_empty());
            home.reads(hash).unwrap();
        }
    }

    #[test]
    fn a_tree_of_the_right_length_and_wrong_nodes_is_rebuilt() {
        let (home, files) = Home::new();
        for (path, hash) in &files {
            let length = fs::metadata(home.tree(hash)).unwrap().len();
            fs::write(home.tree(hash), vec![0; length as usize]).unwrap();
            let error = home.reads(hash).unwrap_err();
            assert!(matches!(error, ReadError::Tree { .. }), "{error}");
            home.rehash(path, RehashReason::NoTree);
            home.reads(hash).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_what_is_listed_stays_listed_with_its_new_fingerprint() {
        let (home, files) = Home::new();
        for (path, hash) in &files {
            // Another file of the same content in its place: the fingerprint shows a change.
            let copy = path.with_extension("copy");
            fs::copy(path, &copy).unwrap();
            fs::rename(copy, path).unwrap();
            assert!(home.reads(hash).is_err());
            home.doubt(path);
            let rehashed = home.rehash(path, RehashReason::Doubted);
            assert!(rehashed.is_hashed && rehashed.outdated.is_empty());
            assert!(rehashed.share.is_none_or(|(before, after)| before == after));
            home.reads(hash).unwrap();
        }
    }

    #[test]
    fn content_other_than_listed_is_shared_under_its_hash_and_not_served_in_its_folder() {
        let (home, files) = Home::new();
        let [(own, own_hash), (member, member_hash)] = &files;
        for path in [own, member] {
            fs::write(path, vec![3; SIZE]).unwrap();
        }
        // As if the change had left no trace: the recorded fingerprint matches.
        home.doubt(member);
        let now = store::hash_file(own, ON).unwrap().descriptor.hash();

        let rehashed = home.rehash(own, RehashReason::Doubted);
        assert_eq!(rehashed.share, Some((*own_hash, now)));
        assert!(home.store.shares_of(own_hash).unwrap().is_empty());
        home.reads(&now).unwrap();

        let rehashed = home.rehash(member, RehashReason::Doubted);
        assert_eq!(rehashed.share, None);
        assert_eq!(rehashed.outdated, [home.path("tree")]);
        let error = home.reads(member_hash).unwrap_err();
        assert!(matches!(error, ReadError::Changed { .. }), "{error}");
        // It is not hashed again until the folder is shared again, which corrects the record.
        assert_eq!(
            home.rehash(member, RehashReason::Doubted),
            Rehashed::default()
        );
        home.share_folder();
        home.reads(&now).unwrap();
    }

    #[test]
    fn what_is_withdrawn_is_not_hashed_and_what_changed_in_a_folder_is_hashed_once() {
        let (home, files) = Home::new();
        let [(own, own_hash), (member, _)] = &files;
        home.store
            .remove_shares(&[(*own_hash, own.clone())])
            .unwrap();
        assert_eq!(home.rehash(own, RehashReason::Changed), Rehashed::default());
        fs::write(member, "other").unwrap();
        let rehashed = home.rehash(member, RehashReason::Changed);
        assert_eq!(rehashed.outdated, [home.path("tree")]);
        assert_eq!(
            home.rehash(member, RehashReason::Changed),
            Rehashed::default()
        );
    }

    #[test]
    fn a_file_of_a_folder_with_another_time_is_served_again_once_it_is_hashed() {
        let (home, files) = Home::new();
        let (member, hash) = &files[1];
        let content = fs::read(member).unwrap();
        fs::write(member, "other").unwrap();
        assert_eq!(home.rehash(member, RehashReason::Changed).outdated.len(), 1);
        // The earlier content is restored from a backup.
        fs::write(member, &content).unwrap();
        assert!(home.reads(hash).is_err());
        let rehashed = home.rehash(member, RehashReason::Changed);
        assert!(rehashed.is_hashed && rehashed.outdated.is_empty());
        home.reads(hash).unwrap();
    }
}
