//! What members of groups shared when they were last in reach, for when they are not.
//!
//! Each node answers for itself, and what it answered last is kept: within a bound for each member,
//! until the member leaves the group. Errors are those of the database, and cost no more than that
//! memory.

use std::sync::Arc;

use libp2p::PeerId;
use pelago_behaviour::catalogue::CatalogueEntry;
use pelago_content::{Hash, Kind};
use pelago_groups::GroupId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use tokio::{task::spawn_blocking, time::Instant};

use super::fetch::{PEER_TIMEOUT, read_pages};
use crate::{
    duties::Outcome,
    node::core::NodeCore,
    store::{DatabaseError, GroupChange, GroupRow, Known, Store, decode_row},
};

/// Bytes that are kept for one member, at most.
const MAX_BYTES: usize = 4 << 20;

/// Bytes that are kept for all members of a group, at most: each has an equal part.
const MAX_GROUP_BYTES: usize = 256 << 20;

/// Bytes of an entry beside its name, at most.
const ENTRY_BYTES: usize = 64;

#[derive(Serialize, Deserialize)]
struct EntryRow(ByteArray<32>, String, u8, u64);

/// Remembers what members share, as it changes, for as long as the node runs.
pub(in crate::node) async fn remember(core: Arc<NodeCore>) -> Outcome {
    loop {
        let (group, peer) = core.groups.unread().await;
        let limit = limit(core.memberships.members(&group).len());
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let take = |page: Vec<CatalogueEntry>| {
            for entry in page {
                bytes += ENTRY_BYTES + entry.name.len();
                if bytes > limit {
                    return false;
                }
                entries.push(entry);
            }
            true
        };
        let deadline = Instant::now() + PEER_TIMEOUT;
        let read = read_pages(&core.network, peer, ("", Some(group)), deadline, take).await;
        match read {
            Ok(_) => {
                let core = Arc::clone(&core);
                // What it shared was forgotten if it has left meanwhile.
                spawn_blocking(move || match core.memberships.is_member(&peer, &group) {
                    true => keep(&core.store, group, peer, entries),
                    false => Ok(()),
                })
                .await??;
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "what a member shares cannot be remembered");
            }
        }
    }
}

/// Bytes that are kept for each of so many members.
const fn limit(members: usize) -> usize {
    let part = MAX_GROUP_BYTES / if members == 0 { 1 } else { members };
    if part < MAX_BYTES { part } else { MAX_BYTES }
}

fn keep(
    store: &Store,
    group: GroupId,
    peer: PeerId,
    entries: Vec<CatalogueEntry>,
) -> Result<(), DatabaseError> {
    // What a member offered stays the group's, also when this node has left it.
    let known = entries.iter().flat_map(|entry| {
        let name = Known::name(&entry.name);
        [Known::Content(entry.hash), name]
    });
    store.note_known(group, known)?;
    let rows = entries.into_iter().map(|entry| {
        let hash = ByteArray::new(*entry.hash.as_bytes());
        EntryRow(hash, entry.name, entry.kind as u8, entry.size)
    });
    let rows: Vec<_> = rows.collect();
    let row = cbor4ii::serde::to_vec(Vec::new(), &rows).expect("memory takes every byte");
    let (of, key) = (*group.as_bytes(), peer.to_bytes());
    if store.group_row(GroupRow::Catalogue, &of, &key)?.as_ref() == Some(&row) {
        return Ok(());
    }
    store.change_groups(&[GroupChange {
        kind: GroupRow::Catalogue,
        of,
        key,
        row: Some(row),
    }])
}

/// What `peer` shared with `group` when it was last in reach.
pub(in crate::node) fn of(store: &Store, group: GroupId, peer: &PeerId) -> Vec<CatalogueEntry> {
    let row = store.group_row(GroupRow::Catalogue, group.as_bytes(), &peer.to_bytes());
    let row = row.inspect_err(|error| tracing::debug!(%error, "a catalogue is not read"));
    let rows = row
        .ok()
        .flatten()
        .and_then(|row| decode_row::<Vec<EntryRow>>(&row));
    let rows = rows.unwrap_or_default().into_iter();
    let entries = rows.filter_map(|EntryRow(hash, name, kind, size)| {
        Some(CatalogueEntry {
            hash: Hash::from_bytes(hash.into_array()),
            name,
            kind: Kind::try_from(kind).ok()?,
            size,
        })
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_shared_is_read_as_it_was_kept_and_written_once() {
        let (store, peer) = (Store::in_memory(), PeerId::random());
        let group = GroupId::from_bytes([1; 32]);
        let entry = CatalogueEntry {
            hash: Hash::from_bytes([2; 32]),
            name: "notes.txt".into(),
            kind: Kind::File,
            size: 9,
        };
        assert_eq!(of(&store, group, &peer), []);
        keep(&store, group, peer, vec![entry.clone()]).unwrap();
        let commits = store.commits();
        keep(&store, group, peer, vec![entry.clone()]).unwrap();
        assert_eq!(store.commits(), commits);
        assert_eq!(of(&store, group, &peer), [entry]);
        assert_eq!(of(&store, GroupId::from_bytes([3; 32]), &peer), []);
    }

    #[test]
    fn a_large_group_keeps_less_of_each_member() {
        assert_eq!(limit(3), MAX_BYTES);
        assert_eq!(limit(1024), 256 << 10);
    }
}
