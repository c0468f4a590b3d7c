//! Reads catalogues: of one peer, of all peers in reach, or to find content by name.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use futures::{StreamExt, stream};
use libp2p::PeerId;
use pelago_behaviour::catalogue::CatalogueEntry;
use pelago_content::Hash;
use pelago_groups::GroupId;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    Catalogue, Choice, ListError, Listed, Sharer,
    fetch::{ASKED_AT_A_TIME, FetchError, PEER_TIMEOUT, fetch_all, fetch_group, read_pages},
    merge::Merge,
    remembered,
};
use crate::{
    access::Memberships,
    network::{Closed, Network, PeerAddress, Settling},
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

/// How long members of groups may take to say whether they share a name there, before it is asked for
/// outside.
const GROUPS_FIRST: Duration = Duration::from_secs(3);

/// A name, and where to look for content that has it.
pub(in crate::node) struct NameSearch<'n> {
    pub(in crate::node) name: &'n str,
    /// The digits with which hashes are listed as well, if the name may be the beginning of one.
    pub(in crate::node) digits: Option<String>,
    /// Shows how many peers were asked.
    pub(in crate::node) asked: &'n watch::Sender<usize>,
    /// Whether it ends as soon as all peers in reach were asked in vain, and 3 s have passed.
    pub(in crate::node) gives_up: bool,
    /// The groups whose members are asked.
    pub(in crate::node) groups: BTreeSet<GroupId>,
    /// Whether all peers are asked what they share outside groups.
    pub(in crate::node) is_outside: bool,
    /// Whether the name is known from a group. Outside, peers are not asked for such a name, which
    /// would tell it to them: this node reads their whole catalogues.
    pub(in crate::node) is_secret: bool,
    pub(in crate::node) memberships: Memberships,
}

impl NameSearch<'_> {
    /// The groups in which to ask `peer`.
    fn groups_of(&self, peer: &PeerId) -> impl Iterator<Item = GroupId> {
        let theirs = self.memberships.groups_of(peer);
        theirs
            .into_iter()
            .filter(|group| self.groups.contains(group))
    }

    /// Whether content with this name and hash is listed.
    fn lists(&self, name: &str, hash: &Hash) -> bool {
        let has_digits = |digits: &String| hash.to_string().starts_with(digits);
        name == self.name || self.digits.as_ref().is_some_and(has_digits)
    }

    fn asks(&self, peer: &PeerId) -> bool {
        self.is_outside || self.groups_of(peer).next().is_some()
    }
}

/// What a peer shares under a name, in a group or outside.
struct Found {
    peer: PeerId,
    group: Option<GroupId>,
    entries: Vec<CatalogueEntry>,
}

/// Content that was found by its name.
pub(in crate::node) struct Named {
    pub(in crate::node) hash: Hash,
    /// The group in which it was found; `None` outside groups.
    pub(in crate::node) group: Option<GroupId>,
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

/// Finds content by its name, at the peers `among` or at all in reach, within `within`. Members of
/// groups are asked first. Content in several places is ambiguous: a member of a group must not take
/// the place of what others share under the name, nor they that of the group's.
pub(in crate::node) async fn find_name(
    network: &Network,
    search: &NameSearch<'_>,
    among: Option<&[PeerId]>,
    within: Duration,
) -> Result<Named, DownloadError> {
    let deadline = Instant::now() + within;
    let mut arrivals = network.arrivals();
    let mut asked = HashSet::new();
    let mut found: Vec<Found> = Vec::new();
    let mut gathered_at = None;
    let mut settling = search.gives_up.then(|| network.settling());
    loop {
        // All that have connected by now are asked below.
        let is_settled = settling.as_ref().is_some_and(Settling::is_settled);
        let connected = network.peers().await.map_err(|Closed| Closed)?;
        let connected = connected.into_iter().map(|peer| peer.peer_id);
        let is_asked =
            |peer: &PeerId| search.asks(peer) && among.is_none_or(|among| among.contains(peer));
        let new: Vec<_> = connected
            .filter(is_asked)
            .filter(|peer| asked.insert(*peer))
            .collect();
        search.asked.send_replace(asked.len());
        find_at(network, search, new, deadline, &mut found).await;
        let everyone_asked = among.is_some_and(|among| asked.len() >= among.len());
        let now = Instant::now();
        if !asked.is_empty() {
            gathered_at.get_or_insert((now + GATHERING).min(deadline));
        }
        let is_found = found.iter().any(|found| !found.entries.is_empty());
        if is_found && (everyone_asked || gathered_at.is_some_and(|at| at <= now)) {
            let connected = network.peers().await.map_err(|Closed| Closed)?;
            let names = connected
                .into_iter()
                .filter_map(|peer| Some((peer.peer_id, peer.name?)));
            return decide(search.name, found, &names.collect());
        }
        if now >= deadline || is_settled && !is_found {
            return Err(DownloadError::NameNotFound {
                name: search.name.to_owned(),
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
            () = Settling::settled(&mut settling), if !is_settled => {}
        }
    }
}

/// The one content in one place that was found; or the choices, each with the peers that share it.
fn decide(
    name: &str,
    found: Vec<Found>,
    names: &HashMap<PeerId, String>,
) -> Result<Named, DownloadError> {
    let mut peers: BTreeMap<(Option<GroupId>, Hash), BTreeSet<PeerId>> = BTreeMap::new();
    let mut places: BTreeMap<Option<GroupId>, Vec<Found>> = BTreeMap::new();
    for found in found {
        for entry in &found.entries {
            let sharers = peers.entry((found.group, entry.hash)).or_default();
            sharers.insert(found.peer);
        }
        places.entry(found.group).or_default().push(found);
    }
    // A few digits of a hash are easily forged: they only list what they may mean.
    let mut entries = places.values().flatten().flat_map(|found| &found.entries);
    let are_named = entries.any(|entry| entry.name == name);
    if peers.len() == 1
        && are_named
        && let Some(((group, hash), peers)) = peers.iter().next()
    {
        return Ok(Named {
            hash: *hash,
            group: *group,
            peers: peers.iter().copied().collect(),
        });
    }
    let choice = |group: Option<GroupId>, listed: Listed| {
        let sharers = peers.get(&(group, listed.hash)).into_iter().flatten();
        let mut from: Vec<_> = sharers
            .map(|peer| Sharer {
                peer_id: *peer,
                name: names.get(peer).cloned(),
            })
            .collect();
        from.sort_by(|a, b| (a.name.is_none(), &a.name).cmp(&(b.name.is_none(), &b.name)));
        from.truncate(MAX_SHARERS);
        Choice {
            listed,
            group,
            group_name: None,
            from,
        }
    };
    let listed = |found: Vec<Found>| {
        let mut merge = Merge::new(found.len());
        for found in found {
            let mut part = merge.begin(found.peer);
            merge.take(&mut part, found.entries);
        }
        merge.finish()
    };
    let all = places.into_iter().flat_map(|(group, found)| {
        let listed = listed(found).into_iter();
        listed.map(move |listed| (group, listed))
    });
    let mut choices: Vec<_> = all.map(|(group, listed)| choice(group, listed)).collect();
    choices.sort_by_key(|choice| Reverse(choice.listed.peers));
    choices.truncate(MAX_CHOICES);
    let name = name.to_owned();
    Err(match are_named {
        true => DownloadError::Ambiguous { name, choices },
        false => DownloadError::IncompleteHash {
            digits: name,
            choices,
        },
    })
}

/// Adds to `found` what `peers` share under the name: in groups, and then outside.
async fn find_at(
    network: &Network,
    search: &NameSearch<'_>,
    peers: Vec<PeerId>,
    deadline: Instant,
    found: &mut Vec<Found>,
) {
    let name = search.name;
    // Peers search their catalogues for names only.
    let query = if search.digits.is_some() { "" } else { name };
    let in_groups = peers.iter().flat_map(|peer| {
        let groups = search.groups_of(peer);
        groups.map(move |group| find_in(network, (*peer, Some(group)), (search, query), deadline))
    });
    let members: Vec<_> = in_groups.collect();
    let end = match search.is_outside {
        true => deadline.min(Instant::now() + GROUPS_FIRST),
        false => deadline,
    };
    found.extend(all_until(members, end).await);
    if search.is_outside {
        let is_secret = search.is_secret || found.iter().any(Found::is_of_group);
        let query = if is_secret { "" } else { query };
        let ask = |peer| find_in(network, (peer, None), (search, query), deadline);
        let outside: Vec<_> = peers.into_iter().map(ask).collect();
        found.extend(all_until(outside, deadline).await);
    }
}

impl Found {
    fn is_of_group(&self) -> bool {
        self.group.is_some() && !self.entries.is_empty()
    }
}

/// What the peers answer until `end`.
async fn all_until(asks: Vec<impl Future<Output = Option<Found>>>, end: Instant) -> Vec<Found> {
    let answers = stream::iter(asks).buffer_unordered(ASKED_AT_A_TIME);
    let answers = answers.filter_map(std::future::ready);
    answers.take_until(sleep_until(end)).collect().await
}

/// The content that a peer shares under exactly this name in a place, or with these digits, as much
/// as an error lists, among what matches the query. `None` if the peer does not answer.
async fn find_in(
    network: &Network,
    (peer, group): (PeerId, Option<GroupId>),
    (search, query): (&NameSearch<'_>, &str),
    deadline: Instant,
) -> Option<Found> {
    let mut entries: Vec<CatalogueEntry> = Vec::new();
    let take = |page: Vec<CatalogueEntry>| {
        for entry in page {
            let is_known = entries.iter().any(|known| known.hash == entry.hash);
            if search.lists(&entry.name, &entry.hash) && !is_known && entries.len() <= MAX_CHOICES {
                entries.push(entry);
            }
        }
        entries.len() <= MAX_CHOICES
    };
    let read = read_pages(network, peer, (query, group), deadline, take).await;
    match read {
        // Entries that arrived in time count.
        Ok(_) | Err(FetchError::TooLong | FetchError::TooManyPages) => Some(Found {
            peer,
            group,
            entries,
        }),
        Err(error) => {
            tracing::debug!(%peer, %error, "the peer sent no catalogue");
            None
        }
    }
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
    use crate::node::CodedError as _;

    fn entry(hash: u8, name: &str) -> CatalogueEntry {
        let hash = Hash::from_bytes([hash; 32]);
        CatalogueEntry {
            hash,
            name: name.to_owned(),
            kind: Kind::File,
            size: 1,
        }
    }

    fn found(peer: PeerId, group: Option<GroupId>, hashes: &[u8]) -> Found {
        let entries = hashes.iter().map(|hash| entry(*hash, "x")).collect();
        Found {
            peer,
            group,
            entries,
        }
    }

    #[test]
    fn a_name_of_two_contents_is_ambiguous() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let names = HashMap::from([(b, "bert".to_owned())]);
        let same = vec![found(a, None, &[1]), found(b, None, &[1])];
        assert_eq!(decide("x", same, &names).unwrap().peers.len(), 2);
        let two = vec![found(a, None, &[1]), found(b, None, &[1, 2])];
        let Err(error) = decide("x", two, &names) else {
            panic!("decided")
        };
        let text = error.to_string();
        assert!(text.contains(&format!("1 byte, from bert, {a}")), "{text}");
        assert!(text.ends_with("1 byte, from bert"), "{text}");
    }

    #[test]
    fn digits_of_a_hash_only_list_what_they_may_mean() {
        let (a, names) = (PeerId::random(), HashMap::new());
        let digits = "010101";
        let Err(error) = decide(digits, vec![found(a, None, &[1])], &names) else {
            panic!("decided")
        };
        assert_eq!(error.code(), "incomplete-hash");
        let text = error.to_string();
        assert!(text.contains("\"010101\""), "{text}");
        // What has these digits as its name is meant, unless other content may be.
        let named = |hash| CatalogueEntry {
            name: digits.to_owned(),
            ..entry(hash, "")
        };
        let mut one = found(a, None, &[]);
        one.entries = vec![named(7)];
        assert_eq!(
            decide(digits, vec![one], &names).unwrap().hash,
            named(7).hash
        );
        let mut both = found(a, None, &[1]);
        both.entries.push(named(7));
        let Err(error) = decide(digits, vec![both], &names) else {
            panic!("decided")
        };
        assert_eq!(error.code(), "ambiguous-name");
    }

    #[test]
    fn a_name_in_a_group_and_outside_is_ambiguous_even_if_the_content_is_the_same() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let group = GroupId::from_bytes([7; 32]);
        let names = HashMap::new();
        let inside = vec![found(a, Some(group), &[1]), found(b, None, &[])];
        assert_eq!(decide("x", inside, &names).unwrap().group, Some(group));
        for hash in [1, 2] {
            let both = vec![found(a, Some(group), &[1]), found(b, None, &[hash])];
            let Err(error) = decide("x", both, &names) else {
                panic!("decided")
            };
            let text = error.to_string();
            assert!(
                text.contains("\"x\" is shared in several places:"),
                "{text}"
            );
            assert!(text.contains("in the group 07070707, from"), "{text}");
            assert!(text.contains("outside groups, from"), "{text}");
            assert!(error.hint().unwrap().contains("--public"));
        }
    }
}
