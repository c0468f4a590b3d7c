//! SHA-256 of 16 messages at a time with AVX-512: lane `n` of each register belongs to message `n`.
//!
//! Any vector unit runs these instructions, and rotations and logic of three inputs are one each. A
//! processor with a single unit for the SHA instructions gains most.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_loadu_si512, _mm512_ror_epi32, _mm512_set_epi64,
    _mm512_set1_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_shuffle_i32x4,
    _mm512_srli_epi32, _mm512_storeu_si512, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::sha256::{COMPRESSED, INITIAL, ROUND, padding};
use crate::Node;

/// Messages that are digested together.
pub(super) const LANES: usize = 16;

/// `a ^ b ^ c`, as the truth table of `vpternlogd`.
const XOR: i32 = 0x96;
/// `if a { b } else { c }`: Ch of FIPS 180-4, 4.1.2.
const CHOOSE: i32 = 0xCA;
/// What two of three are: Maj of FIPS 180-4, 4.1.2.
const MAJORITY: i32 = 0xE8;

/// Proof that this processor has the instructions that the code below needs.
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    /// Detects the instructions; the answer is cached by the standard library.
    pub(super) fn detect() -> Option<Self> {
        let detected = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        detected.then_some(Self(()))
    }

    /// The SHA-256 of each message.
    pub(super) fn digest<const LENGTH: usize>(
        self,
        messages: &[[u8; LENGTH]; LANES],
    ) -> [Node; LANES] {
        // SAFETY: the only requirement of `digest` is that the processor has the features it
        // enables, and an `Avx512` exists only where `detect` has found them all.
        unsafe { digest(messages) }
    }
}

/// A word of each message.
type Words = __m512i;

#[target_feature(enable = "avx512f,avx512bw")]
fn digest<const LENGTH: usize>(messages: &[[u8; LENGTH]; LANES]) -> [Node; LANES] {
    let mut state = [_mm512_setzero_si512(); 8];
    for (words, initial) in state.iter_mut().zip(INITIAL) {
        *words = _mm512_set1_epi32(initial.cast_signed());
    }
    for at in 0..LENGTH / COMPRESSED {
        let mut blocks = [&[0; COMPRESSED]; LANES];
        for (block, message) in blocks.iter_mut().zip(messages) {
            *block = &message.as_chunks().0[at];
        }
        compress(&mut state, load(blocks));
    }
    let mut words = [_mm512_setzero_si512(); 16];
    for (word, bytes) in words.iter_mut().zip(padding::<LENGTH>().as_chunks().0) {
        *word = _mm512_set1_epi32(i32::from_be_bytes(*bytes));
    }
    compress(&mut state, words);
    nodes(state)
}

/// Compresses the next 16 words of each message into its state.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn compress(state: &mut [Words; 8], mut words: [Words; 16]) {
    let before = *state;
    for (sixteen, constants) in ROUND.as_flattened().as_chunks::<16>().0.iter().enumerate() {
        for (at, constant) in constants.iter().enumerate() {
            if sixteen > 0 {
                words[at] = extended(&words, at);
            }
            round(state, words[at], *constant);
        }
    }
    for (words, before) in state.iter_mut().zip(before) {
        *words = _mm512_add_epi32(*words, before);
    }
}

/// One round, after which the state is turned by one word: FIPS 180-4, 6.2.2.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn round(state: &mut [Words; 8], word: Words, constant: u32) {
    let [a, b, c, d, e, f, g, h] = *state;
    let sum1 = xor(
        _mm512_ror_epi32::<6>(e),
        _mm512_ror_epi32::<11>(e),
        _mm512_ror_epi32::<25>(e),
    );
    let chosen = _mm512_ternarylogic_epi32::<CHOOSE>(e, f, g);
    let constant = _mm512_set1_epi32(constant.cast_signed());
    let first = add([h, _mm512_add_epi32(word, constant), chosen, sum1]);
    let sum0 = xor(
        _mm512_ror_epi32::<2>(a),
        _mm512_ror_epi32::<13>(a),
        _mm512_ror_epi32::<22>(a),
    );
    let majority = _mm512_ternarylogic_epi32::<MAJORITY>(a, b, c);
    let second = _mm512_add_epi32(sum0, majority);
    *state = [
        _mm512_add_epi32(first, second),
        a,
        b,
        c,
        _mm512_add_epi32(d, first),
        e,
        f,
        g,
    ];
}

/// The word of the schedule 16 positions after that at `at`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn extended(words: &[Words; 16], at: usize) -> Words {
    let [second, tenth, last] = [
        words[(at + 1) % 16],
        words[(at + 9) % 16],
        words[(at + 14) % 16],
    ];
    let sigma0 = xor(
        _mm512_ror_epi32::<7>(second),
        _mm512_ror_epi32::<18>(second),
        _mm512_srli_epi32::<3>(second),
    );
    let sigma1 = xor(
        _mm512_ror_epi32::<17>(last),
        _mm512_ror_epi32::<19>(last),
        _mm512_srli_epi32::<10>(last),
    );
    add([words[at], sigma0, tenth, sigma1])
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn xor(a: Words, b: Words, c: Words) -> Words {
    _mm512_ternarylogic_epi32::<XOR>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add([a, b, c, d]: [Words; 4]) -> Words {
    _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d))
}

/// The 16 big-endian words of each block: the blocks as rows of a matrix, transposed.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(blocks: [&[u8; COMPRESSED]; LANES]) -> [Words; 16] {
    let [high, low] = [0x0C0D_0E0F_0809_0A0B, 0x0405_0607_0001_0203];
    let swap = _mm512_set_epi64(high, low, high, low, high, low, high, low);
    let mut rows = [_mm512_setzero_si512(); 16];
    for (row, block) in rows.iter_mut().zip(blocks) {
        // SAFETY: 64 bytes are read, which is what the block has; no alignment is needed.
        let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        *row = _mm512_shuffle_epi8(bytes, swap);
    }
    // Four rows at a time, and within each quarter of their columns.
    let mut fours = rows;
    for (four, rows) in fours
        .as_chunks_mut::<4>()
        .0
        .iter_mut()
        .zip(rows.as_chunks::<4>().0)
    {
        let [a, b, c, d] = *rows;
        let [low_ab, low_cd] = [_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d)];
        let [high_ab, high_cd] = [_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d)];
        *four = [
            _mm512_unpacklo_epi64(low_ab, low_cd),
            _mm512_unpackhi_epi64(low_ab, low_cd),
            _mm512_unpacklo_epi64(high_ab, high_cd),
            _mm512_unpackhi_epi64(high_ab, high_cd),
        ];
    }
    // Quarter `q` of `fours[4 * r + c]` has column `4 * q + c` of the rows from `4 * r`.
    let mut words = [_mm512_setzero_si512(); 16];
    for column in 0..4 {
        let [a, b, c, d] = [0, 4, 8, 12].map(|four| fours[four + column]);
        let even = [
            _mm512_shuffle_i32x4::<0x88>(a, b),
            _mm512_shuffle_i32x4::<0x88>(c, d),
        ];
        let odd = [
            _mm512_shuffle_i32x4::<0xDD>(a, b),
            _mm512_shuffle_i32x4::<0xDD>(c, d),
        ];
        words[column] = _mm512_shuffle_i32x4::<0x88>(even[0], even[1]);
        words[column + 4] = _mm512_shuffle_i32x4::<0x88>(odd[0], odd[1]);
        words[column + 8] = _mm512_shuffle_i32x4::<0xDD>(even[0], even[1]);
        words[column + 12] = _mm512_shuffle_i32x4::<0xDD>(odd[0], odd[1]);
    }
    words
}

/// The digests of the final states.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn nodes(state: [Words; 8]) -> [Node; LANES] {
    let mut nodes = [[0; 32]; LANES];
    for (at, words) in state.into_iter().enumerate() {
        let mut each = [0_u32; LANES];
        // SAFETY: 64 bytes are written, which is what 16 words have; no alignment is needed.
        unsafe { _mm512_storeu_si512(each.as_mut_ptr().cast(), words) };
        for (node, word) in nodes.iter_mut().zip(each) {
            node.as_chunks_mut().0[at] = word.to_be_bytes();
        }
    }
    nodes
}
