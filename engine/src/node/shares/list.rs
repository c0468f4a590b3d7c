//! Lists all shares.

use super::shared::is_listed;
use crate::{
    node::Listed,
    store::{Cursor, DatabaseError, Share, Store},
};

/// How many shares are read from the database at a time.
const PAGE: usize = 1000;

/// All shares, by name.
///
/// # Errors
/// The database cannot be read.
pub fn list(store: &Store) -> Result<Vec<Listed>, DatabaseError> {
    let mut listed = Vec::new();
    each_page(store, |shares| {
        listed.extend(shares.into_iter().map(|share| Listed {
            state: store.state_of(&share),
            unavailable_files: store.unavailable_members(&share.path),
            hash: share.hash,
            name: share.name,
            size: share.totals.bytes,
            kind: share.descriptor.kind(),
            peers: 0,
            holders: Vec::new(),
            path: Some(share.path),
            is_unlisted: !is_listed(&share.scopes),
            scopes: share.scopes,
        }));
        Ok(())
    })?;
    listed.sort_by(|a, b| (&a.name, a.hash, &a.path).cmp(&(&b.name, b.hash, &b.path)));
    Ok(listed)
}

/// Gives all live shares to `take`, page by page, in the order of their hashes.
pub(in crate::node) fn each_page(
    store: &Store,
    mut take: impl FnMut(Vec<Share>) -> Result<(), DatabaseError>,
) -> Result<(), DatabaseError> {
    let mut after: Option<Cursor> = None;
    loop {
        let page = store.shares_page(after.as_ref(), PAGE, |_| true)?;
        take(page.shares)?;
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}
