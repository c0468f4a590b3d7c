//! Peers from earlier runs, so that a node reconnects without a bootstrap address.
//!
//! Keeps the peers seen last, up to a limit, and does not rate them. Errors are those of the
//! database.

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::database::{PEERS, decode, encode};

/// How many peers are kept: plenty for reconnecting, in about 200 KiB of rows.
pub(super) const MAX_PEERS: usize = 1000;

/// How many addresses of a peer are kept; a machine with several networks has about ten.
pub(super) const MAX_ADDRESSES: usize = 16;

/// A peer as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPeer {
    /// Its id.
    pub id: PeerId,
    /// Its addresses, the best first.
    pub addresses: Vec<Multiaddr>,
    /// When it was last seen, in seconds since 1970.
    pub seen: u64,
}

#[derive(Serialize, Deserialize)]
struct PeerRow {
    #[serde(rename = "a")]
    addresses: Vec<serde_bytes::ByteBuf>,
    #[serde(rename = "s")]
    seen: u64,
}

/// Adds peers, and replaces those that are there.
pub(super) fn insert(
    transaction: &WriteTransaction,
    peers: &[KnownPeer],
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(PEERS)?;
    for peer in peers {
        let addresses = peer.addresses.iter().take(MAX_ADDRESSES);
        let row = encode(&PeerRow {
            addresses: addresses
                .map(|address| serde_bytes::ByteBuf::from(address.to_vec()))
                .collect(),
            seen: peer.seen,
        })?;
        table.insert(&peer.id.to_bytes()[..], &row[..])?;
    }
    Ok(())
}

/// Limits the time at which peers were seen to `now`.
pub(super) fn clamp_seen(transaction: &WriteTransaction, now: u64) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(PEERS)?;
    let mut ahead = Vec::new();
    for entry in table.iter()? {
        let (id, row) = entry?;
        let row: PeerRow = decode("peers", row.value())?;
        if row.seen > now {
            ahead.push((id.value().to_vec(), PeerRow { seen: now, ..row }));
        }
    }
    for (id, row) in ahead {
        table.insert(&id[..], &encode(&row)?[..])?;
    }
    Ok(())
}

/// Removes the peers that were not seen for the longest time, down to [`MAX_PEERS`].
pub(super) fn forget_oldest(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(PEERS)?;
    let mut ages = Vec::new();
    for entry in table.iter()? {
        let (id, row) = entry?;
        let row: PeerRow = decode("peers", row.value())?;
        ages.push((row.seen, id.value().to_vec()));
    }
    ages.sort_unstable();
    let excess = ages.len().saturating_sub(MAX_PEERS);
    for (_, id) in &ages[..excess] {
        table.remove(&id[..])?;
    }
    Ok(())
}

/// All peers.
pub(super) fn load(transaction: &ReadTransaction) -> Result<Vec<KnownPeer>, redb::Error> {
    let table = transaction.open_table(PEERS)?;
    let (mut peers, mut damaged) = (Vec::new(), 0);
    for entry in table.iter()? {
        let (id, row) = entry?;
        let row: PeerRow = decode("peers", row.value())?;
        let addresses = row.addresses.len();
        // Addresses that this version of libp2p cannot read are skipped; a later run replaces them.
        let peer = known_peer(id.value(), row);
        if peer
            .as_ref()
            .is_none_or(|peer| peer.addresses.len() < addresses)
        {
            damaged += 1;
        }
        peers.extend(peer);
    }
    if damaged > 0 {
        tracing::warn!(
            damaged,
            "some peers of earlier runs cannot be read, and are not tried"
        );
    }
    Ok(peers)
}

/// Decodes a row of unknown content.
pub(super) fn from_row(id: &[u8], row: &[u8]) -> Option<KnownPeer> {
    known_peer(id, decode("peers", row).ok()?)
}

fn known_peer(id: &[u8], row: PeerRow) -> Option<KnownPeer> {
    let addresses = row.addresses.into_iter();
    Some(KnownPeer {
        id: PeerId::from_bytes(id).ok()?,
        addresses: addresses
            .filter_map(|address| Multiaddr::try_from(address.into_vec()).ok())
            .collect(),
        seen: row.seen,
    })
}
