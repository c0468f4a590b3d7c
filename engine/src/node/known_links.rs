//! The names and peers in links that people asked to read.

use std::collections::VecDeque;

use parking_lot::Mutex;
use pelago_content::{Hash, Link};

use super::{PeerAddress, link_peers::peers_of};

/// The most links that are remembered; the oldest are forgotten first.
const MAX_LINKS: usize = 256;

/// The most peers of a link that are remembered.
const MAX_LINK_PEERS: usize = 16;

/// The links that people asked to read, the latest at the end.
#[derive(Default)]
pub(super) struct KnownLinks(Mutex<VecDeque<KnownLink>>);

struct KnownLink {
    hash: Hash,
    name: Option<String>,
    peers: Vec<PeerAddress>,
}

impl KnownLinks {
    pub(super) fn remember(&self, link: &Link) {
        let mut peers = peers_of(link);
        peers.truncate(MAX_LINK_PEERS);
        // A bare hash has nothing to remember, and must not replace an earlier link.
        if peers.is_empty() && link.name.is_none() {
            return;
        }
        let mut links = self.0.lock();
        links.retain(|known| known.hash != link.hash);
        links.push_back(KnownLink {
            hash: link.hash,
            name: link.name.clone(),
            peers,
        });
        if links.len() > MAX_LINKS {
            links.pop_front();
        }
    }

    pub(super) fn of(&self, hash: &Hash) -> (Option<String>, Vec<PeerAddress>) {
        let links = self.0.lock();
        let known = links.iter().find(|known| known.hash == *hash);
        let known = known.map(|known| (known.name.clone(), known.peers.clone()));
        known.unwrap_or_default()
    }
}
