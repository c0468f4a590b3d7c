//! Requests catalogues from peers, page by page, until a deadline.

use std::time::Duration;

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
    let fetches = peers.into_iter().map(|peer| async move {
        if group.is_some() {
            let connected = timeout_at(deadline, network.connect(Some(peer), Vec::new())).await;
            if !matches!(connected, Ok(Ok(_))) {
                // It is offline, as far as can be known.
                let entries = remembered(&peer);
                let mut merge = merge.lock();
                let mut part = merge.begin_absent();
                let has_all = merge.take(&mut part, entries);
                merge.end(&part);
                return has_all;
            }
        }
        fetch(network, peer, group, merge, deadline).await
    });
    let fetches = stream::iter(fetches).buffer_unordered(at_a_time);
    let are_whole: Vec<bool> = fetches.collect().await;
    let incomplete = are_whole.into_iter().filter(|is_whole| !is_whole).count();
    let listed = std::mem::replace(&mut *merge.lock(), Merge::new(0)).finish();
    Catalogue { listed, incomplete }
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
