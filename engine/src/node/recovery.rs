//! Recovers shares that were lost with a damaged database, when a node starts.
//!
//! A file is hashed, as it is after a change. A folder is walked, and shared only if its hash is
//! still the same. Shares that are not recovered stay on the list. An error fails this duty, and
//! the supervisor restarts it.

use std::{ops::ControlFlow, sync::Arc};

use pelago_content::{Hash, Kind};
use tokio::task::spawn_blocking;

use super::{ShareError, core::NodeCore, shares::hash_unless_known};
use crate::{
    duties::Outcome,
    store::{LostShare, NewFolder, NewShare, RecoveryError, Share, Store, named},
};

/// Recovers lost shares. The log of shares is up to date when this ends.
pub(super) async fn find_lost(core: Arc<NodeCore>) -> Outcome {
    let store = core.store.clone();
    Ok(spawn_blocking(move || find(&store)).await??)
}

fn find(store: &Store) -> Result<(), RecoveryError> {
    let mut still_lost = Vec::new();
    for LostShare { path, share } in store.lost_shares()? {
        let again = share.map(|share| recover(store, share));
        match again {
            Some(Ok(hash)) => {
                tracing::info!(path = %path.display(), %hash, "recovered a lost share");
            }
            Some(Err(error)) => {
                tracing::warn!(path = %path.display(), %error, "cannot recover a lost share");
                still_lost.push(path);
            }
            None => still_lost.push(path),
        }
    }
    if !still_lost.is_empty() {
        let names: Vec<_> = still_lost
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let (count, names) = (names.len(), named(names.iter()));
        tracing::warn!(
            "{count} shares were lost with the damaged database. Share them again, or see `pelago \
             doctor`: {names}"
        );
    }
    store.keep_lost(&still_lost)
}

fn recover(store: &Store, share: Share) -> Result<Hash, ShareError> {
    let progress = |_| ControlFlow::Continue(());
    if share.descriptor.kind() == Kind::Folder {
        let folder = NewFolder {
            path: share.path,
            name: share.name,
            scopes: share.scopes,
            origin: share.origin,
        };
        let (descriptor, _) = store.share_folder_again(&folder, &share.hash, &progress)?;
        return Ok(descriptor.hash());
    }
    let (descriptor, fingerprint) = hash_unless_known(store, &share.path, &progress)?;
    let new = NewShare {
        descriptor,
        name: share.name,
        path: share.path,
        scopes: share.scopes,
        origin: share.origin,
        fingerprint,
    };
    store.add_shares(&[new])?;
    Ok(descriptor.hash())
}
