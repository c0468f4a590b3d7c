//! A share, as people see it.

use std::path::PathBuf;

use pelago_content::{Descriptor, Hash, Kind, Link};
use pelago_groups::GroupId;

use crate::{
    access::{Action, permits},
    store::{Scopes, Share},
};

/// A share of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Its hash.
    pub hash: Hash,
    /// Its name.
    pub name: String,
    /// Its size in bytes; for a folder, that of all files below.
    pub size: u64,
    /// File or folder.
    pub kind: Kind,
    /// Its path.
    pub path: PathBuf,
    /// With whom it is shared.
    pub scopes: Scopes,
    /// The link by which others download it. It names a group if the content is shared with groups
    /// alone.
    pub link: Link,
    /// The content that was shared at its path until now, if that was other content.
    pub replaced: Option<Hash>,
    /// Whether a program had it, or a file in it, open for writing when it was hashed. Chunks of
    /// such a file are verified before they are sent.
    pub in_doubt: bool,
    /// Notes on how it was shared, each a sentence: which entries are left out, and which link was
    /// followed.
    pub notes: Vec<String>,
    /// After it was unshared with some: whether it is still shared, in the scopes that are left.
    pub is_still_shared: bool,
}

impl From<Share> for Shared {
    fn from(share: Share) -> Self {
        let scopes = share.scopes;
        Self::new(
            share.descriptor,
            share.name,
            share.totals.bytes,
            share.path,
            &scopes,
        )
    }
}

impl Shared {
    pub(super) fn new(
        descriptor: Descriptor,
        name: String,
        size: u64,
        path: PathBuf,
        scopes: &Scopes,
    ) -> Self {
        let hash = descriptor.hash();
        let link = Link {
            hash,
            name: Some(name.clone()),
            size: Some(size),
            is_unlisted: !is_listed(scopes),
            group: group_of(scopes).map(|group| *group.as_bytes()),
            peers: Vec::new(),
        };
        Self {
            hash,
            name,
            size,
            kind: descriptor.kind(),
            path,
            scopes: scopes.clone(),
            link,
            replaced: None,
            in_doubt: false,
            notes: Vec::new(),
            is_still_shared: false,
        }
    }
}

/// The group that a link names: the first one, if others cannot fetch the content.
#[must_use]
pub fn group_of(scopes: &Scopes) -> Option<GroupId> {
    let is_groups = !permits(scopes, Action::Fetch);
    scopes.groups().next().filter(|_| is_groups)
}

/// Whether catalogues list content in these scopes.
pub(super) fn is_listed(scopes: &Scopes) -> bool {
    permits(scopes, Action::List)
}
