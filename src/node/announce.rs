//! Announces shares to the network and withdraws content that is no longer shared, as access
//! allows.

use std::sync::Arc;

use pelago_content::Hash;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{core::NodeCore, shares::each_page};
use crate::{
    access::{Action, allows},
    duties::Outcome,
    publish::Publisher,
    store::{DatabaseError, Scopes, Share, Store},
};

/// The most pages of hashes on their way to the publisher. Scans wait when there are more.
pub(super) const HASHES_QUEUED: usize = 16;

/// With this many duties, a failed lookup of a hash does not become another one. Each is a task and
/// a name: about 10 MB in all.
const MAX_DUTIES: usize = 10_000;

/// Whether a share may be announced.
fn is_announced(share: &Share) -> bool {
    share
        .scopes
        .iter()
        .any(|scope| allows(scope, Action::Announce))
}

/// Provides everything that is shared: at the start, and again after the publisher has lost its
/// plan.
pub(super) async fn announce_shares(core: Arc<NodeCore>) -> Outcome {
    core.inspect_shares().await;
    // Otherwise the first peer that asks has to wait for the index.
    let store = core.store.clone();
    spawn_blocking(move || store.index_provider_keys()).await??;
    loop {
        provide_recorded(&core).await?;
        core.publisher.restarted().await;
    }
}

async fn provide_recorded(core: &Arc<NodeCore>) -> Outcome {
    let (found, mut hashes) = mpsc::channel::<Vec<Hash>>(HASHES_QUEUED);
    let store = core.store.clone();
    let reading = spawn_blocking(move || {
        each_page(&store.clone(), |shares| {
            let announced = shares
                .iter()
                .filter(|share| is_announced(share) && store.state_of(share).is_available());
            // Sending fails when the node shuts down: then the hashes are not needed.
            let _ = found.blocking_send(announced.map(|share| share.hash).collect());
            Ok(())
        })
    });
    while let Some(hashes) = hashes.recv().await {
        for hash in hashes {
            core.publisher.provide(hash).await;
        }
    }
    Ok(reading.await??)
}

impl NodeCore {
    /// Provides `hash`, of which a download has some blocks, if access allows that.
    pub(super) async fn provide_while_downloading(&self, hash: Hash) -> Outcome {
        let store = self.store.clone();
        let scopes = spawn_blocking(move || store.scopes(&hash)).await??;
        let may_announce = |scopes: Scopes| scopes.iter().any(|s| allows(s, Action::Announce));
        if scopes.is_some_and(may_announce) {
            self.publisher.provide(hash).await;
        }
        Ok(())
    }

    /// Provides `hash` if it is shared. Tries again later if the database cannot be read.
    pub(super) async fn provide_if_shared(&self, hash: Hash) {
        self.settle_announcement(hash, true).await;
    }

    /// Withdraws `hash` if it is not shared. Tries again later if the database cannot be read.
    pub(super) async fn withdraw_if_gone(&self, hash: Hash) {
        self.settle_announcement(hash, false).await;
    }

    async fn settle_announcement(&self, hash: Hash, provides: bool) {
        let (store, publisher) = (self.store.clone(), self.publisher.clone());
        let attempt =
            move || announce_or_withdraw(store.clone(), publisher.clone(), hash, provides);
        let Err(error) = attempt().await else {
            return;
        };
        if self.duties.count() < MAX_DUTIES {
            tracing::warn!(%hash, %error, "cannot look up whether this is shared: trying again");
            let name = format!("announce-shares {hash}");
            self.duties.run_single(&name, attempt);
        } else {
            tracing::error!(
                %hash, %error, "cannot look up whether this is shared: trying again at the next \
                 start"
            );
        }
    }
}

/// Provides `hash` if it `provides` and the hash is offered; withdraws it if neither is so.
async fn announce_or_withdraw(
    store: Store,
    publisher: Publisher,
    hash: Hash,
    provides: bool,
) -> Outcome {
    let is_shared = move || {
        let is_offered =
            |share: &Share| is_announced(share) && store.state_of(share).is_available();
        Ok::<_, DatabaseError>(store.shares_of(&hash)?.iter().any(is_offered))
    };
    match (spawn_blocking(is_shared).await??, provides) {
        (true, true) => publisher.provide(hash).await,
        (false, false) => publisher.withdraw(hash).await,
        _ => {}
    }
    Ok(())
}
