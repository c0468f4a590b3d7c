//! The links as the tasks that serve them share them.

use std::{path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

use super::links::{Expiry, Full, Grant, Granted, Link, Received, Table};
use crate::content::Hash;

/// The links for browsers. A handle: clones share them.
#[derive(Clone, Default)]
pub(super) struct WebLinks(Arc<Shared>);

#[derive(Default)]
struct Shared {
    table: Mutex<Table>,
    /// Changes with the table.
    changes: watch::Sender<()>,
}

impl WebLinks {
    /// Adds a link; `None` if there are too many.
    pub(super) fn add(
        &self,
        grant: Grant,
        received: Received,
        expires: Option<Expiry>,
    ) -> Option<Link> {
        self.change(|table| {
            table.expire(Instant::now());
            table.add(grant, received, expires)
        })
    }

    /// All links.
    pub(super) fn list(&self) -> Vec<Link> {
        self.expire();
        self.0.table.lock().links().cloned().collect()
    }

    /// Ends a link. Returns it, if it exists.
    pub(super) fn remove(&self, id: &str) -> Option<Link> {
        self.change(|table| table.remove(id))
    }

    /// Ends the links to this content.
    pub(super) fn remove_content(&self, hash: &Hash) {
        self.change(|table| table.remove_content(hash));
    }

    /// Ends the links whose time is over. Returns when the next one ends.
    pub(super) fn expire(&self) -> Option<Instant> {
        self.0.table.lock().expire(Instant::now())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.table.lock().is_empty()
    }

    /// Changes with each link that is added or removed.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// The link with this token.
    pub(super) fn granted(&self, token: &str) -> Option<Granted> {
        let mut table = self.0.table.lock();
        table.expire(Instant::now());
        table.granted(token)
    }

    /// What the link with this id may receive, and has received.
    pub(super) fn received(&self, id: &str) -> Option<Received> {
        let table = self.0.table.lock();
        let mut links = table.links().filter(|link| link.id == id);
        links.next().map(|link| link.received.clone())
    }

    pub(super) fn reserve(&self, id: &str, len: u64) -> Result<(), Full> {
        self.0.table.lock().reserve(id, len)
    }

    pub(super) fn release(&self, id: &str, len: u64) {
        self.0.table.lock().release(id, len);
    }

    pub(super) fn arrived(&self, id: &str, path: PathBuf, len: u64) {
        self.0.table.lock().arrived(id, path, len);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let changed = change(&mut self.0.table.lock());
        self.0.changes.send_replace(());
        changed
    }
}
