//! Reads catalogues: of one peer, of all peers in reach, or to find content by name.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use futures::{StreamExt, stream};
use libp2p::PeerId;
use pelago_behaviour::catalogue::CatalogueEntry;
use pelago_content::Hash;
use pelago_groups::GroupId;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Catalogue, Choice, ListError, Listed, Sharer,
    fetch::{ASKED_AT_A_TIME, FetchError, PEER_TIMEOUT, fetch_all, fetch_group, read_pages},
    merge::Merge,
    remembered,
};
use crate::{
    access::{Circle, Memberships},
    network::{Closed, Network, PeerAddress},
    node::DownloadError,
    store::Store,
};

/// The most contents of one name that an error lists, those that most peers have first: more than a
/// person reads, and with all their names less than one line of an answer holds.
const MAX_CHOICES: usize = 20;

/// The most peers that are named for one choice.
const MAX_SHARERS: usize = 4;

/// How long to wait for further peers after the first answers, so that a name that several peers
/// use for different content is found to be ambiguous.
const GATHERING: Duration = Duration::from_secs(1);

/// Content that was found by its name.
pub(in crate::node) struct Named {
    pub(in crate::node) hash: Hash,
    pub(in crate::node) name: String,
    /// The peers that have it.
    pub(in crate::node) peers: Vec<PeerId>,
}

/// The catalogue of the peer at `address`.
pub(in crate::node) async fn of_peer(
    network: &Network,
    address: &PeerAddress,
) -> Result<Catalogue, ListError> {
    let connected = network
        .connect(address.peer(), vec![address.address().clone()])
        .await;
    let unreachable = |source| ListError::Unreachable {
        peer: address.to_string(),
        source,
    };
    let peer = connected.map_err(unreachable)?;
    let (mut merge, deadline) = (Merge::new(1), Instant::now() + PEER_TIMEOUT);
    let (mut part, mut has_come) = (merge.begin(peer), false);
    let take = |entries| {
        has_come = true;
        merge.take(&mut part, entries)
    };
    let read = read_pages(network, peer, ("", None), deadline, take).await;
    let is_whole = match read {
        Ok(is_whole) => is_whole,
        Err(FetchError::TooLong | FetchError::TooManyPages) if has_come => false,
        Err(error) => {
            return Err(ListError::NoCatalogue {
                peer: address.to_string(),
                reason: error.to_string(),
            });
        }
    };
    Ok(Catalogue {
        listed: merge.finish(),
        incomplete: usize::from(!is_whole),
    })
}

/// The catalogues of all peers in reach, after waiting `wait` for peers to connect.
pub(in crate::node) async fn of_network(
    network: &Network,
    wait: Duration,
) -> Result<Catalogue, ListError> {
    tokio::time::sleep(wait).await;
    let peers = network.peers().await?.into_iter();
    let peers = peers.map(|peer| peer.peer_id).collect();
    Ok(fetch_all(network, peers).await)
}

/// What the members of `group` share with it, after waiting `wait` for peers to connect. Each answers
/// for itself; of those that cannot be reached, `store` has what they shared last.
pub(in crate::node) async fn of_group(
    network: &Network,
    store: &Store,
    memberships: &Memberships,
    group: GroupId,
    wait: Duration,
) -> Catalogue {
    tokio::time::sleep(wait).await;
    let mut members = memberships.members(&group);
    members.retain(|peer| *peer != network.local_peer_id());
    fetch_group(network, members, group, |peer| {
        remembered::of(store, group, peer)
    })
    .await
}

/// Finds content by `name`, at the peers `among` or at all in reach of those in the circle, within
/// `within`.
pub(in crate::node) async fn find_name(
    network: &Network,
    name: &str,
    circle: &Circle,
    among: Option<&[PeerId]>,
    within: Duration,
) -> Result<Named, DownloadError> {
    let deadline = Instant::now() + within;
    let mut arrivals = network.arrivals();
    let mut asked = HashSet::new();
    let mut found: Vec<(PeerId, Vec<CatalogueEntry>)> = Vec::new();
    let mut gathered_at = None;
    loop {
        let connected = network.peers().await.map_err(|Closed| Closed)?;
        let connected = connected.into_iter().map(|peer| peer.peer_id);
        let is_asked =
            |peer: &PeerId| circle.has(peer) && among.is_none_or(|among| among.contains(peer));
        let new = connected
            .filter(is_asked)
            .filter(|peer| asked.insert(*peer))
            .collect();
        found.extend(find_at(network, new, (name, circle.group()), deadline).await);
        let everyone_asked = among.is_some_and(|among| asked.len() >= among.len());
        let now = Instant::now();
        if !asked.is_empty() {
            gathered_at.get_or_insert((now + GATHERING).min(deadline));
        }
        let is_found = found.iter().any(|(_, entries)| !entries.is_empty());
        if is_found && (everyone_asked || gathered_at.is_some_and(|at| at <= now)) {
            let connected = network.peers().await.map_err(|Closed| Closed)?;
            let names = connected
                .into_iter()
                .filter_map(|peer| Some((peer.peer_id, peer.name?)));
            return decide(name, found, &names.collect());
        }
        if now >= deadline {
            return Err(DownloadError::NameNotFound {
                name: name.to_owned(),
                asked: asked.len(),
            });
        }
        let until = gathered_at
            .filter(|at| is_found && *at > now)
            .unwrap_or(deadline);
        tokio::select! {
            // Whether one arrived or some were missed: the connected peers are listed again.
            _ = timeout_at(until, arrivals.recv()) => {}
            () = sleep_until(until) => {}
        }
    }
}

fn decide(
    name: &str,
    found: Vec<(PeerId, Vec<CatalogueEntry>)>,
    names: &HashMap<PeerId, String>,
) -> Result<Named, DownloadError> {
    let mut peers: HashMap<Hash, BTreeSet<PeerId>> = HashMap::new();
    for (peer, entries) in &found {
        for entry in entries {
            peers.entry(entry.hash).or_default().insert(*peer);
        }
    }
    if peers.len() == 1
        && let Some((hash, peers)) = peers.iter().next()
    {
        return Ok(Named {
            hash: *hash,
            name: name.to_owned(),
            peers: peers.iter().copied().collect(),
        });
    }
    let choice = |listed: Listed| {
        let sharers = peers.get(&listed.hash).into_iter().flatten();
        let mut from: Vec<_> = sharers
            .map(|peer| Sharer {
                peer_id: *peer,
                name: names.get(peer).cloned(),
            })
            .collect();
        from.sort_by(|a, b| (a.name.is_none(), &a.name).cmp(&(b.name.is_none(), &b.name)));
        from.truncate(MAX_SHARERS);
        Choice { listed, from }
    };
    let mut merge = Merge::new(found.len());
    for (peer, entries) in found {
        let mut part = merge.begin(peer);
        merge.take(&mut part, entries);
    }
    let mut listed = merge.finish();
    listed.sort_by_key(|listed| Reverse(listed.peers));
    listed.truncate(MAX_CHOICES);
    Err(DownloadError::Ambiguous {
        name: name.to_owned(),
        choices: listed.into_iter().map(choice).collect(),
    })
}

/// The content that each of `peers` shares under exactly this name, as much as an error lists.
/// Peers that do not answer are left out.
async fn find_at(
    network: &Network,
    peers: Vec<PeerId>,
    (name, group): (&str, Option<GroupId>),
    deadline: Instant,
) -> Vec<(PeerId, Vec<CatalogueEntry>)> {
    let fetches = peers.into_iter().map(|peer| async move {
        let mut found: Vec<CatalogueEntry> = Vec::new();
        let take = |entries: Vec<CatalogueEntry>| {
            for entry in entries {
                let is_known = found.iter().any(|known| known.hash == entry.hash);
                if entry.name == name && !is_known && found.len() <= MAX_CHOICES {
                    found.push(entry);
                }
            }
            found.len() <= MAX_CHOICES
        };
        let read = read_pages(network, peer, (name, group), deadline, take).await;
        match read {
            // Entries that arrived in time count.
            Ok(_) | Err(FetchError::TooLong | FetchError::TooManyPages) => Some((peer, found)),
            Err(error) => {
                tracing::debug!(%peer, %error, "the peer sent no catalogue");
                None
            }
        }
    });
    let found = stream::iter(fetches).buffer_unordered(ASKED_AT_A_TIME);
    found.filter_map(std::future::ready).collect().await
}

/// Gives `take` the hashes in the catalogue of a connected peer, or in that of a group, as they
/// arrive.
pub(in crate::node) async fn of_connected(
    network: &Network,
    peer: PeerId,
    group: Option<GroupId>,
    mut take: impl FnMut(Hash),
) -> Result<(), String> {
    let deadline = Instant::now() + PEER_TIMEOUT;
    let take = |entries: Vec<CatalogueEntry>| {
        entries.iter().for_each(|entry| take(entry.hash));
        true
    };
    let read = read_pages(network, peer, ("", group), deadline, take).await;
    read.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use pelago_content::Kind;

    use super::*;

    fn entry(hash: u8, name: &str) -> CatalogueEntry {
        let hash = Hash::from_bytes([hash; 32]);
        CatalogueEntry {
            hash,
            name: name.to_owned(),
            kind: Kind::File,
            size: 1,
        }
    }

    #[test]
    fn a_name_of_two_contents_is_ambiguous() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let names = HashMap::from([(b, "bert".to_owned())]);
        let same = vec![(a, vec![entry(1, "x")]), (b, vec![entry(1, "x")])];
        assert_eq!(decide("x", same, &names).unwrap().peers.len(), 2);
        let two = vec![
            (a, vec![entry(1, "x")]),
            (b, vec![entry(1, "x"), entry(2, "x")]),
        ];
        let Err(error) = decide("x", two, &names) else {
            panic!("decided")
        };
        let text = error.to_string();
        assert!(text.contains(&format!("1 byte, from bert, {a}")), "{text}");
        assert!(text.ends_with("1 byte, from bert"), "{text}");
    }
}
