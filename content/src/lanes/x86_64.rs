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

use crate::Node;

/// Bytes that SHA-256 compresses at a time.
const COMPRESSED: usize = 64;

/// The initial state: FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// The round constants, four by four: FIPS 180-4, 4.2.2.
const ROUND: [[u32; 4]; 16] = [
    [0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5],
    [0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5],
    [0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3],
    [0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174],
    [0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc],
    [0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da],
    [0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7],
    [0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967],
    [0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13],
    [0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85],
    [0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3],
    [0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070],
    [0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5],
    [0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3],
    [0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208],
    [0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2],
];

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
    const {
        assert!(
            LENGTH.is_multiple_of(COMPRESSED),
            "padding has a block of its own"
        );
    }
    let [a, b, c, d, e, f, g, h] = INITIAL.map(u32::cast_signed);
    let mut states = [[_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h)]; N];
    let mut padding = [0; COMPRESSED];
    padding[0] = 0x80;
    padding[COMPRESSED - 8..].copy_from_slice(&(LENGTH as u64 * 8).to_be_bytes());
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
