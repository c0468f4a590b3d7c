//! The running queries in the DHT, and the callers that wait for them.

use std::collections::{HashMap, HashSet};

use libp2p::{PeerId, kad::QueryId};
use tokio::sync::{mpsc, oneshot};

use super::AnnounceError;

/// Providers that one search passes on, at most: more would only be idle connections.
const MAX_PROVIDERS: usize = 64;

/// A search for providers.
struct Lookup {
    found: mpsc::Sender<PeerId>,
    passed_on: HashSet<PeerId>,
}

/// All running queries.
#[derive(Default)]
pub(super) struct DhtQueries {
    searches: HashMap<QueryId, Lookup>,
    peers: HashMap<QueryId, oneshot::Sender<()>>,
    announcements: HashMap<QueryId, oneshot::Sender<Result<u32, AnnounceError>>>,
}

impl DhtQueries {
    pub(super) fn search(&mut self, query: QueryId, found: mpsc::Sender<PeerId>) {
        self.searches.insert(
            query,
            Lookup {
                found,
                passed_on: HashSet::new(),
            },
        );
    }

    pub(super) fn announcement(
        &mut self,
        query: QueryId,
        reply: oneshot::Sender<Result<u32, AnnounceError>>,
    ) {
        self.announcements.insert(query, reply);
    }

    pub(super) fn look_for_peer(&mut self, query: QueryId, reply: oneshot::Sender<()>) {
        self.peers.insert(query, reply);
    }

    /// A search has ended, after which the dialer has the addresses that were named. Returns whether
    /// it was one for a peer.
    pub(super) fn peer_search_ended(&mut self, query: QueryId) -> bool {
        let reply = self.peers.remove(&query);
        let is_known = reply.is_some();
        if let Some(reply) = reply {
            let _ = reply.send(());
        }
        is_known
    }

    /// Passes on the new ones among the `providers` that the search found, and returns them.
    pub(super) fn found(
        &mut self,
        query: QueryId,
        providers: impl IntoIterator<Item = PeerId>,
    ) -> Vec<PeerId> {
        let Some(lookup) = self.searches.get_mut(&query) else {
            return Vec::new();
        };
        let mut new = Vec::new();
        for provider in providers {
            if lookup.passed_on.len() < MAX_PROVIDERS
                && lookup.passed_on.insert(provider)
                && lookup.found.try_send(provider).is_ok()
            {
                new.push(provider);
            }
        }
        new
    }

    /// Whether the search has found enough, or its reader is gone.
    pub(super) fn is_enough(&self, query: QueryId) -> bool {
        self.searches.get(&query).is_none_or(|lookup| {
            lookup.found.is_closed() || lookup.passed_on.len() >= MAX_PROVIDERS
        })
    }

    /// Ends the search: its reader sees the end of the channel.
    pub(super) fn search_ended(&mut self, query: QueryId) {
        self.searches.remove(&query);
    }

    pub(super) fn announced(&mut self, query: QueryId, result: Result<u32, AnnounceError>) {
        if let Some(reply) = self.announcements.remove(&query) {
            let _ = reply.send(result);
        }
    }
}
