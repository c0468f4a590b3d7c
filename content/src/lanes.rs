//! SHA-256 of many messages of one length, several at a time on one core.
//!
//! SHA-256 of one message is a chain in which each step waits for the one before; processors with
//! instructions for it then idle for half the time. Blocks are independent of each other, so their
//! chains are interleaved. Owns only the choice of implementation; the result is plain SHA-256
//! everywhere. `sha2` is the portable implementation, and the reference in the tests.

use sha2::{Digest, Sha256};

use crate::Node;

#[cfg(target_arch = "x86_64")]
mod x86_64;

/// Writes the SHA-256 of each message to the slot with the same index.
pub(crate) fn digest_each<const LENGTH: usize>(messages: &[[u8; LENGTH]], digests: &mut [Node]) {
    debug_assert_eq!(messages.len(), digests.len(), "one place for each message");
    let done = digest_interleaved(messages, digests);
    for (message, digest) in messages.iter().zip(digests).skip(done) {
        *digest = Sha256::digest(message).into();
    }
}

/// Digests messages from the front while interleaving helps; returns how many it digested.
#[cfg(target_arch = "x86_64")]
fn digest_interleaved<const LENGTH: usize>(
    messages: &[[u8; LENGTH]],
    digests: &mut [Node],
) -> usize {
    let Some(sha) = x86_64::Sha::detect() else {
        return 0;
    };
    let (fours, rest) = messages.as_chunks::<4>();
    let (places, rest_places) = digests.as_chunks_mut::<4>();
    for (four, place) in fours.iter().zip(places) {
        *place = sha.digest(four);
    }
    let (twos, _) = rest.as_chunks::<2>();
    let (places, _) = rest_places.as_chunks_mut::<2>();
    for (two, place) in twos.iter().zip(places) {
        *place = sha.digest(two);
    }
    messages.len() / 2 * 2
}

#[cfg(not(target_arch = "x86_64"))]
fn digest_interleaved<const LENGTH: usize>(_: &[[u8; LENGTH]], _: &mut [Node]) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check<const LENGTH: usize>(bytes: &[u8]) {
        let (messages, _) = bytes.as_chunks::<LENGTH>();
        let mut digests = vec![[0; 32]; messages.len()];
        digest_each(messages, &mut digests);
        for (message, digest) in messages.iter().zip(&digests) {
            assert_eq!(
                digest[..],
                Sha256::digest(message)[..],
                "a message of {LENGTH} bytes"
            );
        }
    }

    proptest! {
        #[test]
        fn each_digest_is_that_of_its_message(
            bytes in prop::collection::vec(any::<u8>(), 0..3000),
        ) {
            check::<64>(&bytes);
            check::<128>(&bytes);
            check::<192>(&bytes);
            check::<512>(&bytes);
        }
    }

    #[test]
    fn any_number_of_whole_blocks_is_digested() {
        let bytes: Vec<u8> = (0..11 * 16384).map(|at| (at % 251) as u8).collect();
        for blocks in 0..=11 {
            check::<16384>(&bytes[..blocks * 16384]);
        }
    }
}
