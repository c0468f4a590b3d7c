//! SHA-256 of several messages at a time with the SHA instructions of x86-64.
//!
//! The only unsafe code in this crate: a single call that needs instructions which were detected
//! before. Loads and stores are ordinary Rust. Some loops could be closures, but `array::from_fn`
//! and `map` lack the target features, so nothing would inline into them.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use super::sha256::{COMPRESSED, INITIAL, ROUND, padding};
use crate::Node;

/// Proof that this processor has the instructions that the code below needs.
#[derive(Clone, Copy)]
pub(super) struct Sha(());

impl Sha {
    /// Detects the instructions; the answer is cached by the standard library.
    pub(super) fn detect() -> Option<Self> {
        let detected = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1")
            && is_x86_feature_detected!("avx");
        detected.then_some(Self(()))
    }

    /// The SHA-256 of each message.
    pub(super) fn digest<const N: usize, const LENGTH: usize>(
        self,
        messages: &[[u8; LENGTH]; N],
    ) -> [Node; N] {
        // SAFETY: the only requirement of `digest` is that the processor has the features it
        // enables, and a `Sha` exists only where `detect` has found them all.
        unsafe { digest(messages) }
    }
}

/// The state of one message, in the order of the instructions: ABEF and CDGH.
type HashState = [__m128i; 2];

/// The last 16 words of one message's schedule, four by four.
type Schedule = [__m128i; 4];

#[target_feature(enable = "sha,ssse3,sse4.1,avx")]
fn digest<const N: usize, const LENGTH: usize>(messages: &[[u8; LENGTH]; N]) -> [Node; N] {
    let [a, b, c, d, e, f, g, h] = INITIAL.map(u32::cast_signed);
    let mut states = [[_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h)]; N];
    let padding = padding::<LENGTH>();
    for at in 0..LENGTH / COMPRESSED {
        let mut blocks = [&padding; N];
        for (block, message) in blocks.iter_mut().zip(messages) {
            *block = &message.as_chunks().0[at];
        }
        compress(&mut states, blocks);
    }
    compress(&mut states, [&padding; N]);
    let mut nodes = [[0; 32]; N];
    for (place, state) in nodes.iter_mut().zip(states) {
        *place = node(state);
    }
    nodes
}

/// Compresses the next 64 bytes of each message into its state.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1,avx")]
fn compress<const N: usize>(states: &mut [HashState; N], blocks: [&[u8; COMPRESSED]; N]) {
    let before = *states;
    let mut schedules = [[_mm_setzero_si128(); 4]; N];
    for (schedule, block) in schedules.iter_mut().zip(blocks) {
        *schedule = load(block);
    }
    rounds::<N, 0>(states, &schedules, 0);
    rounds::<N, 1>(states, &schedules, 1);
    rounds::<N, 2>(states, &schedules, 2);
    rounds::<N, 3>(states, &schedules, 3);
    for four in [4, 8, 12] {
        extend::<N, 0>(&mut schedules);
        rounds::<N, 0>(states, &schedules, four);
        extend::<N, 1>(&mut schedules);
        rounds::<N, 1>(states, &schedules, four + 1);
        extend::<N, 2>(&mut schedules);
        rounds::<N, 2>(states, &schedules, four + 2);
        extend::<N, 3>(&mut schedules);
        rounds::<N, 3>(states, &schedules, four + 3);
    }
    for (state, before) in states.iter_mut().zip(before) {
        state[0] = _mm_add_epi32(state[0], before[0]);
        state[1] = _mm_add_epi32(state[1], before[1]);
    }
}

/// Four rounds on each message, with the words at `AT` of its schedule.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1,avx")]
fn rounds<const N: usize, const AT: usize>(
    states: &mut [HashState; N],
    schedules: &[Schedule; N],
    four: usize,
) {
    let [k0, k1, k2, k3] = ROUND[four].map(u32::cast_signed);
    let constants = _mm_set_epi32(k3, k2, k1, k0);
    for ([abef, cdgh], schedule) in states.iter_mut().zip(schedules) {
        let words = _mm_add_epi32(schedule[AT], constants);
        *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, words);
        *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32::<0x0E>(words));
    }
}

/// Replaces the words at `AT` of each schedule by those 16 positions later.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1,avx")]
fn extend<const N: usize, const AT: usize>(schedules: &mut [Schedule; N]) {
    for schedule in schedules {
        let [next, third, last] = [
            schedule[(AT + 1) % 4],
            schedule[(AT + 2) % 4],
            schedule[(AT + 3) % 4],
        ];
        let sum = _mm_add_epi32(
            _mm_sha256msg1_epu32(schedule[AT], next),
            _mm_alignr_epi8::<4>(last, third),
        );
        schedule[AT] = _mm_sha256msg2_epu32(sum, last);
    }
}

/// The 16 big-endian words of a block.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1,avx")]
fn load(block: &[u8; COMPRESSED]) -> Schedule {
    let swap = _mm_set_epi64x(0x0C0D_0E0F_0809_0A0B, 0x0405_0607_0001_0203);
    let mut schedule = [_mm_setzero_si128(); 4];
    for (words, quarter) in schedule.iter_mut().zip(block.as_chunks::<16>().0) {
        let whole = u128::from_le_bytes(*quarter).cast_signed();
        *words = _mm_shuffle_epi8(_mm_set_epi64x((whole >> 64) as i64, whole as i64), swap);
    }
    schedule
}

/// The digest of a final state.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1,avx")]
fn node([abef, cdgh]: HashState) -> Node {
    let words = [
        _mm_extract_epi32::<3>(abef),
        _mm_extract_epi32::<2>(abef),
        _mm_extract_epi32::<3>(cdgh),
        _mm_extract_epi32::<2>(cdgh),
        _mm_extract_epi32::<1>(abef),
        _mm_extract_epi32::<0>(abef),
        _mm_extract_epi32::<1>(cdgh),
        _mm_extract_epi32::<0>(cdgh),
    ];
    let mut node = [0; 32];
    for (bytes, word) in node.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_be_bytes();
    }
    node
}
