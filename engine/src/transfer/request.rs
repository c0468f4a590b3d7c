//! What a download is asked for: the content, the peers to ask, and where the content goes.

use std::{sync::Arc, time::Duration};

use libp2p::PeerId;
use pelago_content::Hash;
use pelago_groups::GroupId;

use super::Output;
use crate::{
    access::{Action, permits},
    network::PeerAddress,
    store::{Cache, DatabaseError, Links, Scope, Scopes, Store},
};

/// How long a download that the node resumes looks for a source before it waits for one.
pub(super) const RESUME_TIMEOUT: Duration = Duration::from_secs(30);

/// A request for a download.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to fetch, and from which peers.
    pub wanted: Wanted,
    /// Where it goes.
    pub delivery: Delivery,
}

/// What to fetch, and from which peers.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The hash of the content.
    pub hash: Hash,
    /// Peers to ask, in addition to those that discovery finds.
    pub peers: Vec<PeerAddress>,
    /// The only peers that may be asked; `None` if any peer may.
    pub allowed: Option<Vec<PeerId>>,
    /// The group in which to fetch it: from its members, by what they share with it. `None`: from
    /// anyone, outside groups.
    pub group: Option<GroupId>,
    /// How long the download continues while nothing arrives.
    pub timeout: Duration,
    /// Whether the download then waits for a source until the user stops it, instead of failing.
    pub waits: bool,
    /// Whether it fails as soon as all peers in reach were asked in vain, and 3 s have passed.
    pub gives_up: bool,
}

impl Wanted {
    /// Whether content that this node shares already counts as found. In a group, only what the group,
    /// or anyone with the hash, may have does: so no member learns by a download what else is here.
    /// Blocks.
    pub(super) fn is_offered_here(&self, store: &Store) -> Result<bool, DatabaseError> {
        let Some(group) = self.group else {
            return Ok(true);
        };
        let counts = |scopes: Scopes| {
            permits(&scopes, Action::Fetch) || scopes.contains(Scope::Group(group))
        };
        Ok(store.scopes(&self.hash)?.is_some_and(counts))
    }
}

/// Where content goes, and what happens to it there.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The name of the content, if the user or a link gave one.
    pub name: Option<String>,
    /// Where to put it.
    pub output: Output,
    /// If this node shares all of the content already: whether that is the result, where it is,
    /// instead of a copy at the output.
    pub in_place: bool,
    /// Of a folder: globs over the paths in it that select the files; empty for all files.
    pub only: Vec<String>,
    /// Whether other content at the target may be replaced.
    pub overwrite: bool,
    /// Of a folder: which symbolic links are created.
    pub links: Links,
    /// Of a folder: whether to refuse it if the file system of the target cannot hold a name in it.
    pub strict_names: bool,
    /// Of a folder: whether it may have more than 100,000 entries.
    pub may_expand: bool,
    /// Whether the download is done only when its content would survive a power cut.
    pub durable: bool,
    /// Whether a node resumes the download when it starts again.
    pub resume_on_start: bool,
    /// Whether the node shares the content afterwards. Later runs keep this.
    pub seed: bool,
    /// Who may learn that this node has the content.
    pub scopes: Scopes,
    /// Whether everyone may learn it, once a source says that it lists the content.
    pub lists_as_sources: bool,
}

/// Whether a run is the first one of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    First,
    /// An earlier run may have put some of the content in its place.
    Later,
}

/// What becomes of the content that a run fetches.
#[derive(Clone)]
pub(super) enum Purpose {
    /// All of it is put in its place.
    Deliver(Arc<Delivery>, Attempt),
    /// The parts that readers want are cached, for as long as there are readers.
    Read {
        /// Where to store them.
        cache: Cache,
        /// Every peer that has this has the content: the content itself, or a folder with it.
        found_by: Hash,
    },
}

impl Purpose {
    /// Where the content goes; `None` if it is only read.
    pub(super) fn delivery(&self) -> Option<&Arc<Delivery>> {
        match self {
            Self::Deliver(delivery, _) => Some(delivery),
            Self::Read { .. } => None,
        }
    }

    /// Whether the content is only read.
    pub(super) const fn is_reading(&self) -> bool {
        matches!(self, Self::Read { .. })
    }
}
