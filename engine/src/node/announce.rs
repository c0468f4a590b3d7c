//! Announces what this node shares and withdraws what it no longer shares, as access allows.
//!
//! Follows the feed of changes of the store, so that nothing that changes shares has to remember to
//! announce them, or to offer them to downloads that wait for them. It asks the store what holds now: a change may be applied late, or together with
//! others. An error fails this duty; then the supervisor restarts it, and it compares everything.

use std::{collections::HashSet, sync::Arc};

use pelago_content::{Hash, Kind};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{core::NodeCore, shares::each_page};
use crate::{
    access::{Action, permits},
    duties::Outcome,
    store::{DatabaseError, Scopes, Share, ShareChanges, Store},
};

/// The most pages of hashes on their way to the publisher. Reading waits when there are more.
const PAGES_QUEUED: usize = 16;

fn may_announce(scopes: &Scopes) -> bool {
    permits(scopes, Action::Announce)
}

fn is_offered(store: &Store, share: &Share) -> bool {
    may_announce(&share.scopes) && store.state_of(share).is_available()
}

/// Whether a running download with this hash has verified blocks, and may be announced.
fn is_offered_download(store: &Store, hash: &Hash) -> bool {
    let scopes = store.running_download(hash);
    scopes.is_some_and(|scopes| may_announce(&scopes))
}

/// Inspects all shares, so that only available ones are announced, and announces them.
pub(super) async fn announce_everything(core: Arc<NodeCore>) -> Outcome {
    core.inspect_shares().await;
    // Otherwise the first peer that asks has to wait for the index.
    let store = core.store.clone();
    spawn_blocking(move || store.index_provider_keys()).await??;
    core.store.share_feed().note_everything();
    Ok(())
}

/// Applies the changes of shares as they come.
pub(super) async fn follow_shares(core: Arc<NodeCore>) -> Outcome {
    let feed = core.store.share_feed();
    loop {
        tokio::select! {
            taken = feed.next() => {
                match taken.changes() {
                    ShareChanges::Of(hashes) => core.announce_changed(hashes.clone()).await?,
                    ShareChanges::Everything => core.compare_everything().await?,
                }
                core.offer_to_downloads(taken.changes().clone()).await?;
                taken.applied();
            }
            // The publisher has lost its plan.
            () = core.publisher.restarted() => feed.note_everything(),
        }
    }
}

impl NodeCore {
    async fn announce_changed(&self, hashes: Vec<Hash>) -> Outcome {
        let (store, seeded) = (self.store.clone(), self.transfers.seeded());
        let lookup = move || {
            let lookup = |hash| Ok((hash, is_announced(&store, &seeded, &hash)?));
            hashes.into_iter().map(lookup).collect()
        };
        let found: Result<Vec<_>, DatabaseError> = spawn_blocking(lookup).await?;
        for (hash, is_announced) in found? {
            match is_announced {
                true => self.publisher.provide(hash).await,
                false => self.publisher.withdraw(hash).await,
            }
        }
        Ok(())
    }

    /// Downloads without a source take what this node shares now. A folder may have what they want
    /// in it.
    async fn offer_to_downloads(&self, changes: ShareChanges) -> Outcome {
        let mut wanted = self.transfers.without_source();
        if wanted.is_empty() {
            return Ok(());
        }
        let store = self.store.clone();
        let find = move || {
            if let ShareChanges::Of(hashes) = changes
                && !has_folder(&store, &hashes)?
            {
                wanted.retain(|hash| hashes.contains(hash));
            }
            let mut shared = Vec::new();
            for hash in wanted {
                shared.extend((!store.whole(&hash)?.is_empty()).then_some(hash));
            }
            Ok::<_, DatabaseError>(shared)
        };
        for hash in spawn_blocking(find).await?? {
            self.transfers.offer_own(&hash);
        }
        Ok(())
    }

    async fn compare_everything(&self) -> Outcome {
        self.publisher.begin_comparison().await;
        let (found, mut pages) = mpsc::channel::<Vec<Hash>>(PAGES_QUEUED);
        let (store, mut seeded) = (self.store.clone(), self.transfers.seeded());
        let reading = spawn_blocking(move || {
            seeded.retain(|hash| is_offered_download(&store, hash));
            // Sending fails when the node shuts down: then the hashes are not needed.
            let _ = found.blocking_send(seeded.into_iter().collect());
            each_page(&store.clone(), |shares| {
                let announced = shares.iter().filter(|share| is_offered(&store, share));
                let _ = found.blocking_send(announced.map(|share| share.hash).collect());
                Ok(())
            })
        });
        while let Some(hashes) = pages.recv().await {
            for hash in hashes {
                self.publisher.provide(hash).await;
            }
        }
        reading.await??;
        for key in self.groups.announcements() {
            self.publisher.provide(key).await;
        }
        self.publisher.end_comparison().await;
        Ok(())
    }
}

/// Whether an available share or a `seeded` download has this hash, and access allows announcing it.
fn is_announced(store: &Store, seeded: &HashSet<Hash>, hash: &Hash) -> Result<bool, DatabaseError> {
    let shares = store.shares_of(hash)?;
    let is_shared = shares.iter().any(|share| is_offered(store, share));
    Ok(is_shared || seeded.contains(hash) && is_offered_download(store, hash))
}

/// Whether one of the hashes is that of a shared folder.
fn has_folder(store: &Store, hashes: &[Hash]) -> Result<bool, DatabaseError> {
    for hash in hashes {
        let shares = store.shares_of(hash)?;
        if shares
            .iter()
            .any(|share| share.descriptor.kind() == Kind::Folder)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::{fs, ops::ControlFlow};

    use super::*;
    use crate::{
        node::share_states::inspect_all,
        store::{NewShare, Origin, Scope},
    };

    /// The hashes that changed since the last call.
    async fn changed(store: &Store) -> ShareChanges {
        let feed = store.share_feed();
        let taken = feed.next().await;
        let changes = taken.changes().clone();
        taken.applied();
        changes
    }

    #[tokio::test]
    async fn what_is_missing_is_withdrawn_and_announced_again_once_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let [path, away] = ["file", "away"].map(|name| folder.path().join(name));
        fs::write(&path, "content").unwrap();
        let store = Store::in_memory();
        let progress = |_| ControlFlow::Continue(());
        let hashed = store.hash_file(&path, &progress).unwrap();
        let hash = hashed.descriptor.hash();
        let share = NewShare {
            descriptor: hashed.descriptor,
            name: "file".to_owned(),
            origin: Origin::Explicit,
            path: path.clone(),
            scopes: Scope::Everyone.into(),
            fingerprint: hashed.fingerprint,
        };
        store.add_shares(&[share]).unwrap();
        let is_announced = || is_announced(&store, &HashSet::new(), &hash).unwrap();
        inspect_all(&store).unwrap();
        changed(&store).await;
        assert!(is_announced());

        for (from, to) in [(&path, &away), (&away, &path)] {
            fs::rename(from, to).unwrap();
            inspect_all(&store).unwrap();
            assert_eq!(changed(&store).await, ShareChanges::Of(vec![hash]));
            assert_eq!(is_announced(), to == &path);
        }
    }
}
