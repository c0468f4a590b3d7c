//! Proofs that a peer has a hash, for a peer that may not have it.
//!
//! A proof binds the hash to the two ends of a connection, which libp2p has authenticated: it is
//! worthless to other peers, and does not reveal the hash. Both ends use the same function with
//! swapped roles, so that a proof cannot be sent back as an answer.

use hmac::{Hmac, KeyInit, Mac};
use libp2p::PeerId;
use pelago_content::Hash;
use sha2::Sha256;

/// Separates these proofs from every other use of HMAC-SHA256. Fixed by the protocol.
const DOMAIN: &[u8] = b"pelago/availability/2";

/// Bytes of a proof.
pub const PROOF_LEN: usize = 32;

/// Proves to one peer that another one has a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof([u8; PROOF_LEN]);

impl Proof {
    /// The proof by which `prover` shows `verifier` that it has `hash`.
    #[must_use]
    pub fn new(hash: &Hash, prover: &PeerId, verifier: &PeerId) -> Self {
        Self(mac(hash, prover, verifier).finalize().into_bytes().into())
    }

    /// A proof received from a peer.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; PROOF_LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes to send.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; PROOF_LEN] {
        &self.0
    }

    /// Whether this proves to `verifier` that `prover` has `hash`. Runs in constant time.
    #[must_use]
    pub fn shows(&self, hash: &Hash, prover: &PeerId, verifier: &PeerId) -> bool {
        mac(hash, prover, verifier).verify_slice(&self.0).is_ok()
    }
}

fn mac(hash: &Hash, prover: &PeerId, verifier: &PeerId) -> Hmac<Sha256> {
    let mac = Hmac::new_from_slice(hash.as_bytes()).expect("HMAC takes keys of any length");
    mac.chain_update(DOMAIN)
        .chain_update(prover.to_bytes())
        .chain_update(verifier.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_good_for_one_hash_one_pair_of_peers_and_one_direction() {
        let hash = Hash::from_bytes([7; 32]);
        let [a, b, c] = [PeerId::random(), PeerId::random(), PeerId::random()];
        let proof = Proof::new(&hash, &a, &b);
        assert!(proof.shows(&hash, &a, &b));
        assert!(!proof.shows(&Hash::from_bytes([8; 32]), &a, &b));
        for (prover, verifier) in [(&b, &a), (&a, &c), (&c, &b), (&a, &a)] {
            assert!(!proof.shows(&hash, prover, verifier));
        }
        assert!(!proof.as_bytes().windows(8).any(|part| part == [7; 8]));
    }

    #[test]
    fn the_bytes_of_a_proof_are_those_of_the_specification() {
        // In Python: hmac.new(bytes([7] * 32), b"pelago/availability/2" + a + b, "sha256"), with
        // the ids of the Ed25519 keys made of 32 bytes of 1 and of 2.
        let id = |byte: u8| {
            let secret = libp2p::identity::Keypair::ed25519_from_bytes([byte; 32]).unwrap();
            secret.public().to_peer_id()
        };
        let (a, b) = (id(1), id(2));
        assert_eq!(a.to_string(), A);
        assert_eq!(b.to_string(), B);
        let proof = Proof::new(&Hash::from_bytes([7; 32]), &a, &b);
        let digits: String = proof
            .as_bytes()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(digits, EXPECTED);
    }

    const A: &str = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
    const B: &str = "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq";
    const EXPECTED: &str = "1f5071acd623994bb591838d1587baa161096e969b50fb5f07b33429f5eb022b";
}
