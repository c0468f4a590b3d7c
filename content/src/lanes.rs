//! SHA-256 of many messages of one length, several at a time on one core.
//!
//! SHA-256 of one message is a chain in which each step waits for the one before; processors with
//! instructions for it then idle for half the time. Blocks are independent of each other, so their
//! chains are interleaved. Owns only the choice of implementation; the result is plain SHA-256
//! everywhere. `sha2` is the portable implementation, and the reference in the tests.
//!
//! | where | messages at a time |
//! |---|---|
//! | x86-64 with AVX-512, if that is faster here | 16, then as in the next line |
//! | x86-64 with the SHA instructions | 4, 2 |
//! | elsewhere | 1: `sha2`, which has the SHA instructions of aarch64 |

#[cfg(target_arch = "x86_64")]
use std::{
    hint::black_box,
    sync::LazyLock,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

#[cfg(target_arch = "x86_64")]
use self::{avx512::Avx512, sha_ni::Sha};
use crate::Node;

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod sha256;
#[cfg(target_arch = "x86_64")]
mod sha_ni;

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
    let mut done = 0;
    if messages.len() >= avx512::LANES
        && let Some(avx512) = *WIDE
    {
        done += digest_groups(messages, digests, |group| avx512.digest(group));
    }
    if let Some(sha) = Sha::detect() {
        done += digest_groups(&messages[done..], &mut digests[done..], |four| {
            sha.digest::<4, _>(four)
        });
        done += digest_groups(&messages[done..], &mut digests[done..], |two| {
            sha.digest::<2, _>(two)
        });
    }
    done
}

/// Digests as many whole groups of `N` messages as there are; returns how many messages these are.
#[cfg(target_arch = "x86_64")]
fn digest_groups<const N: usize, const LENGTH: usize>(
    messages: &[[u8; LENGTH]],
    digests: &mut [Node],
    digest: impl Fn(&[[u8; LENGTH]; N]) -> [Node; N],
) -> usize {
    let (groups, rest) = messages.as_chunks::<N>();
    for (group, place) in groups.iter().zip(digests.as_chunks_mut::<N>().0) {
        *place = digest(group);
    }
    messages.len() - rest.len()
}

/// AVX-512 where it beats four lanes of the SHA instructions: on an Intel Xeon it took half the time
/// of one lane, which four did not, and on AMD's family 25 (model 17) 5 % more than four. Which holds
/// here is measured when the first 16 messages are digested, in a tenth of a millisecond.
#[cfg(target_arch = "x86_64")]
static WIDE: LazyLock<Option<Avx512>> = LazyLock::new(|| {
    let avx512 = Avx512::detect()?;
    let Some(sha) = Sha::detect() else {
        return Some(avx512);
    };
    static MESSAGES: [[u8; 2048]; avx512::LANES] = [[0; 2048]; avx512::LANES];
    let (fours, _) = MESSAGES.as_chunks::<4>();
    let wide = fastest(|| avx512.digest(&MESSAGES));
    let narrow = fastest(|| {
        for four in fours {
            black_box(sha.digest(four));
        }
    });
    (wide < narrow).then_some(avx512)
});

/// The shortest of a few runs: what interrupts one does not interrupt all.
#[cfg(target_arch = "x86_64")]
fn fastest<T>(run: impl Fn() -> T) -> Duration {
    let timed = || {
        let began = Instant::now();
        black_box(run());
        began.elapsed()
    };
    (0..5).map(|_| timed()).min().unwrap_or_default()
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
        assert_digests(messages, &digests);
        // Also if it is the slower one here.
        #[cfg(target_arch = "x86_64")]
        if let Some(avx512) = Avx512::detect() {
            digests.fill([0; 32]);
            let done = digest_groups(messages, &mut digests, |group| avx512.digest(group));
            assert_digests(&messages[..done], &digests);
        }
    }

    fn assert_digests<const LENGTH: usize>(messages: &[[u8; LENGTH]], digests: &[Node]) {
        for (message, digest) in messages.iter().zip(digests) {
            let expected = Sha256::digest(message);
            assert_eq!(digest[..], expected[..], "a message of {LENGTH} bytes");
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
        let bytes: Vec<u8> = (0..35 * 16384).map(|at| (at % 251) as u8).collect();
        for blocks in 0..=35 {
            check::<16384>(&bytes[..blocks * 16384]);
        }
    }
}
