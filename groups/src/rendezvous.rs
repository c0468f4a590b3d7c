//! How members find each other in a DHT without naming their group: under keys that each two of them
//! share.
//!
//! Two nodes derive a secret from their keys (X25519). Each publishes itself under a key that follows
//! from it, one for each direction. A node in the DHT sees single keys that say nothing of groups, and
//! a user who was removed can compute only those of pairs that he is a part of.

use ed25519_dalek::{SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::keys::NodeKey;

/// Separates rendezvous keys from every other use of SHA-256. Fixed by the protocol.
const KEY_DOMAIN: &[u8] = b"pelago/rendezvous/1";

/// Separates the choice of neighbours. Fixed by the protocol: both ends of a pair choose each other.
const NEIGHBOUR_DOMAIN: &[u8] = b"pelago/neighbour/1";

/// The secret key of this node. Its memory is overwritten when it is dropped.
pub struct NodeSecret {
    signing: SigningKey,
}

/// Another node of a roster, with the keys under which the two find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The other node.
    pub node: NodeKey,
    /// Under which this node publishes itself for it.
    pub publish: [u8; 32],
    /// Under which it publishes itself for this node.
    pub look_up: [u8; 32],
    /// Those with the least ranks are chosen.
    rank: [u8; 32],
}

impl Neighbour {
    /// Of these, at most `count` to publish for and to look up.
    #[must_use]
    pub fn nearest(neighbours: impl IntoIterator<Item = Self>, count: usize) -> Vec<Self> {
        let mut ranked: Vec<_> = neighbours.into_iter().collect();
        ranked.sort_unstable_by_key(|neighbour| neighbour.rank);
        ranked.dedup_by_key(|neighbour| neighbour.rank);
        ranked.truncate(count);
        ranked
    }
}

impl NodeSecret {
    /// The secret with this seed, as in RFC 8032.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        Self { signing }
    }

    /// Its public key.
    #[must_use]
    pub fn key(&self) -> NodeKey {
        NodeKey::from_bytes(self.signing.verifying_key().to_bytes())
    }

    /// Of `nodes`, at most `count` to publish for and to look up. Both ends of a pair rank it alike,
    /// and the ranks of different pairs are independent.
    #[must_use]
    pub fn neighbours(
        &self,
        nodes: impl IntoIterator<Item = NodeKey>,
        count: usize,
    ) -> Vec<Neighbour> {
        let others = nodes.into_iter();
        Neighbour::nearest(others.filter_map(|node| self.neighbour(&node)), count)
    }

    /// The other node `node`; none if it is this one, or not a key with which something is secret.
    /// Takes some 50 microseconds.
    #[must_use]
    pub fn neighbour(&self, node: &NodeKey) -> Option<Neighbour> {
        let own = self.key();
        if *node == own {
            return None;
        }
        let shared = self.shared(node)?;
        Some(Neighbour {
            node: *node,
            publish: derive(KEY_DOMAIN, &shared, own.as_bytes()),
            look_up: derive(KEY_DOMAIN, &shared, node.as_bytes()),
            rank: derive(NEIGHBOUR_DOMAIN, &shared, &[]),
        })
    }

    /// X25519 of both keys; none if the other one is not a key, or one of small order, with which
    /// nothing is secret.
    fn shared(&self, node: &NodeKey) -> Option<Zeroizing<[u8; 32]>> {
        let other = VerifyingKey::from_bytes(node.as_bytes()).ok()?;
        if other.is_weak() {
            return None;
        }
        let scalar = Zeroizing::new(self.signing.to_scalar_bytes());
        let shared = other.to_montgomery().mul_clamped(*scalar);
        Some(Zeroizing::new(shared.to_bytes()))
    }
}

fn derive(domain: &[u8], shared: &[u8; 32], of: &[u8]) -> [u8; 32] {
    let digest = Sha256::new_with_prefix(domain)
        .chain_update(shared)
        .chain_update(of);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(seed: u8) -> NodeSecret {
        NodeSecret::from_seed(&[seed; 32])
    }

    fn neighbour(of: u8, other: u8) -> Neighbour {
        let found = secret(of).neighbours([secret(other).key()], 32);
        *found.first().unwrap()
    }

    #[test]
    fn each_looks_up_what_the_other_publishes_and_no_third_one_can() {
        let (a, b) = (neighbour(1, 2), neighbour(2, 1));
        assert_eq!((a.publish, a.look_up), (b.look_up, b.publish));
        assert_ne!(a.publish, a.look_up);
        let others = [
            neighbour(1, 3),
            neighbour(2, 3),
            neighbour(3, 1),
            neighbour(3, 2),
        ];
        let keys = [a.publish, a.look_up];
        assert!(
            others
                .iter()
                .all(|o| !keys.contains(&o.publish) && !keys.contains(&o.look_up))
        );
    }

    #[test]
    fn the_chosen_are_few_and_never_oneself() {
        let nodes = (1..=40).map(|seed| secret(seed).key());
        let found = secret(1).neighbours(nodes.clone().chain(nodes), 32);
        assert_eq!(found.len(), 32);
        assert!(
            found
                .iter()
                .all(|neighbour| neighbour.node != secret(1).key())
        );
        let weak = NodeKey::from_bytes([[1].as_slice(), &[0; 31]].concat().try_into().unwrap());
        assert!(secret(1).neighbours([weak], 32).is_empty());
    }
}
