//! Meets the members of groups: at the addresses that are known, and through the DHT.
//!
//! This node announces itself under a key for each neighbour of a group, and looks up theirs while they
//! are not connected. Each two nodes choose each other, so a few of each group suffice. While a
//! download waits in a group, the other members are looked for as well, those that shared the content
//! before all: the nodes of the DHT that are close to a member know its addresses.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};
use pelago_content::Hash;
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{sleep_until, timeout},
};

use crate::{
    duties::Outcome,
    groups::{KnownNeighbours, Meeting},
    network::Network,
    node::{catalogues::remembered, core::NodeCore},
    store::Store,
};

/// The pause before a member that was not found is looked up again. Each further pause is twice as
/// long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(600);
const LAST_PAUSE: Duration = Duration::from_secs(80 * 60);

/// Look-ups within [`WINDOW`], at most: each costs some 20 requests in the DHT.
const LOOK_UPS: usize = 32;
const WINDOW: Duration = Duration::from_secs(600);

/// The pause between two choices of the members to meet, or of those that downloads want: one who names other nodes all the time
/// costs the others a few computations and records in ten seconds.
const SETTLING: Duration = Duration::from_secs(10);

/// Look-ups at a time.
const AT_A_TIME: usize = 4;

/// How long a look-up may take.
const LOOK_UP_TIME: Duration = Duration::from_secs(60);

/// How long to sleep when nothing is due.
const NOTHING_DUE: Duration = Duration::from_secs(600);

/// Why a member is looked for; the first reasons come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// A download waits for what it shared when it was last in reach.
    Holder,
    /// The two nodes chose each other, as some of each group do.
    Neighbour,
    /// A download waits in its group.
    Member,
}

/// The search for one member.
struct Search {
    reason: Reason,
    due: Instant,
    /// The pause after that.
    pause: Duration,
}

/// When to look for which member. Pure: the time is an argument.
#[derive(Default)]
struct Schedule {
    searches: HashMap<PeerId, Search>,
    /// When the latest look-ups began.
    begun: VecDeque<Instant>,
}

impl Schedule {
    /// Sets the members that are missed: new ones, and those for which there is a better reason than
    /// before, are due now, and others are forgotten.
    fn missed(&mut self, peers: &BTreeMap<PeerId, Reason>, now: Instant) {
        self.searches.retain(|peer, _| peers.contains_key(peer));
        for (peer, reason) in peers {
            let search = self.searches.get_mut(peer);
            match search.filter(|search| search.reason <= *reason) {
                Some(search) => search.reason = *reason,
                None => {
                    let search = Search {
                        reason: *reason,
                        due: now,
                        pause: FIRST_PAUSE,
                    };
                    self.searches.insert(*peer, search);
                }
            }
        }
    }

    /// All are due: this node has joined the network, or the network has grown.
    fn again(&mut self, now: Instant) {
        for search in self.searches.values_mut() {
            (search.due, search.pause) = (now, FIRST_PAUSE);
        }
    }

    /// The next member to look for, if one is due and the bound allows it.
    fn begin(&mut self, now: Instant) -> Option<PeerId> {
        while self
            .begun
            .front()
            .is_some_and(|begun| now >= *begun + WINDOW)
        {
            self.begun.pop_front();
        }
        if self.begun.len() >= LOOK_UPS {
            return None;
        }
        let due = self.searches.iter_mut().filter(|(_, of)| of.due <= now);
        let (peer, search) = due.min_by_key(|(_, of)| (of.reason, of.due))?;
        search.due = now + search.pause;
        search.pause = (search.pause * 2).min(LAST_PAUSE);
        self.begun.push_back(now);
        Some(*peer)
    }

    /// When to call [`begin`](Self::begin) next.
    fn next(&self) -> Option<Instant> {
        let due = self.searches.values().map(|search| search.due).min()?;
        let free = match self.begun.front() {
            Some(begun) if self.begun.len() >= LOOK_UPS => Some(*begun + WINDOW),
            _ => None,
        };
        Some(free.map_or(due, |free| due.max(free)))
    }
}

/// Meets members for as long as the node runs.
pub(in crate::node) async fn meet_members(core: Arc<NodeCore>) -> Outcome {
    let (groups, network) = (core.groups.clone(), core.network.clone());
    let mut revision = groups.revision();
    let mut routable = network.routable();
    let (mut arrivals, mut departures) = (network.arrivals(), network.departures());
    let (mut schedule, mut looking) = (Schedule::default(), JoinSet::new());
    let (mut nodes, mut meetings) = (Vec::new(), BTreeMap::new());
    let (mut neighbours, mut settled) = (KnownNeighbours::default(), Instant::now());
    let (mut waiters, mut wanted) = (core.transfers.waiters(), BTreeMap::new());
    // When to choose the members anew that downloads want.
    let mut choosing = Some(Instant::now());
    let mut chosen = Instant::now();
    let mut known = *routable.borrow_and_update();
    loop {
        let now_nodes = groups.nodes();
        let has_changed = now_nodes != nodes;
        if has_changed && Instant::now() >= settled {
            let (of, list) = (groups.clone(), now_nodes.clone());
            let computing = spawn_blocking(move || {
                let new = of.meetings(&list, &mut neighbours);
                (new, neighbours)
            });
            let new;
            (new, neighbours) = computing.await?;
            announce(&core, &meetings, &new).await;
            (nodes, meetings) = (now_nodes, new);
            settled = Instant::now() + SETTLING;
        }
        if choosing.is_some_and(|due| due <= Instant::now()) {
            let of = Arc::clone(&core);
            wanted = spawn_blocking(move || wanted_members(&of)).await?;
            (choosing, chosen) = (None, Instant::now());
        }
        let settling = has_changed.then_some(settled).into_iter().chain(choosing);
        let connected = network.peers().await?;
        let connected: BTreeSet<_> = connected.iter().map(|peer| peer.peer_id).collect();
        let mut missed: BTreeMap<_, _> = meetings
            .keys()
            .map(|peer| (*peer, Reason::Neighbour))
            .collect();
        for (peer, reason) in &wanted {
            let known = missed.entry(*peer).or_insert(*reason);
            *known = (*known).min(*reason);
        }
        missed.retain(|peer, _| !connected.contains(peer));
        schedule.missed(&missed, Instant::now());
        while looking.len() < AT_A_TIME
            && let Some(peer) = schedule.begin(Instant::now())
        {
            let (network, store) = (network.clone(), core.store.clone());
            let meeting = meetings.get(&peer).copied();
            looking.spawn(async move { look_for(&network, store, peer, meeting).await });
        }
        let is_free = looking.len() < AT_A_TIME;
        let next = schedule.next().filter(|_| is_free);
        let next = next.into_iter().chain(settling).min();
        let next = next.unwrap_or_else(|| Instant::now() + NOTHING_DUE);
        tokio::select! {
            changed = revision.changed() => if changed.is_err() {
                return Ok(());
            },
            changed = routable.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let now_known = *routable.borrow_and_update();
                // Records are kept by other nodes now.
                if now_known >= 2 * known.max(1) || known == 0 && now_known > 0 {
                    known = now_known;
                    schedule.again(Instant::now());
                }
            }
            changed = waiters.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                choosing = Some(chosen + SETTLING);
            }
            // Whether one arrived or some were missed: the connected peers are listed again.
            _ = arrivals.recv() => {}
            changed = departures.changed() => if changed.is_err() {
                return Ok(());
            },
            Some(_) = looking.join_next() => {}
            () = sleep_until(next.into()) => {}
        }
    }
}

/// Announces the new keys, and withdraws those that serve no longer.
async fn announce(
    core: &NodeCore,
    before: &BTreeMap<PeerId, Meeting>,
    now: &BTreeMap<PeerId, Meeting>,
) {
    let keys = |meetings: &BTreeMap<PeerId, Meeting>| -> BTreeSet<Hash> {
        meetings.values().map(|meeting| meeting.announce).collect()
    };
    let (before, now) = (keys(before), keys(now));
    core.groups.announced(now.clone());
    for key in before.difference(&now) {
        core.publisher.withdraw(*key).await;
    }
    for key in now.difference(&before) {
        core.publisher.provide(*key).await;
    }
}

/// The members of the groups in which downloads wait for a source. Blocks on the database.
fn wanted_members(core: &NodeCore) -> BTreeMap<PeerId, Reason> {
    let mut hashes = BTreeMap::<_, HashSet<_>>::new();
    for (hash, group) in core.transfers.waiting() {
        if let Some(group) = group {
            hashes.entry(group).or_default().insert(hash);
        }
    }
    let mut wanted = BTreeMap::new();
    for (group, hashes) in hashes {
        for peer in core.memberships.members(&group) {
            let shared = remembered(&core.store, group, &peer);
            let reason = match shared.iter().any(|entry| hashes.contains(&entry.hash)) {
                true => Reason::Holder,
                false => Reason::Member,
            };
            let known = wanted.entry(peer).or_insert(reason);
            *known = (*known).min(reason);
        }
    }
    wanted.remove(&core.network.local_peer_id());
    wanted
}

/// Connects to a member: at the addresses of earlier runs, or where the DHT finds it.
async fn look_for(network: &Network, store: Store, peer: PeerId, meeting: Option<Meeting>) {
    let addresses = spawn_blocking(move || addresses_of(&store, &peer)).await;
    let addresses = addresses.unwrap_or_default();
    let look_up = async {
        let Some(meeting) = meeting else {
            if network.seek(peer, addresses).await.is_ok() {
                tracing::debug!(%peer, "a member of a group was found by its id");
            }
            return;
        };
        if network.connect(Some(peer), addresses).await.is_ok() {
            return;
        }
        // The network connects to the providers that it finds.
        if let Ok(mut found) = network.find_providers(meeting.look_up).await {
            while let Some(provider) = found.recv().await {
                tracing::debug!(%provider, "a member of a group was found in the DHT");
            }
        }
    };
    // Without an end in time, the next look-up tries again.
    let _ = timeout(LOOK_UP_TIME, look_up).await;
}

fn addresses_of(store: &Store, peer: &PeerId) -> Vec<Multiaddr> {
    let known = store.known_peers().unwrap_or_default();
    let known = known.into_iter().find(|known| known.id == *peer);
    known.map(|known| known.addresses).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missed(peers: &[PeerId], reason: Reason) -> BTreeMap<PeerId, Reason> {
        peers.iter().map(|peer| (*peer, reason)).collect()
    }

    #[test]
    fn a_member_is_looked_for_less_and_less_often_and_all_within_a_bound() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let away: Vec<_> = (0..100).map(|_| PeerId::random()).collect();
        schedule.missed(&missed(&away, Reason::Neighbour), start);
        let begin =
            |schedule: &mut Schedule, now| std::iter::from_fn(|| schedule.begin(now)).count();
        assert_eq!(begin(&mut schedule, start), LOOK_UPS);
        assert_eq!(schedule.next(), Some(start + WINDOW));
        let one = away[0];
        let mut alone = Schedule::default();
        alone.missed(&missed(&[one], Reason::Neighbour), start);
        let mut minutes = Vec::new();
        for _ in 0..6 {
            let next = alone.next().unwrap();
            minutes.push((next - start).as_secs() / 60);
            assert_eq!(alone.begin(next), Some(one));
            assert_eq!(alone.begin(next), None);
        }
        assert_eq!(minutes, [0, 10, 30, 70, 150, 230]);
        alone.missed(&BTreeMap::new(), start);
        assert_eq!(alone.next(), None, "it is connected");
        schedule.again(start + WINDOW);
        assert_eq!(begin(&mut schedule, start + WINDOW), LOOK_UPS);
    }

    #[test]
    fn a_member_that_had_what_is_wanted_is_looked_for_first() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        let peers: Vec<_> = (0..5).map(|_| PeerId::random()).collect();
        let mut all = missed(&peers[..2], Reason::Member);
        all.extend(missed(&peers[2..], Reason::Neighbour));
        schedule.missed(&all, now);
        assert!(peers[2..].contains(&schedule.begin(now).unwrap()));
        all.insert(peers[0], Reason::Holder);
        schedule.missed(&all, now);
        assert_eq!(schedule.begin(now), Some(peers[0]));
        let begun: Vec<_> = std::iter::from_fn(|| schedule.begin(now)).collect();
        assert_eq!((begun.len(), begun[2]), (3, peers[1]));
        all.insert(peers[1], Reason::Holder);
        schedule.missed(&all, now);
        assert_eq!(schedule.begin(now), Some(peers[1]), "without a pause");
        all.insert(peers[1], Reason::Member);
        schedule.missed(&all, now);
        assert_eq!(schedule.begin(now), None);
    }

    /// Prints the figure.
    #[test]
    fn a_node_whose_groups_are_away_looks_up_few_of_their_members() {
        for (groups, neighbours) in [(1, 32), (1, 9), (50, 50 * 32)] {
            let (mut schedule, start) = (Schedule::default(), Instant::now());
            let away: Vec<_> = (0..neighbours).map(|_| PeerId::random()).collect();
            schedule.missed(&missed(&away, Reason::Neighbour), start);
            let mut hours = [0; 24];
            for minute in 0..24 * 60 {
                let now = start + Duration::from_secs(60) * minute;
                while schedule.begin(now).is_some() {
                    hours[minute as usize / 60] += 1;
                }
            }
            println!(
                "{neighbours} members of {groups} groups are away: look-ups by hour {hours:?}"
            );
            assert!(hours.iter().all(|count| *count <= 6 * LOOK_UPS));
            assert!(groups > 1 || hours[12] <= neighbours);
        }
    }
}
