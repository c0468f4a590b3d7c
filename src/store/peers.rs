//! Peers known from earlier runs, so that a node finds back without a bootstrap address.
//!
//! Owns which are remembered: those seen last, up to a limit. Never judges them. Failures leave as
//! the database's.

use libp2p::{Multiaddr, PeerId};
use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{
    DatabaseError, Store,
    database::{PEERS, decode, encode},
};

/// How many peers are remembered: plenty to find back with, about 200 KiB of rows.
const MAX_PEERS: usize = 1000;

/// How many addresses of a peer are remembered; a machine with several networks has about ten.
const MAX_ADDRESSES: usize = 16;

/// A peer as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPeer {
    /// Who it is.
    pub id: PeerId,
    /// Where it was reached, best first.
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

impl Store {
    /// Remembers these peers, replacing what was known of each; the ones not seen for longest go
    /// when there are too many. Peers that are said to have been seen later than all of these were
    /// written down by a clock that was ahead: they count as seen now.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]; nothing is remembered then.
    pub fn remember_peers(&self, peers: &[KnownPeer]) -> Result<(), DatabaseError> {
        self.inner.database.write(|transaction| {
            insert(transaction, peers)?;
            if let Some(now) = peers.iter().map(|peer| peer.seen).max() {
                clamp_seen(transaction, now)?;
            }
            forget_oldest(transaction)
        })
    }

    /// The peers remembered, those seen last first; at most 1,000.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn known_peers(&self) -> Result<Vec<KnownPeer>, DatabaseError> {
        let mut peers = self.inner.database.read(load)?;
        peers.sort_by_key(|peer| std::cmp::Reverse(peer.seen));
        Ok(peers)
    }
}

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

/// Has no peer be seen after `now`.
fn clamp_seen(transaction: &WriteTransaction, now: u64) -> Result<(), redb::Error> {
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

fn forget_oldest(transaction: &WriteTransaction) -> Result<(), redb::Error> {
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

fn load(transaction: &ReadTransaction) -> Result<Vec<KnownPeer>, redb::Error> {
    let table = transaction.open_table(PEERS)?;
    let (mut peers, mut damaged) = (Vec::new(), 0);
    for entry in table.iter()? {
        let (id, row) = entry?;
        let row: PeerRow = decode("peers", row.value())?;
        let addresses = row.addresses.len();
        // What a later libp2p no longer understands is of no use; another run replaces it.
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

/// The peer of a row that may be anything.
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

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;
    use crate::store::testing::on_every_store;

    fn peer(seen: u64) -> KnownPeer {
        KnownPeer {
            id: Keypair::generate_ed25519().public().to_peer_id(),
            addresses: vec![format!("/ip4/127.0.0.1/tcp/{seen}").parse().unwrap()],
            seen,
        }
    }

    #[test]
    fn those_seen_last_are_remembered() {
        on_every_store(|home| {
            assert_eq!(home.store.known_peers().unwrap(), []);
            let peers: Vec<_> = (0..MAX_PEERS as u64 + 5).map(peer).collect();
            home.store.remember_peers(&peers[..3]).unwrap();
            assert_eq!(home.store.known_peers().unwrap()[0], peers[2]);
            home.store.remember_peers(&peers).unwrap();
            let known = home.store.known_peers().unwrap();
            assert_eq!(known.len(), MAX_PEERS);
            assert_eq!(known[0], peers[MAX_PEERS + 4]);
            assert!(known.iter().all(|peer| peer.seen >= 5));

            let mut moved = peers[5].clone();
            moved.addresses = vec!["/ip4/10.0.0.1/tcp/1".parse().unwrap(); MAX_ADDRESSES + 1];
            moved.seen = u64::MAX;
            home.store.remember_peers(&[moved.clone()]).unwrap();
            moved.addresses.truncate(MAX_ADDRESSES);
            assert_eq!(home.store.known_peers().unwrap()[0], moved);
        });
    }

    #[test]
    fn a_peer_that_was_seen_by_a_clock_ahead_is_not_first_for_ever() {
        on_every_store(|home| {
            let ahead = peer(60_000);
            home.store
                .remember_peers(std::slice::from_ref(&ahead))
                .unwrap();
            let (before, now) = (peer(99), peer(100));
            home.store.remember_peers(&[before, now]).unwrap();
            let last = peer(101);
            home.store
                .remember_peers(std::slice::from_ref(&last))
                .unwrap();
            let known = home.store.known_peers().unwrap();
            assert_eq!(known[0], last);
            let seen: Vec<_> = known.iter().map(|peer| peer.seen).collect();
            assert_eq!(seen, [101, 100, 100, 99]);
        });
    }
}
