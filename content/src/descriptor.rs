//! The descriptor: the 41 bytes that determine a hash.
//!
//! Owns which descriptors are valid: a value has passed every check that needs no content. Only
//! proofs show whether its size and root are true. Invalid descriptors result in a
//! [`DescriptorError`].

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{Geometry, Hash, MAX_SIZE, Node, padding};

/// Separates hashes of descriptors from every other use of SHA-256. Fixed by the protocol.
const CONTENT_DOMAIN: &[u8] = b"pelago/content/1";

/// What the bytes of some content mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A file, as found.
    File = 0,
    /// The manifest of one directory.
    Folder = 1,
}

impl TryFrom<u8> for Kind {
    type Error = DescriptorError;

    fn try_from(found: u8) -> Result<Self, DescriptorError> {
        match found {
            0 => Ok(Self::File),
            1 => Ok(Self::Folder),
            _ => Err(DescriptorError::Kind { found }),
        }
    }
}

/// The word `file` or `folder`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::File => "file",
            Self::Folder => "folder",
        })
    }
}

/// Kind, size and root of some content, well-formed.
///
/// The size is a *claim* until the last block has been verified: allocate nothing in proportion to
/// it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Descriptor {
    kind: Kind,
    size: u64,
    root: Node,
}

impl Descriptor {
    /// How many bytes an encoded descriptor has: kind 1, size 8, root 32.
    pub const LEN: usize = 41;

    /// Describes content of `size` bytes below `root`.
    ///
    /// # Errors
    ///
    /// [`DescriptorError::Size`] above [`MAX_SIZE`]; [`DescriptorError::Root`] if one of size and
    /// root means "empty" and the other does not.
    pub fn new(kind: Kind, size: u64, root: Node) -> Result<Self, DescriptorError> {
        if size > MAX_SIZE {
            return Err(DescriptorError::Size { found: size });
        }
        if (size == 0) != (root == padding(0)) {
            return Err(DescriptorError::Root { size });
        }
        Ok(Self { kind, size, root })
    }

    /// Parses the 41 bytes: kind, size (big-endian), root.
    ///
    /// # Errors
    ///
    /// Those of [`Descriptor::new`], [`DescriptorError::Length`] for any other number of bytes,
    /// and [`DescriptorError::Kind`] for an unknown kind.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DescriptorError> {
        let wrong = DescriptorError::Length { found: bytes.len() };
        let (kind, rest) = bytes.split_first_chunk::<1>().ok_or(wrong)?;
        let (size, rest) = rest.split_first_chunk::<8>().ok_or(wrong)?;
        let root = rest.try_into().map_err(|_| wrong)?;
        Self::new(Kind::try_from(kind[0])?, u64::from_be_bytes(*size), root)
    }

    /// The 41 bytes. Each descriptor has exactly one encoding.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = self.kind as u8;
        bytes[1..9].copy_from_slice(&self.size.to_be_bytes());
        bytes[9..].copy_from_slice(&self.root);
        bytes
    }

    /// The hash: the one name of this content.
    pub fn hash(&self) -> Hash {
        let digest = Sha256::new_with_prefix(CONTENT_DOMAIN).chain_update(self.to_bytes());
        Hash::from_bytes(digest.finalize().into())
    }

    /// What the bytes mean.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// How many bytes the content has, as claimed.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The top node of the tree.
    pub const fn root(&self) -> Node {
        self.root
    }

    /// The shape of the tree, which follows from the size.
    pub const fn geometry(&self) -> Geometry {
        Geometry::new(self.size)
    }
}

/// Why a descriptor is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// Not 41 bytes.
    #[error("a descriptor has 41 bytes, this has {found}")]
    Length {
        /// How many bytes there are.
        found: usize,
    },
    /// A kind that is unknown to this version.
    #[error("kind {found} is unknown; expected 0 (file) or 1 (folder)")]
    Kind {
        /// The kind's byte.
        found: u8,
    },
    /// Larger than any content.
    #[error("a size of {found} bytes is over the limit of {MAX_SIZE} bytes (1 PiB)")]
    Size {
        /// The size, in bytes.
        found: u64,
    },
    /// Only one of size and root means that there is no content.
    #[error("size {size} and root disagree: a root is all zeroes exactly if the size is 0")]
    Root {
        /// The size, in bytes.
        size: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_and_are_laid_out_as_specified() {
        let descriptor = Descriptor::new(Kind::Folder, 0x0102, [7; 32]).unwrap();
        let bytes = descriptor.to_bytes();
        assert_eq!(bytes[..9], [1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(bytes[9..], [7; 32]);
        assert_eq!(Descriptor::from_bytes(&bytes), Ok(descriptor));
    }

    #[test]
    fn malformed_descriptors_are_refused() {
        let good = Descriptor::new(Kind::File, MAX_SIZE, [7; 32])
            .unwrap()
            .to_bytes();
        for length in (0..Descriptor::LEN).chain([42, 1000]) {
            let mut bytes = good.to_vec();
            bytes.resize(length, 0);
            let error = Err(DescriptorError::Length { found: length });
            assert_eq!(Descriptor::from_bytes(&bytes), error);
        }
        let mut kind = good;
        kind[0] = 2;
        assert_eq!(
            Descriptor::from_bytes(&kind),
            Err(DescriptorError::Kind { found: 2 })
        );
        let mut size = good;
        size[8] = 1;
        let error = Err(DescriptorError::Size {
            found: MAX_SIZE + 1,
        });
        assert_eq!(Descriptor::from_bytes(&size), error);
    }

    #[test]
    fn only_empty_content_has_the_zero_root() {
        let new = |size, root| Descriptor::new(Kind::File, size, root);
        assert!(new(0, [0; 32]).is_ok());
        assert_eq!(new(0, [1; 32]), Err(DescriptorError::Root { size: 0 }));
        assert_eq!(new(1, [0; 32]), Err(DescriptorError::Root { size: 1 }));
    }

    #[test]
    fn the_kind_is_part_of_the_hash() {
        let new = |kind| Descriptor::new(kind, 1, [7; 32]).unwrap();
        assert_ne!(new(Kind::File).hash(), new(Kind::Folder).hash());
    }
}
