//! What is to be downloaded, and how downloads run.

use std::time::Duration;

use libp2p::PeerId;
use pelago_content::Hash;

use super::Output;
use crate::{
    network::PeerAddress,
    store::{Links, Scopes},
};

/// What is to be downloaded, whence, and where to.
#[derive(Clone, Debug)]
pub struct Request {
    /// What.
    pub hash: Hash,
    /// What it is called, if somebody said so.
    pub name: Option<String>,
    /// Where to.
    pub output: Output,
    /// Peers to ask, beside those that are found.
    pub peers: Vec<PeerAddress>,
    /// Only these peers may be asked; `None`: anyone.
    pub allowed: Option<Vec<PeerId>>,
    /// How long nothing may arrive.
    pub timeout: Duration,
    /// Whether it waits for a source after that, for as long as a person lets it, instead of failing.
    pub waits: bool,
    /// Of a folder: which files, as globs over their paths in it; none: all.
    pub only: Vec<String>,
    /// Whether other content at the target may be replaced.
    pub overwrite: bool,
    /// Of a folder: which symbolic links are created.
    pub links: Links,
    /// Of a folder: whether to refuse it if the file system of the target cannot hold a name in it.
    pub strict_names: bool,
    /// Of a folder: whether it may have far more entries than its manifests account for.
    pub may_expand: bool,
    /// Whether to wait at the end until the file is safe from a power loss.
    pub durable: bool,
    /// Whether a node that starts again goes on with it.
    pub resume_on_start: bool,
    /// Whether whoever started it is to share it on; kept for later runs.
    pub seed: bool,
    /// Who may know of it.
    pub scopes: Scopes,
    /// Whether everyone may, once a source says that it lists it.
    pub lists_as_sources: bool,
}

/// How downloads run.
#[derive(Clone, Debug)]
pub struct TransferSettings {
    /// Downloads that fetch at a time; others wait for their turn.
    pub max_downloads: usize,
    /// Sources of one download, at most.
    pub max_sources: usize,
    /// Candidates that are being connected to or asked what they have at a time, at most: many of those
    /// named by the DHT may be gone, and each of these takes until a time-out.
    pub max_asked: usize,
    /// Bytes in flight at one source, at most.
    pub window: u64,
    /// How long a source may send nothing of what it was asked for.
    pub stall: Duration,
    /// Whether what is done is shared on at all, at first.
    pub seed: bool,
    /// Bytes of content that was only read and may stay here, at most.
    pub read_cache: u64,
    /// Bytes that are fetched ahead of all readers together, at most.
    pub read_ahead: u64,
}
