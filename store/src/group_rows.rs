//! What the rows of the table of groups are, and what they are about. Never uses the database.

use pelago_content::Hash;
use pelago_groups::GroupId;
use sha2::{Digest as _, Sha256};

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupRow {
    /// A statement of a group, by its slot.
    Statement = 1,
    /// What this node remembers of a group beside its statements.
    Facts = 2,
    /// A request to join a group, by the user who asks.
    Request = 3,
    /// An invite that the user of this node has minted, by its key.
    Invite = 4,
    /// The request of the user of this node to join a group.
    Join = 5,
    /// What the user of this node states of himself.
    Profile = 6,
    /// What a member shared when it was last connected, by its peer id.
    Catalogue = 7,
    /// What is known from a group, by the content or the digest of a name; see [`Known`].
    Known = 8,
}

/// Something that is known from a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// Content.
    Content(Hash),
    /// The digest of the name of content, as names may be long.
    Name([u8; 32]),
}

impl Known {
    /// A name of content.
    #[must_use]
    pub fn name(name: &str) -> Self {
        Self::Name(Sha256::digest(name).into())
    }

    /// What its rows belong to, and the beginning of their keys. The group follows.
    pub(crate) const fn parts(&self) -> (&[u8; 32], u8) {
        match self {
            Self::Content(hash) => (hash.as_bytes(), 0),
            Self::Name(digest) => (digest, 1),
        }
    }

    /// What a row is about; `None` for a row of another version.
    pub(crate) fn from_row(of: &[u8; 32], key: &[u8]) -> Option<(Self, GroupId)> {
        let (kind, group) = key.split_first()?;
        let group = GroupId::from_bytes(group.try_into().ok()?);
        match kind {
            0 => Some((Self::Content(Hash::from_bytes(*of)), group)),
            1 => Some((Self::Name(*of), group)),
            _ => None,
        }
    }
}
