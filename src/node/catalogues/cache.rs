//! The list that somebody reads page by page, until it has been read.

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};

use super::Catalogue;
use crate::{network::PeerAddress, node::Node};

/// How long a list is kept for its next page: a reader that is slower asks for a new one.
const KEPT: Duration = Duration::from_secs(30);

/// The last list that had further pages, and whose it is: of one peer, or of all in reach. One is enough: another
/// reader's only costs asking again.
#[derive(Clone, Default)]
pub(in crate::node) struct CatalogueCache(Arc<Mutex<Option<CachedList>>>);

/// Whose list it is, and the list.
type CachedList = (Option<PeerAddress>, Arc<Catalogue>);

impl CatalogueCache {
    fn lock(&self) -> MutexGuard<'_, Option<CachedList>> {
        self.0.lock()
    }
}

impl Node {
    /// The list of the peer at this address, or of all peers in reach, that [`Node::cache_catalogue`] kept a
    /// moment ago.
    #[must_use]
    pub fn cached_catalogue(&self, of: Option<&PeerAddress>) -> Option<Arc<Catalogue>> {
        let kept = self.core.catalogue.lock();
        let (whose, catalogue) = kept.as_ref()?;
        (whose.as_ref() == of).then(|| Arc::clone(catalogue))
    }

    /// Keeps a list for whoever reads it page by page.
    pub fn cache_catalogue(&self, of: Option<PeerAddress>, catalogue: &Arc<Catalogue>) {
        let (kept, catalogue) = (self.core.catalogue.clone(), Arc::clone(catalogue));
        let is_kept = |kept: &CatalogueCache| {
            let kept = kept.lock();
            let is_same = |(_, kept): &CachedList| Arc::ptr_eq(kept, &catalogue);
            kept.as_ref().is_some_and(is_same)
        };
        if is_kept(&kept) {
            return;
        }
        *kept.lock() = Some((of, Arc::clone(&catalogue)));
        let catalogue = Arc::downgrade(&catalogue);
        tokio::spawn(async move {
            tokio::time::sleep(KEPT).await;
            let is_same =
                |(_, kept): &mut CachedList| std::ptr::eq(Arc::as_ptr(kept), catalogue.as_ptr());
            kept.lock().take_if(is_same);
        });
    }
}
