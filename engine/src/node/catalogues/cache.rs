//! The last catalogue that a reader reads page by page, kept until it has been read.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use pelago_groups::GroupId;

use super::Catalogue;
use crate::network::PeerAddress;

/// How long a catalogue is kept for its next page. A slower reader causes it to be fetched again.
const KEPT: Duration = Duration::from_secs(30);

/// The last catalogue that had further pages. One is enough: a second reader at most causes a
/// catalogue to be fetched again. A handle: clones share the same catalogue.
#[derive(Clone, Default)]
pub(in crate::node) struct CatalogueCache(Arc<Mutex<Option<CachedList>>>);

/// Whose catalogue it is, and the catalogue.
type CachedList = (CatalogueOf, Arc<Catalogue>);

/// Whose catalogue is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogueOf {
    /// That of all peers in reach.
    Network,
    /// That of one peer.
    Peer(PeerAddress),
    /// What the members of a group share with it.
    Group(GroupId),
}

impl CatalogueCache {
    /// The catalogue, if it is the one kept.
    pub(in crate::node) fn get(&self, of: &CatalogueOf) -> Option<Arc<Catalogue>> {
        let kept = self.0.lock();
        let (whose, catalogue) = kept.as_ref()?;
        (whose == of).then(|| Arc::clone(catalogue))
    }

    /// Keeps a catalogue for a while, in place of the one before.
    pub(in crate::node) fn keep(&self, of: CatalogueOf, catalogue: &Arc<Catalogue>) {
        let is_same = |(_, kept): &CachedList| Arc::ptr_eq(kept, catalogue);
        let mut kept = self.0.lock();
        if kept.as_ref().is_some_and(is_same) {
            return;
        }
        *kept = Some((of, Arc::clone(catalogue)));
        drop(kept);
        let (cache, catalogue) = (self.clone(), Arc::downgrade(catalogue));
        tokio::spawn(async move {
            tokio::time::sleep(KEPT).await;
            let is_same =
                |(_, kept): &mut CachedList| std::ptr::eq(Arc::as_ptr(kept), catalogue.as_ptr());
            cache.0.lock().take_if(is_same);
        });
    }
}
