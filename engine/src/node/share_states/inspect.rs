//! Inspects shares: compares them with what is on the disk. Needs a store only, and blocks.

use std::{collections::BTreeMap, path::Path};

use pelago_content::Kind;

use crate::{
    node::{scan::note_missing, shares::each_page},
    serve::{RehashQueue, RehashReason},
    store::{
        Comparison, DatabaseError, Inspection, Member, MemberState, Origin, Share, ShareState,
        Store, Unavailable,
    },
};

/// How many members of a folder are read from the database at a time.
const PAGE: usize = 1000;

/// The most files of a folder that a log line names.
const NAMED: usize = 3;

/// The most unavailable shares that are listed: more than a person reads.
const MAX_LISTED: usize = 1000;

/// The shares of this node that are not available.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnavailableShares {
    /// How many there are.
    pub count: u64,
    /// How many are in each state.
    pub counts: BTreeMap<ShareState, u64>,
    /// The first 1000 of them, by path.
    pub places: Vec<Unavailable>,
}

/// Inspects all shares.
pub(super) fn inspect_shares(store: &Store, rehash: &RehashQueue) -> Result<(), DatabaseError> {
    for folder in store.folders_served() {
        note_missing(store, &folder, &folder);
    }
    each_page(store, |page| {
        page.iter()
            .try_for_each(|share| inspect_share(store, rehash, share))
    })
}

pub(super) fn inspect_path(
    store: &Store,
    rehash: &RehashQueue,
    path: &Path,
) -> Result<(), DatabaseError> {
    if let Some(share) = store.share_at(path)? {
        inspect_share(store, rehash, &share)?;
    }
    for (folder, member) in store.members_at(path)? {
        let MemberState::File(listed) = member.state else {
            continue;
        };
        let before = store.member_state(&folder, &member.path);
        let sight = store.inspect_file(path, &listed);
        note(rehash, path, &sight);
        store.set_member_state(&folder, &member.path, sight.state);
        if before != sight.state {
            let (path, state) = (path.display(), sight.state.as_str());
            tracing::info!(
                %path, state, folder = %folder.display(), "the state of a file in a shared \
                 folder changed"
            );
        }
    }
    Ok(())
}

fn inspect_share(store: &Store, rehash: &RehashQueue, share: &Share) -> Result<(), DatabaseError> {
    let is_watched = matches!(share.origin, Origin::Folder(_));
    // The watch of the folder knows more of it.
    if is_watched && store.is_below_missing(&share.path) {
        return Ok(());
    }
    let before = store.state_of(share);
    let mut sight = store.inspect_share(share);
    if share.descriptor.kind() == Kind::Folder && sight.state.is_available() {
        sight.state = inspect_members(store, rehash, &share.path)?;
    }
    // A file of a watched folder has to settle before it is hashed.
    if !is_watched || sight.rehash == Some(Comparison::InDoubt) {
        note(rehash, &share.path, &sight);
    }
    store.set_state(share, sight.state);
    let after = store.state_of(share);
    if before.is_available() != after.is_available() {
        let (path, state) = (share.path.display(), after.as_str());
        match after {
            ShareState::Available => tracing::info!(%path, "the share is offered again"),
            // It was removed, and the watch removes the share; or the watch reports the folder.
            ShareState::Missing if is_watched => tracing::debug!(%path, "the file is gone"),
            _ => {
                tracing::warn!(
                    %path, state, "the share is not offered until it is available again"
                );
            }
        }
    }
    Ok(())
}

/// Inspects all files of the folder shared at `folder`. Returns the state of the folder: it is
/// missing if all its files are.
fn inspect_members(
    store: &Store,
    rehash: &RehashQueue,
    folder: &Path,
) -> Result<ShareState, DatabaseError> {
    let mut states = BTreeMap::new();
    let (mut files, mut missing) = (0_u64, 0);
    let mut after: Option<String> = None;
    loop {
        let page = store.members_page(folder, after.as_deref(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.path.clone());
        for Member { path, state, .. } in page {
            let MemberState::File(listed) = state else {
                continue;
            };
            let at = folder.join(&path);
            let sight = store.inspect_file(&at, &listed);
            note(rehash, &at, &sight);
            files += 1;
            missing += u64::from(sight.state == ShareState::Missing);
            if !sight.state.is_available() {
                states.insert(path, sight.state);
            }
        }
    }
    if files > 0 && missing == files {
        store.set_member_states(folder, BTreeMap::new());
        return Ok(ShareState::Missing);
    }
    let named: Vec<_> = states.iter().take(NAMED).map(describe).collect();
    let (count, named) = (states.len(), named.join(", "));
    if store.set_member_states(folder, states) {
        let folder = folder.display();
        match count {
            0 => tracing::info!(%folder, "all files of the shared folder are available again"),
            _ => tracing::warn!(
                %folder, count, "some files of the shared folder are not available, and the others \
                 are offered. To share the folder as it is now, share it again: {named}"
            ),
        }
    }
    Ok(ShareState::Available)
}

fn describe((path, state): (&String, &ShareState)) -> String {
    format!("{path} ({})", state.as_str())
}

/// Queues a file to be hashed again if that may settle its state.
fn note(rehash: &RehashQueue, path: &Path, sight: &Inspection) {
    match sight.rehash {
        Some(Comparison::InDoubt) => rehash.enqueue_doubted(path.to_owned()),
        Some(Comparison::Changed) => rehash.enqueue(path.to_owned(), RehashReason::Changed),
        Some(Comparison::Unchanged) | None => {}
    }
}

/// The shares that are not available, as of the last inspection. Blocks.
///
/// # Errors
/// The database cannot be read.
pub fn unavailable(store: &Store) -> Result<UnavailableShares, DatabaseError> {
    let (mut counts, mut places) = store.unavailable_files(MAX_LISTED);
    each_page(store, |page| {
        for share in page {
            let state = store.state_of(&share);
            if state.is_available() {
                continue;
            }
            *counts.entry(state).or_default() += 1;
            if places.len() < 2 * MAX_LISTED {
                places.push(Unavailable {
                    path: share.path,
                    state,
                    folder: None,
                });
            }
        }
        Ok(())
    })?;
    places.sort_unstable();
    places.truncate(MAX_LISTED);
    Ok(UnavailableShares {
        count: counts.values().sum(),
        counts,
        places,
    })
}

/// Inspects all shares, without a node. Blocks.
///
/// # Errors
/// The database cannot be read.
pub fn inspect_all(store: &Store) -> Result<(), DatabaseError> {
    inspect_shares(store, &RehashQueue::default())
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::store::{NewShare, Scope};

    #[test]
    fn all_unavailable_shares_are_counted_and_the_first_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "content").unwrap();
        let store = Store::in_memory();
        let hashed = store
            .hash_file(&path, &|_| ControlFlow::Continue(()))
            .unwrap();
        let share = |number: usize| NewShare {
            descriptor: hashed.descriptor,
            name: number.to_string(),
            origin: Origin::Explicit,
            path: folder.path().join(format!("gone {number}")),
            scopes: Scope::Everyone.into(),
            fingerprint: hashed.fingerprint,
        };
        let shares: Vec<_> = (0..=MAX_LISTED).map(share).collect();
        store.add_shares(&shares).unwrap();
        inspect_all(&store).unwrap();
        let unavailable = unavailable(&store).unwrap();
        let all = MAX_LISTED as u64 + 1;
        assert_eq!(unavailable.count, all);
        assert_eq!(unavailable.counts, [(ShareState::Missing, all)].into());
        assert_eq!(unavailable.places.len(), MAX_LISTED);
    }
}
