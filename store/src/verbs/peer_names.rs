//! The peers that names stand for: each name stands for the peer with that name when it was first
//! used.
//!
//! Owns the file `peer-names` in the data folder. Any peer can choose any name, so a name stands
//! for one peer id from its first use on. Errors are those of the operating system.

use std::io;

use libp2p_identity::PeerId;
use serde_bytes::ByteBuf;

use crate::Store;

/// The highest number of names; the one not used for the longest time is removed first. People
/// select a few dozen peers by name.
const MAX_NAMES: usize = 256;

/// The highest length of a name in bytes: no peer has a longer one.
const MAX_NAME_LEN: usize = 256;

impl Store {
    /// The peer that `name` stands for, if the name was used before.
    #[must_use]
    pub fn peer_of_name(&self, name: &str) -> Option<PeerId> {
        let names = self.inner.peer_names.get();
        let (_, id) = names.iter().find(|(known, _)| known == name)?;
        PeerId::from_bytes(id).ok()
    }

    /// Binds each name to its peer. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// The error of the operating system. Nothing is changed then.
    pub fn bind_names(&self, bound: &[(String, PeerId)]) -> io::Result<()> {
        self.inner.peer_names.change(|names| {
            for (name, peer) in bound.iter().filter(|(name, _)| name.len() <= MAX_NAME_LEN) {
                names.retain(|(known, _)| known != name);
                names.push((name.clone(), ByteBuf::from(peer.to_bytes())));
            }
            let excess = names.len().saturating_sub(MAX_NAMES);
            names.drain(..excess);
        })
    }
}

#[cfg(test)]
mod tests {
    use libp2p_identity::Keypair;

    use super::*;
    use crate::testing::on_every_store;

    #[test]
    fn a_name_stands_for_one_peer_and_those_used_last_stay() {
        on_every_store(|home| {
            let peer = || Keypair::generate_ed25519().public().to_peer_id();
            let (first, second) = (peer(), peer());
            let bind = |name: &str, peer| home.store.bind_names(&[(name.to_owned(), peer)]);
            assert_eq!(home.store.peer_of_name("anna"), None);
            bind("anna", first).unwrap();
            bind("bert", first).unwrap();
            bind("anna", second).unwrap();
            assert_eq!(home.store.peer_of_name("anna"), Some(second));
            assert_eq!(home.store.peer_of_name("bert"), Some(first));
            let more: Vec<_> = (0..MAX_NAMES - 1).map(|n| (n.to_string(), first)).collect();
            home.store.bind_names(&more).unwrap();
            assert_eq!(home.store.peer_of_name("anna"), Some(second));
            assert_eq!(home.store.peer_of_name("bert"), None);
            bind(&"x".repeat(MAX_NAME_LEN + 1), first).unwrap();
            assert_eq!(home.store.inner.peer_names.get().len(), MAX_NAMES);
        });
    }
}
