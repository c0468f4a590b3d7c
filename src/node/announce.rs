//! Announces what is shared and withdraws what is not any more, as far as access allows.

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

/// Pages of hashes on their way to the publisher, at most; whoever finds them waits.
pub(super) const HASHES_QUEUED: usize = 16;

/// Duties at which no lookup of a hash becomes another one: a task and a name each, some 10 MB in all.
const MAX_DUTIES: usize = 10_000;

/// Whether the network may be told of a share.
fn is_announced(share: &Share) -> bool {
    share
        .scopes
        .iter()
        .any(|scope| allows(scope, Action::Announce))
}

/// Provides everything that is shared: at the start, and again when the publisher has lost its plan.
pub(super) async fn announce_shares(core: Arc<NodeCore>) -> Outcome {
    core.inspect_shares().await;
    // The first peer that asks need not wait until it is made.
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
            // The node may be shutting down: then nobody needs the rest.
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
    /// Provides `hash`, of which a download has some, if everyone may know of that.
    pub(super) async fn provide_while_downloading(&self, hash: Hash) -> Outcome {
        let store = self.store.clone();
        let scopes = spawn_blocking(move || store.scopes(&hash)).await??;
        let may_announce = |scopes: Scopes| scopes.iter().any(|s| allows(s, Action::Announce));
        if scopes.is_some_and(may_announce) {
            self.publisher.provide(hash).await;
        }
        Ok(())
    }

    /// Provides `hash` if it is shared: later, if the database cannot be read now.
    pub(super) async fn provide_if_shared(&self, hash: Hash) {
        self.settle_announcement(hash, true).await;
    }

    /// Withdraws `hash` if it is not shared: later, if the database cannot be read now.
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
            tracing::warn!(%hash, %error, "whether this is shared is not known: it is looked up again");
            let name = format!("announce-shares {hash}");
            self.duties.run_single(&name, attempt);
        } else {
            tracing::error!(%hash, %error, "whether this is shared is not known until the next start");
        }
    }
}

/// Provides `hash` if it is offered, or withdraws it if it is not.
async fn announce_or_withdraw(
    store: Store,
    publisher: Publisher,
    hash: Hash,
    provides: bool,
) -> Outcome {
    let look = move || {
        let is_offered =
            |share: &Share| is_announced(share) && store.state_of(share).is_available();
        Ok::<_, DatabaseError>(store.shares_of(&hash)?.iter().any(is_offered))
    };
    match (spawn_blocking(look).await??, provides) {
        (true, true) => publisher.provide(hash).await,
        (false, false) => publisher.withdraw(hash).await,
        _ => {}
    }
    Ok(())
}
