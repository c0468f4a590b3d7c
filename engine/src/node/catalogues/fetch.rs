//! Requests catalogues from peers, page by page, until a deadline.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use futures::{StreamExt, stream};
use libp2p::PeerId;
use parking_lot::Mutex;
use pelago_behaviour::{
    FrameError, Protocol, Stall,
    catalogue::{self, CatalogueEntry, MAX_ENTRIES},
};
use pelago_groups::GroupId;
use tokio::time::{Instant, timeout_at};

use super::{Catalogue, merge::Merge};
use crate::network::{Network, StreamError};

/// The most peers that are asked at a time.
pub(super) const ASKED_AT_A_TIME: usize = 16;

/// The most members of a group that are reached and asked at a time.
const MEMBERS_AT_A_TIME: usize = 32;

/// Connections to members of a group, at most, that stay when all members are asked: the others are
/// for other peers. Further members are left once they were asked.
const MAX_CONNECTED: usize = 128;

/// The most pages of one catalogue: twice as many as the accepted entries fill. Pages may be short,
/// even empty, where much is filtered out, but their number has to be bounded.
const MAX_PAGES: usize = 2 * 100_000 / MAX_ENTRIES;

/// How long one peer may take to send its catalogue.
pub(super) const PEER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long all peers together may take to send their catalogues.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why a catalogue is incomplete.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("it took too long")]
    TooLong,
    #[error("it has too many pages")]
    TooManyPages,
}

/// The catalogues of connected `peers`, within the budget. Peers that do not answer are left out.
pub(super) async fn fetch_all(network: &Network, peers: Vec<PeerId>) -> Catalogue {
    fetch_from(network, peers, None, ASKED_AT_A_TIME, |_| Vec::new()).await
}

/// The catalogues of `group` at its `members`, as of [`fetch_all`]. Those that are not connected are
/// reached at known addresses; of the others `remembered` has what they shared last.
pub(super) async fn fetch_group(
    network: &Network,
    members: Vec<PeerId>,
    group: GroupId,
    remembered: impl Fn(&PeerId) -> Vec<CatalogueEntry>,
) -> Catalogue {
    fetch_from(network, members, Some(group), MEMBERS_AT_A_TIME, remembered).await
}

async fn fetch_from(
    network: &Network,
    peers: Vec<PeerId>,
    group: Option<GroupId>,
    at_a_time: usize,
    remembered: impl Fn(&PeerId) -> Vec<CatalogueEntry>,
) -> Catalogue {
    let remembered = &remembered;
    let deadline = Instant::now() + TIMEOUT;
    let merge = Mutex::new(Merge::new(peers.len()));
    let merge = &merge;
    let visits = match group {
        Some(_) => Some(Visits::new(network, &peers, MAX_CONNECTED).await),
        None => None,
    };
    let visits = visits.as_ref();
    let fetches = peers.into_iter().map(|peer| async move {
        if let Some(visits) = visits
            && !visits.begin(peer, deadline).await
        {
            // It is offline, as far as can be known.
            let entries = remembered(&peer);
            let mut merge = merge.lock();
            let mut part = merge.begin_absent();
            let has_all = merge.take(&mut part, entries);
            merge.end(&part);
            return has_all;
        }
        let is_whole = fetch(network, peer, group, merge, deadline).await;
        if let Some(visits) = visits {
            visits.end(peer).await;
        }
        is_whole
    });
    let fetches = stream::iter(fetches).buffer_unordered(at_a_time);
    let are_whole: Vec<bool> = fetches.collect().await;
    let incomplete = are_whole.into_iter().filter(|is_whole| !is_whole).count();
    let listed = std::mem::replace(&mut *merge.lock(), Merge::new(0)).finish();
    Catalogue { listed, incomplete }
}

/// Visits to members of a group, of whom a bounded number stays connected.
struct Visits<'n> {
    network: &'n Network,
    /// Those that were connected before.
    connected: HashSet<PeerId>,
    /// How many others may stay.
    free: AtomicUsize,
}

impl<'n> Visits<'n> {
    /// Of `members`, `at_most` stay connected, and all that are connected now.
    async fn new(network: &'n Network, members: &[PeerId], at_most: usize) -> Self {
        let mut connected = HashSet::new();
        for peer in network.peers().await.unwrap_or_default() {
            if members.contains(&peer.peer_id) {
                connected.insert(peer.peer_id);
            }
        }
        Self {
            network,
            free: AtomicUsize::new(at_most.saturating_sub(connected.len())),
            connected,
        }
    }

    /// Connects to `peer` at known addresses. Returns whether it is connected.
    async fn begin(&self, peer: PeerId, deadline: Instant) -> bool {
        let connecting = self.network.connect(Some(peer), Vec::new());
        matches!(timeout_at(deadline, connecting).await, Ok(Ok(_)))
    }

    /// Leaves `peer`, unless it may stay.
    async fn end(&self, peer: PeerId) {
        let one_less = |free: usize| free.checked_sub(1);
        let stays = self.connected.contains(&peer)
            || self.free.fetch_update(Relaxed, Relaxed, one_less).is_ok();
        if !stays {
            self.network.leave(peer).await;
        }
    }
}

/// Merges the catalogue of one peer. Returns whether it is complete, as far as can be known.
async fn fetch(
    network: &Network,
    peer: PeerId,
    group: Option<GroupId>,
    merge: &Mutex<Merge>,
    deadline: Instant,
) -> bool {
    let lock = || merge.lock();
    let mut part = lock().begin(peer);
    let take = |entries| lock().take(&mut part, entries);
    let read = read_pages(network, peer, ("", group), deadline, take).await;
    lock().end(&part);
    match read {
        Ok(is_last) => is_last,
        Err(error) => {
            tracing::debug!(%peer, %error, "the catalogue is missing or incomplete");
            matches!(error, FetchError::Stream(_))
        }
    }
}

/// Gives the pages of a connected peer to `take`, until that returns false: the entries that match
/// the query, outside groups or in the catalogue of a group. Returns whether it was given all.
pub(super) async fn read_pages(
    network: &Network,
    peer: PeerId,
    query: (&str, Option<GroupId>),
    deadline: Instant,
    take: impl FnMut(Vec<CatalogueEntry>) -> bool,
) -> Result<bool, FetchError> {
    let deadline = deadline.min(Instant::now() + PEER_TIMEOUT);
    let pages = pages(network, peer, query, take);
    let read = timeout_at(deadline, pages).await;
    read.unwrap_or(Err(FetchError::TooLong))
}

async fn pages(
    network: &Network,
    peer: PeerId,
    (query, group): (&str, Option<GroupId>),
    mut take: impl FnMut(Vec<CatalogueEntry>) -> bool,
) -> Result<bool, FetchError> {
    let query = &query[..query.floor_char_boundary(catalogue::MAX_QUERY)];
    let stream = network.open(peer, Protocol::Catalogue).await?;
    let mut stream = Stall::new(stream, PEER_TIMEOUT);
    let mut request = catalogue::Request {
        query: query.to_owned(),
        cursor: None,
        group,
    };
    for _ in 0..MAX_PAGES {
        catalogue::write_request(&mut stream, &request).await?;
        let page = catalogue::read_page(&mut stream).await?;
        // It is not a member as it knows it, or does not know groups and lists what everyone may.
        if page.group != group {
            return Ok(true);
        }
        request.cursor = page.next;
        let has_room = take(page.entries);
        if request.cursor.is_none() {
            return Ok(true);
        }
        if !has_room {
            return Ok(false);
        }
    }
    Err(FetchError::TooManyPages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{duties::Duties, network::testing};

    /// ```text
    ///   walker --- three members, of whom the first is connected before
    /// ```
    #[tokio::test]
    async fn of_the_members_who_are_asked_a_bounded_number_stays_connected() {
        let duties = [(); 4].map(|()| Duties::default());
        let walker = testing::listening(&duties[0]).await;
        let (mut members, mut arrivals) = (Vec::new(), walker.arrivals());
        for duties in &duties[1..] {
            let member = testing::listening(duties).await;
            let address = member.listen_addresses().await.unwrap();
            walker.connect(None, address).await.unwrap();
            arrivals.recv().await.unwrap();
            members.push(member);
        }
        let ids: Vec<_> = members.iter().map(Network::local_peer_id).collect();
        let mut departures = walker.departures();
        for id in &ids[1..] {
            walker.leave(*id).await;
            departures.changed().await.unwrap();
        }
        let visits = Visits::new(&walker, &ids, 2).await;
        let deadline = Instant::now() + PEER_TIMEOUT;
        for id in &ids {
            assert!(visits.begin(*id, deadline).await);
        }
        for id in &ids {
            visits.end(*id).await;
        }
        departures.changed().await.unwrap();
        let left = walker.peers().await.unwrap();
        let left: HashSet<_> = left.iter().map(|peer| peer.peer_id).collect();
        assert_eq!(left, ids[..2].iter().copied().collect());
    }
}
