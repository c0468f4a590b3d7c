//! Where a catalogue goes on: which shares of which hash have been on earlier pages.
//!
//! The same content may be shared under several names, from many shares, and a page may end between
//! them. A cursor goes to the peer and comes back from it, so it tells no path, and of a hash only so
//! much that nothing can be fetched with it: the hash may be unlisted.

use pelago_content::Hash;

use crate::store::{Cursor, Share};

/// Bytes of a hash that a cursor tells. Two hashes that begin alike are never met: 2^64 shares would
/// be needed for an even chance.
const PREFIX_LEN: usize = 16;

/// A place among the shares, in the order of their hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CatalogueCursor {
    prefix: [u8; PREFIX_LEN],
    /// Shares of that hash that are behind.
    shares: u32,
}

impl CatalogueCursor {
    /// What a peer sent back; `None` if it is nothing that we send.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (prefix, shares) = bytes.split_first_chunk()?;
        let shares = u32::from_be_bytes(shares.try_into().ok()?);
        Some(Self {
            prefix: *prefix,
            shares,
        })
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        [&self.prefix[..], &self.shares.to_be_bytes()].concat()
    }

    /// Before the first share of the hash.
    pub(super) fn before_hash(self) -> Cursor {
        let mut hash = [0; 32];
        hash[..PREFIX_LEN].copy_from_slice(&self.prefix);
        Cursor::before(Hash::from_bytes(hash))
    }
}

/// Counts shares as they are looked at, and knows which were on earlier pages.
pub(super) struct CatalogueWalk {
    skipped: Option<CatalogueCursor>,
    at: CatalogueCursor,
    /// The hash and name seen last, so that content shared under one name from several shares is
    /// listed once where these follow each other.
    last: Option<(Hash, String)>,
}

impl CatalogueWalk {
    pub(super) fn after(cursor: Option<CatalogueCursor>) -> Self {
        let at = CatalogueCursor {
            prefix: [0; PREFIX_LEN],
            shares: 0,
        };
        Self {
            skipped: cursor,
            at,
            last: None,
        }
    }

    /// Takes the next share in order; whether it was on no earlier page, and is not what was listed
    /// just before.
    pub(super) fn is_new(&mut self, share: &Share) -> bool {
        let prefix = share
            .hash
            .as_bytes()
            .first_chunk()
            .copied()
            .unwrap_or_default();
        if prefix != self.at.prefix {
            self.at = CatalogueCursor { prefix, shares: 0 };
        }
        self.at.shares = self.at.shares.saturating_add(1);
        let was_before = self
            .skipped
            .is_some_and(|skipped| skipped.prefix == prefix && self.at.shares <= skipped.shares);
        let named = Some((share.hash, share.name.clone()));
        let is_repeated = self.last == named;
        self.last = named;
        !was_before && !is_repeated
    }

    /// Where the next page goes on.
    pub(super) fn cursor(&self) -> CatalogueCursor {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_and_anything_else_is_refused() {
        let cursor = CatalogueCursor {
            prefix: [7; PREFIX_LEN],
            shares: 300,
        };
        assert_eq!(
            CatalogueCursor::from_bytes(&cursor.to_bytes()),
            Some(cursor)
        );
        for bytes in [&[][..], &[1; 19], &[1; 21], &[1; 8192]] {
            assert_eq!(CatalogueCursor::from_bytes(bytes), None);
        }
    }
}
