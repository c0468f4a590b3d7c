//! Peers from earlier runs: stored and listed.

use crate::{
    DatabaseError, KnownPeer, Store,
    peers::{clamp_seen, forget_oldest, insert, load},
};

impl Store {
    /// Stores these peers, and replaces what was known about each. If there are too many, those not
    /// seen for the longest time are removed. A stored time later than all of these comes from a
    /// clock that was ahead, and is set to the latest of these.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]. Nothing is remembered then.
    pub fn remember_peers(&self, peers: &[KnownPeer]) -> Result<(), DatabaseError> {
        self.inner.database.write(|transaction| {
            insert(transaction, peers)?;
            if let Some(now) = peers.iter().map(|peer| peer.seen).max() {
                clamp_seen(transaction, now)?;
            }
            forget_oldest(transaction)
        })
    }

    /// The stored peers, those seen last first; at most 1,000.
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

#[cfg(test)]
mod tests {
    use libp2p_identity::Keypair;

    use super::*;
    use crate::peers::{MAX_ADDRESSES, MAX_PEERS};
    use crate::testing::on_every_store;

    fn peer(seen: u64) -> KnownPeer {
        KnownPeer {
            id: Keypair::generate_ed25519().public().to_peer_id(),
            addresses: vec![format!("/ip4/127.0.0.1/tcp/{seen}").parse().unwrap()],
            seen,
        }
    }

    #[test]
    fn the_peers_seen_last_are_remembered() {
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
    fn a_peer_that_was_seen_by_a_clock_ahead_is_not_first_forever() {
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
