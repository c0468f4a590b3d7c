//! The parts of a running node, which its handle, its duties and its downloads share.
//!
//! A type that is a field here never names [`NodeCore`] or `Node`: what the node does with it is in
//! a file of its own.

use std::time::Instant;

use pelago_groups::GroupId;

use super::{
    LocalUser, Settings, being_written::WriteTracker, catalogues::CatalogueCache, gauges::Gauges,
    incoming::IncomingFiles, known_links::KnownLinks, watch::Watches,
};
use crate::{
    access::{CompletedDownloads, Memberships},
    duties::Duties,
    groups::Groups,
    limits::Limits,
    network::{MovedBytes, Network},
    publish::Publisher,
    serve::{RehashQueue, Uploads},
    store::Store,
    transfer::Transfers,
};

/// The parts of a running node.
pub(super) struct NodeCore {
    pub(super) settings: Settings,
    /// The user whose node this is; none for a node without a user, or whose user is logged out.
    pub(super) user: Option<LocalUser>,
    pub(super) store: Store,
    pub(super) memberships: Memberships,
    /// The group with which the watched folders share, if they do not share with everyone.
    pub(super) share_group: Option<GroupId>,
    pub(super) network: Network,
    pub(super) publisher: Publisher,
    pub(super) groups: Groups,
    pub(super) transfers: Transfers,
    pub(super) limits: Limits,
    pub(super) rehash: RehashQueue,
    pub(super) incoming: IncomingFiles,
    pub(super) uploads: Uploads,
    /// Bytes that earlier runs moved.
    pub(super) moved_before: MovedBytes,
    pub(super) completed: CompletedDownloads,
    pub(super) being_written: WriteTracker,
    pub(super) duties: Duties,
    pub(super) watches: Watches,
    pub(super) gauges: Gauges,
    pub(super) links: KnownLinks,
    pub(super) catalogue: CatalogueCache,
    pub(super) started: Instant,
}
