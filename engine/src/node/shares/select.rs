//! Finds the shares that a person selects by hash, the first digits of one, or name.

use pelago_content::Hash;

use super::{Shared, UnshareError, each_page};
use crate::{
    node::selector::Selector,
    store::{Share, Store},
};

/// The shares that `what` selects, or all shares, by name: each content once. Their links name no
/// peer.
///
/// # Errors
/// No share matches, or shares with different contents do; or the database cannot be read.
pub fn links(store: &Store, what: Option<&str>) -> Result<Vec<Shared>, UnshareError> {
    let mut shares = Vec::new();
    match what {
        Some(what) => shares = store.shares_of(&select_hash(store, what)?)?,
        None => each_page(store, |page| {
            shares.extend(page);
            Ok(())
        })?,
    }
    let mut links: Vec<_> = shares.into_iter().map(Shared::from).collect();
    // Of several shares of the same content, the one for most peers.
    let key = |shared: &Shared| {
        let link = &shared.link;
        let is_narrow = (link.group.is_some(), link.is_unlisted);
        (is_narrow, shared.name.clone(), shared.hash)
    };
    match what {
        Some(_) => links.sort_by_key(key),
        None => links.sort_by(|a, b| (&a.name, a.hash).cmp(&(&b.name, b.hash))),
    }
    links.dedup_by(|a, b| a.hash == b.hash && (what.is_some() || a.name == b.name));
    Ok(links)
}

/// The hash of the one content that `what` selects.
pub(in crate::node) fn select_hash(store: &Store, what: &str) -> Result<Hash, UnshareError> {
    let shares = select(store, what)?;
    let not_shared = || UnshareError::NotShared {
        what: what.to_owned(),
    };
    shares
        .first()
        .map(|share| share.hash)
        .ok_or_else(not_shared)
}

/// The shares that `what` selects, all with the same content: a hash or its first digits selects
/// all places of that content, a name those of that name. Empty if no share matches.
pub(in crate::node::shares) fn select(
    store: &Store,
    what: &str,
) -> Result<Vec<Share>, UnshareError> {
    let selector = Selector::new(what);
    let shares = match &selector {
        Selector::Hash(hash) => store.shares_of(hash)?,
        Selector::Name(name) => store.shares_named(name)?,
        Selector::Prefix(..) => {
            let mut shares = Vec::new();
            each_page(store, |page| {
                let page = page.into_iter();
                shares.extend(page.filter(|share| selector.matches(&share.hash, &share.name)));
                Ok(())
            })?;
            shares
        }
    };
    let mut choices: Vec<_> = shares.iter().cloned().map(Shared::from).collect();
    choices.sort_by_key(|shared| shared.hash);
    choices.dedup_by_key(|shared| shared.hash);
    if choices.len() > 1 {
        return Err(UnshareError::Ambiguous {
            what: what.to_owned(),
            choices,
        });
    }
    Ok(shares)
}
