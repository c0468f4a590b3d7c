//! Where the next page of a catalogue starts.
//!
//! The same content may be shared under several names and from several paths, and a page may end
//! between such shares. A cursor travels to the peer and back, so it holds no path, and only a
//! part of a hash, with which nothing can be fetched: the hash may be unlisted.

use pelago_content::Hash;

use crate::store::{Cursor, Share};

/// Bytes of a hash in a cursor. Two hashes with the same prefix do not occur in practice: an even
/// chance of one such pair would take 2^64 shares.
const PREFIX_LEN: usize = 16;

/// A position among the shares, in the order of their hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CatalogueCursor {
    prefix: [u8; PREFIX_LEN],
    /// How many shares of that hash earlier pages covered.
    shares: u32,
}

impl CatalogueCursor {
    /// Decodes a cursor that a peer sent back; `None` if this node sends no such cursor.
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

    /// The store's cursor before the first share of the hash.
    pub(super) fn before_hash(self) -> Cursor {
        let mut hash = [0; 32];
        hash[..PREFIX_LEN].copy_from_slice(&self.prefix);
        Cursor::before(Hash::from_bytes(hash))
    }
}

/// Counts shares as a page is filled, and skips those on earlier pages.
pub(super) struct CatalogueWalk {
    skipped: Option<CatalogueCursor>,
    at: CatalogueCursor,
    /// Hash and name of the share before, so that content shared under one name from several paths
    /// is listed once where those shares are adjacent.
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

    /// Takes the next share in order; returns whether it belongs on this page: no earlier page
    /// covered it, and it does not repeat the share before it.
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

    /// Where the next page starts.
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
