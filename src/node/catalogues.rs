//! What others share: one peer's catalogue, everyone's in reach, and who has something of a name.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
    time::Duration,
};

use futures::{StreamExt, stream};
use libp2p::PeerId;
use pelago_behaviour::{
    FrameError, Protocol, Stall,
    catalogue::{self, Entry, MAX_ENTRIES},
};
use pelago_content::{Hash, Kind, is_unsafe};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::{DownloadError, ListError};
use crate::{
    network::{Closed, Network, PeerAddress, StreamError},
    store::ShareState,
};

/// Entries taken from one peer, at most: as many as a node is built to share. A catalogue without end
/// is cut off here.
const MAX_ENTRIES_PER_PEER: usize = 100_000;

/// Bytes of names taken from one peer, at most: as many entries with names of ordinary length.
const MAX_NAME_BYTES_PER_PEER: usize = 8 << 20;

/// Peers asked at a time.
const ASKED_AT_A_TIME: usize = 16;

/// Contents of one name that are told, at most, those that most peers have: more than a person reads, and
/// with all their names less than a line of an answer holds.
const MAX_CHOICES: usize = 20;

/// Peers told of one choice, at most.
const MAX_SHARERS: usize = 4;

/// How long one peer may take to send its catalogue.
const PEER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long others are waited for after the first peer turned up, so that a name which several have
/// is seen to be ambiguous.
const GATHERING: Duration = Duration::from_secs(1);

/// Of those who have something, so many are told by name: people read no more in a list.
const TOLD_HOLDERS: usize = 2;

/// Something that is shared, by us or by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its hash.
    pub hash: Hash,
    /// What it is called. Untrusted, if others share it.
    pub name: String,
    /// What it weighs, in bytes.
    pub size: u64,
    /// File or folder.
    pub kind: Kind,
    /// How many other peers in reach have it.
    pub peers: u64,
    /// The first of them, two at most.
    pub holders: Vec<PeerId>,
    /// Where it lies, if this node shares it.
    pub path: Option<PathBuf>,
    /// Whether it can be had from this node, if this node shares it.
    pub state: ShareState,
    /// Of a folder that this node shares: files that are not available.
    pub unavailable_files: u64,
}

/// One of several contents that are shared under one name, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What it is.
    pub listed: Listed,
    /// Who shares it, as far as that is told: those with names first.
    pub from: Vec<Sharer>,
}

/// A peer that shares something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharer {
    /// Who it is.
    pub peer_id: PeerId,
    /// What it calls itself. Untrusted.
    pub name: Option<String>,
}

impl Sharer {
    /// A word by which it can be chosen: its name if that can be seen and typed, else its id.
    #[must_use]
    pub fn word(&self) -> String {
        let is_plain = |name: &&String| !name.is_empty() && !name.contains(is_unsafe);
        match self.name.as_ref().filter(is_plain) {
            Some(name) => name.clone(),
            None => self.peer_id.to_string(),
        }
    }
}

/// Something that has been found by its name.
pub(super) struct Named {
    pub(super) hash: Hash,
    pub(super) name: String,
    /// Who has it.
    pub(super) peers: Vec<PeerId>,
}

/// The catalogue of the peer at `address`.
pub(super) async fn of_peer(
    network: &Network,
    address: &PeerAddress,
) -> Result<Vec<Listed>, ListError> {
    let connected = network
        .connect(address.peer(), vec![address.address().clone()])
        .await;
    let unreachable = |source| ListError::Unreachable {
        peer: address.to_string(),
        source,
    };
    let peer = connected.map_err(unreachable)?;
    let entries = fetch(network, peer, String::new()).await;
    let no_catalogue = |reason| ListError::NoCatalogue {
        peer: address.to_string(),
        reason,
    };
    Ok(merged([(peer, entries.map_err(no_catalogue)?)]))
}

/// The catalogues of all peers in reach, after waiting `wait` for peers to turn up.
pub(super) async fn of_network(
    network: &Network,
    wait: Duration,
) -> Result<Vec<Listed>, ListError> {
    tokio::time::sleep(wait).await;
    let peers = network
        .peers()
        .await?
        .into_iter()
        .map(|peer| peer.peer_id)
        .collect();
    Ok(merged(fetch_all(network, peers, "").await))
}

/// Finds what is called `name`, at the peers `among` or at all in reach, within `within`.
pub(super) async fn find_name(
    network: &Network,
    name: &str,
    among: Option<&[PeerId]>,
    within: Duration,
) -> Result<Named, DownloadError> {
    let deadline = Instant::now() + within;
    let mut arrivals = network.arrivals();
    let mut asked = HashSet::new();
    let mut found: Vec<(PeerId, Vec<Entry>)> = Vec::new();
    let mut gathered_at = None;
    loop {
        let connected = network.peers().await.map_err(|Closed| Closed)?;
        let connected = connected.into_iter().map(|peer| peer.peer_id);
        let is_asked = |peer: &PeerId| among.is_none_or(|among| among.contains(peer));
        let new = connected
            .filter(is_asked)
            .filter(|peer| asked.insert(*peer))
            .collect();
        for (peer, entries) in fetch_all(network, new, name).await {
            let entries: Vec<_> = entries.into_iter().filter(|e| e.name == name).collect();
            found.push((peer, entries));
        }
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
            // Whether one came or some were missed: those who are there are listed again.
            _ = timeout_at(until, arrivals.recv()) => {}
            () = sleep_until(until) => {}
        }
    }
}

fn decide(
    name: &str,
    found: Vec<(PeerId, Vec<Entry>)>,
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
    let mut listed = merged(found);
    listed.sort_by_key(|listed| Reverse(listed.peers));
    listed.truncate(MAX_CHOICES);
    Err(DownloadError::Ambiguous {
        name: name.to_owned(),
        choices: listed.into_iter().map(choice).collect(),
    })
}

/// The catalogues of `peers`; those that do not answer are left out.
async fn fetch_all(
    network: &Network,
    peers: Vec<PeerId>,
    query: &str,
) -> Vec<(PeerId, Vec<Entry>)> {
    let fetches = peers.into_iter().map(|peer| async move {
        let entries = fetch(network, peer, query.to_owned()).await;
        let told = entries.inspect_err(|error| tracing::debug!(%peer, error, "no catalogue"));
        Some((peer, told.ok()?))
    });
    stream::iter(fetches)
        .buffer_unordered(ASKED_AT_A_TIME)
        .filter_map(|e| async { e })
        .collect()
        .await
}

/// The hashes that a connected peer lists.
pub(super) async fn of_connected(
    network: &Network,
    peer: PeerId,
) -> Result<impl Iterator<Item = Hash> + use<>, String> {
    let entries = fetch(network, peer, String::new()).await?;
    Ok(entries.into_iter().map(|entry| entry.hash))
}

async fn fetch(network: &Network, peer: PeerId, query: String) -> Result<Vec<Entry>, String> {
    match timeout(PEER_TIMEOUT, read_pages(network, peer, query)).await {
        Ok(entries) => entries.map_err(|error| error.to_string()),
        Err(_) => Err(format!("it took longer than {} s", PEER_TIMEOUT.as_secs())),
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

async fn read_pages(
    network: &Network,
    peer: PeerId,
    mut query: String,
) -> Result<Vec<Entry>, FetchError> {
    query.truncate(query.floor_char_boundary(catalogue::MAX_QUERY));
    let stream = network.open(peer, Protocol::Catalogue).await?;
    let mut stream = Stall::new(stream, PEER_TIMEOUT);
    let mut request = catalogue::Request {
        query,
        cursor: None,
    };
    let (mut entries, mut name_bytes) = (Vec::new(), 0);
    // Pages may be short, even empty, where much is filtered out; but not without end.
    for _ in 0..2 * MAX_ENTRIES_PER_PEER / MAX_ENTRIES {
        catalogue::write_request(&mut stream, &request).await?;
        let page = catalogue::read_page(&mut stream).await?;
        name_bytes += page.entries.iter().map(|e| e.name.len()).sum::<usize>();
        entries.extend(page.entries);
        request.cursor = page.next;
        let is_enough =
            entries.len() >= MAX_ENTRIES_PER_PEER || name_bytes >= MAX_NAME_BYTES_PER_PEER;
        if request.cursor.is_none() || is_enough {
            break;
        }
    }
    entries.truncate(MAX_ENTRIES_PER_PEER);
    Ok(entries)
}

/// One list of several catalogues, by name: what several peers have under one name stands in it
/// once.
fn merged(catalogues: impl IntoIterator<Item = (PeerId, Vec<Entry>)>) -> Vec<Listed> {
    let mut listed: BTreeMap<(String, Hash), Listed> = BTreeMap::new();
    for (peer, entries) in catalogues {
        let mut counted = HashSet::new();
        for Entry {
            hash,
            name,
            kind,
            size,
        } in entries
        {
            let key = (name.clone(), hash);
            let is_new = counted.insert(key.clone());
            let entry = listed.entry(key).or_insert(Listed {
                hash,
                name,
                size,
                kind,
                peers: 0,
                holders: Vec::new(),
                path: None,
                state: ShareState::Available,
                unavailable_files: 0,
            });
            entry.peers += u64::from(is_new);
            if is_new && entry.holders.len() < TOLD_HOLDERS {
                entry.holders.push(peer);
            }
        }
    }
    listed.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(hash: u8, name: &str) -> Entry {
        let hash = Hash::from_bytes([hash; 32]);
        Entry {
            hash,
            name: name.to_owned(),
            kind: Kind::File,
            size: 1,
        }
    }

    #[test]
    fn what_several_peers_have_is_listed_once() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let listed = merged([
            (a, vec![entry(1, "x"), entry(1, "x"), entry(2, "a")]),
            (b, vec![entry(1, "x"), entry(3, "x")]),
        ]);
        assert_eq!(listed[1].holders, [a, b]);
        let told: Vec<_> = listed
            .iter()
            .map(|l| (l.name.as_str(), l.hash.as_bytes()[0], l.peers))
            .collect();
        assert_eq!(told, [("a", 2, 1), ("x", 1, 2), ("x", 3, 1)]);
    }

    #[test]
    fn a_name_of_two_contents_is_for_people_to_decide() {
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
        let told = error.to_string();
        assert!(told.contains(&format!("1 byte, from bert, {a}")), "{told}");
        assert!(told.ends_with("1 byte, from bert"), "{told}");
    }

    #[test]
    fn a_peer_is_called_by_what_can_be_typed() {
        let peer_id = PeerId::random();
        let word = |name: Option<&str>| {
            let name = name.map(str::to_owned);
            Sharer { peer_id, name }.word()
        };
        assert_eq!(word(Some("anna")), "anna");
        for nothing in [None, Some(""), Some("a\nb")] {
            assert_eq!(word(nothing), peer_id.to_string());
        }
    }
}
