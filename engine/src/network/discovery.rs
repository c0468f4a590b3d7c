//! Discovery of sources: merges links, given addresses, connected peers, peers named by others,
//! and the DHT into one stream of candidates. A search among the members of a group offers them alone,
//! and asks the DHT nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use libp2p::PeerId;
use pelago_content::Hash;
use rand::seq::SliceRandom as _;
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    time::sleep,
};

use super::{Candidate, FoundBy, Network, PeerAddress};

/// Candidates that wait for the reader, at most; the search then waits.
const CANDIDATES_QUEUED: usize = 64;

/// Pause between two queries of the DHT: new providers appear while a download runs.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(10);

/// Peers that a search accepts from other peers, at most: each one costs an attempt to connect.
const MAX_NAMED: usize = 1024;

/// Peers that a search accepts from one other peer, at most: peers that are reached name others in
/// turn.
const MAX_NAMED_BY_ONE: usize = 64;

/// Members of a group that a search tries to reach at a time, at known addresses.
const MEMBERS_TRIED: usize = 32;

/// The only peers among whom to search, as they are at the time of a call.
pub type Members = Arc<dyn Fn() -> Vec<PeerId> + Send + Sync>;

/// Waits until the next query of the DHT, or of a group, may be made.
pub type LookupPace = Box<dyn FnMut() -> BoxFuture<'static, ()> + Send>;

/// The pace of a search that finds new providers as they appear.
pub async fn steady_pace() {
    sleep(LOOKUP_INTERVAL).await;
}

/// A search for candidates, which runs until it is dropped.
pub struct Discovery {
    candidates: mpsc::Receiver<Candidate>,
    seen: HashSet<PeerId>,
    local: PeerId,
    among: Option<Members>,
    /// Peers that others named and that were not offered yet.
    named: Vec<Candidate>,
    /// How many peers were named so far, in total and by each namer.
    names: usize,
    names_by: HashMap<PeerId, usize>,
}

impl Discovery {
    /// Searches for `hash`, starting with the peers at `given`. If there is `among`, only these peers
    /// are offered, and `given` addresses whose peers are not known.
    #[must_use]
    pub fn find(
        network: &Network,
        hash: Hash,
        mut given: Vec<PeerAddress>,
        among: Option<Members>,
        pace: LookupPace,
    ) -> Self {
        let (sender, candidates) = mpsc::channel(CANDIDATES_QUEUED);
        let local = network.local_peer_id();
        match &among {
            Some(members) => {
                let now = members();
                given.retain(|address| address.peer().is_none_or(|peer| now.contains(&peer)));
                tokio::spawn(from_members(
                    local,
                    Arc::clone(members),
                    sender.clone(),
                    pace,
                ));
            }
            None => {
                tokio::spawn(from_dht(network.clone(), hash, sender.clone(), pace));
            }
        }
        tokio::spawn(from_given(given, sender.clone()));
        tokio::spawn(from_connected(network.clone(), among.clone(), sender));
        Self {
            candidates,
            seen: HashSet::new(),
            local,
            among,
            named: Vec::new(),
            names: 0,
            names_by: HashMap::new(),
        }
    }

    /// The next candidate that was not offered before; `None` when there will be no more.
    pub async fn next(&mut self) -> Option<Candidate> {
        loop {
            if let Some(candidate) = self.named.pop() {
                return Some(candidate);
            }
            let candidate = self.candidates.recv().await?;
            let is_new = candidate.peer.is_none_or(|peer| self.seen.insert(peer));
            // A candidate that the user named is tried even if it was found in another way before.
            if is_new || candidate.found_by == FoundBy::Given {
                return Some(candidate);
            }
        }
    }

    /// Adds a peer that `namer` named: it is offered unless it was before. Ignores peers without
    /// an id, and further peers once `namer` named 64 or all namers 1,024.
    pub fn add_named(&mut self, namer: PeerId, address: &PeerAddress) {
        let Some(peer) = address.peer().filter(|peer| self.may_offer(peer)) else {
            return;
        };
        let by_namer = self.names_by.get(&namer).copied().unwrap_or(0);
        let is_full = by_namer >= MAX_NAMED_BY_ONE || self.names >= MAX_NAMED;
        if !is_full && self.seen.insert(peer) {
            self.names += 1;
            self.names_by.insert(namer, by_namer + 1);
            let bare = Some(address.address().clone()).filter(|address| !address.is_empty());
            self.named.push(Candidate {
                addresses: bare.into_iter().collect(),
                named_by: Some(namer),
                ..Candidate::known(peer, FoundBy::Named)
            });
        }
    }

    /// Adds a peer that made itself known: it asked for the content, or lists it.
    pub fn add_peer(&mut self, peer: PeerId) {
        if self.may_offer(&peer) && self.names < MAX_NAMED && self.seen.insert(peer) {
            self.names += 1;
            self.named.push(Candidate::known(peer, FoundBy::Named));
        }
    }

    fn may_offer(&self, peer: &PeerId) -> bool {
        let among = self.among.as_ref();
        *peer != self.local && among.is_none_or(|members| members().contains(peer))
    }

    /// Forgets that `peer` was offered, so that it is offered again when it is found again.
    pub fn forget(&mut self, peer: &PeerId) {
        self.seen.remove(peer);
    }
}

async fn from_given(given: Vec<PeerAddress>, sender: mpsc::Sender<Candidate>) {
    for address in given {
        if sender.send(Candidate::given(&address)).await.is_err() {
            return;
        }
    }
}

async fn from_connected(network: Network, among: Option<Members>, sender: mpsc::Sender<Candidate>) {
    let mut arrivals = network.arrivals();
    let offer = |peer| Candidate::known(peer, FoundBy::Connected);
    loop {
        let Ok(connected) = network.peers().await else {
            return;
        };
        let members = among.as_ref().map(|members| members());
        let is_among = |peer: &PeerId| members.as_ref().is_none_or(|m| m.contains(peer));
        let connected = connected.into_iter().map(|peer| peer.peer_id);
        for peer in connected.filter(is_among) {
            if sender.send(offer(peer)).await.is_err() {
                return;
            }
        }
        loop {
            let arrived = tokio::select! {
                arrived = arrivals.recv() => arrived,
                () = sender.closed() => return,
            };
            match arrived {
                Ok(peer)
                    if among
                        .as_ref()
                        .is_some_and(|members| !members().contains(&peer)) => {}
                Ok(peer) if sender.send(offer(peer)).await.is_err() => return,
                Ok(_) => {}
                // The receiver missed some arrivals: list all connected peers again.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// Offers the members of a group, some at a time and in a new order each time, so that those are
/// reached whose addresses are known.
async fn from_members(
    local: PeerId,
    members: Members,
    sender: mpsc::Sender<Candidate>,
    mut pace: LookupPace,
) {
    loop {
        let mut members = members();
        members.retain(|peer| *peer != local);
        members.shuffle(&mut rand::rng());
        for peer in members.into_iter().take(MEMBERS_TRIED) {
            let candidate = Candidate::known(peer, FoundBy::Member);
            if sender.send(candidate).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = pace() => {}
            () = sender.closed() => return,
        }
    }
}

async fn from_dht(
    network: Network,
    hash: Hash,
    sender: mpsc::Sender<Candidate>,
    mut pace: LookupPace,
) {
    let mut routable = network.routable();
    loop {
        // Without known nodes, the search starts as soon as one is known.
        let joined = async { routable.wait_for(|nodes| *nodes > 0).await.is_ok() };
        let is_joined = tokio::select! {
            is_joined = joined => is_joined,
            () = sender.closed() => false,
        };
        if !is_joined {
            return;
        }
        let Ok(mut providers) = network.find_providers(hash).await else {
            return;
        };
        while let Some(peer) = providers.recv().await {
            let candidate = Candidate::known(peer, FoundBy::Dht);
            if sender.send(candidate).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = pace() => {}
            () = sender.closed() => return,
        }
    }
}
