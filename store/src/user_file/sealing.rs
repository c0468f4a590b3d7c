//! The key that a passphrase yields, and what it costs to compute.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use parking_lot::Mutex;
use rand::random;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use zeroize::{Zeroize as _, Zeroizing};

use super::passphrase::Passphrase;

/// Passes over the memory, of a file that this version writes.
const PASSES: u32 = 3;

/// Lanes of the memory: one, as most machines of attackers have more of them than this one.
const LANES: u32 = 1;

/// The most memory in KiB that a file may ask for. Others come from elsewhere.
const MAX_MEMORY_KIB: u32 = 256 * 1024;

/// The most passes and lanes that a file may ask for.
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;

/// KiB for a file without a passphrase, whose key is not a secret: the least of the algorithm.
const LEAST_MEMORY_KIB: u32 = 8;

/// One key is derived at a time, so that callers cannot add up its memory.
static DERIVING: Mutex<()> = Mutex::new(());

/// Memory that an attempt at a passphrase takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryCost {
    kib: u32,
}

impl MemoryCost {
    /// 64 MiB, for machines with a few hundred MiB or more.
    pub const USUAL: Self = Self { kib: 64 * 1024 };

    /// `bytes` of memory, between 8 KiB and 256 MiB.
    #[must_use]
    pub fn of_bytes(bytes: u64) -> Self {
        let kib = u32::try_from(bytes / 1024).unwrap_or(MAX_MEMORY_KIB);
        let kib = kib.clamp(LEAST_MEMORY_KIB, MAX_MEMORY_KIB);
        Self { kib }
    }
}

/// How a file is sealed: in clear in its header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Terms {
    pub(super) has_passphrase: bool,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: ByteArray<16>,
}

/// The key of a sealed file. Its memory is overwritten when it is dropped.
#[derive(Clone)]
pub struct SealingKey(Zeroizing<[u8; 32]>);

/// A key, and how it follows from the passphrase.
#[derive(Clone, Debug)]
pub(super) struct Sealing {
    pub(super) terms: Terms,
    pub(super) key: SealingKey,
}

impl SealingKey {
    /// A key of the 32 bytes that [`as_bytes`](Self::as_bytes) gave.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

impl Sealing {
    /// The key of a new file, with a new salt.
    pub(super) fn new(passphrase: Option<&Passphrase>, memory: MemoryCost) -> Self {
        let protected = passphrase.is_some();
        let terms = Terms {
            has_passphrase: protected,
            memory_kib: if protected {
                memory.kib
            } else {
                LEAST_MEMORY_KIB
            },
            passes: if protected { PASSES } else { 1 },
            lanes: LANES,
            salt: ByteArray::new(random()),
        };
        let key = terms
            .key(passphrase)
            .expect("the terms are within the bounds");
        Self { terms, key }
    }
}

impl Terms {
    /// The key that the passphrase yields; none if the terms are beyond the bounds.
    pub(super) fn key(&self, passphrase: Option<&Passphrase>) -> Option<SealingKey> {
        let is_bounded = self.memory_kib <= MAX_MEMORY_KIB
            && self.passes <= MAX_PASSES
            && self.lanes <= MAX_LANES;
        if !is_bounded {
            return None;
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok()?;
        let passphrase = passphrase.map(Passphrase::as_bytes).unwrap_or_default();
        let _alone = DERIVING.lock();
        let mut memory = vec![Block::default(); params.block_count()];
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut key = Zeroizing::new([0; 32]);
        let derived =
            argon.hash_password_into_with_memory(passphrase, &*self.salt, &mut *key, &mut memory);
        memory.zeroize();
        derived.ok().map(|()| SealingKey(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_of_others_are_bounded() {
        let terms = Sealing::new(None, MemoryCost::USUAL).terms;
        assert!(terms.key(None).is_some());
        let most = Terms {
            passes: MAX_PASSES,
            lanes: 1,
            ..terms.clone()
        };
        assert!(most.key(None).is_some());
        for over in [
            Terms {
                memory_kib: MAX_MEMORY_KIB + 1,
                ..terms.clone()
            },
            Terms {
                passes: MAX_PASSES + 1,
                ..terms.clone()
            },
            Terms {
                lanes: MAX_LANES + 1,
                ..terms.clone()
            },
            // Less than the algorithm takes.
            Terms {
                memory_kib: 1,
                ..terms.clone()
            },
            Terms {
                passes: 0,
                ..terms.clone()
            },
            Terms { lanes: 0, ..terms },
        ] {
            assert!(over.key(None).is_none(), "{over:?}");
        }
    }

    #[test]
    fn memory_is_cut_to_its_bounds() {
        assert_eq!(MemoryCost::of_bytes(64 << 20), MemoryCost::USUAL);
        assert_eq!(MemoryCost::of_bytes(0).kib, LEAST_MEMORY_KIB);
        assert_eq!(MemoryCost::of_bytes(u64::MAX).kib, MAX_MEMORY_KIB);
    }
}
