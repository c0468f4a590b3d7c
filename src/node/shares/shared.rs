//! Something that this node shares, as people see it.

use std::path::PathBuf;

use pelago_content::{Descriptor, Hash, Kind, Link};

use crate::{
    access::{Action, allows},
    store::{Scopes, Share},
};

/// Something shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Its hash.
    pub hash: Hash,
    /// What it is called.
    pub name: String,
    /// Its bytes; a folder's in all files below.
    pub size: u64,
    /// File or folder.
    pub kind: Kind,
    /// Where it lies.
    pub path: PathBuf,
    /// All that a receiver needs.
    pub link: Link,
    /// What was listed at its path until now, if that was other content.
    pub replaced: Option<Hash>,
    /// Whether a program still had it, or a file in it, open for writing when it was hashed: what is
    /// sent of such a file is proven first.
    pub in_doubt: bool,
    /// What to know of how it was shared, each in a sentence: what is left out, and which link was followed.
    pub notes: Vec<String>,
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
            peers: Vec::new(),
        };
        Self {
            hash,
            name,
            size,
            kind: descriptor.kind(),
            path,
            link,
            replaced: None,
            in_doubt: false,
            notes: Vec::new(),
        }
    }
}

/// Whether everyone is told of what is in these scopes.
pub(super) fn is_listed(scopes: &Scopes) -> bool {
    scopes.iter().any(|scope| allows(scope, Action::List))
}
