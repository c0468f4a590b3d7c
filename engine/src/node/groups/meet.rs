//! Meets the members of groups: at the addresses that are known, and through the DHT.
//!
//! This node announces itself under a key for each neighbour of a group, and looks up theirs while they
//! are not connected. Each two nodes choose each other, so a few of each group suffice.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
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
    node::core::NodeCore,
    store::Store,
};

/// The pause before a member that was not found is looked up again. Each further pause is twice as
/// long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(600);
const LAST_PAUSE: Duration = Duration::from_secs(80 * 60);

/// Look-ups within [`WINDOW`], at most: each costs some 20 requests in the DHT.
const LOOK_UPS: usize = 32;
const WINDOW: Duration = Duration::from_secs(600);

/// The pause between two choices of the members to meet: one who names other nodes all the time
/// costs the others a few computations and records in ten seconds.
const SETTLING: Duration = Duration::from_secs(10);

/// Look-ups at a time.
const AT_A_TIME: usize = 4;

/// How long a look-up may take.
const LOOK_UP_TIME: Duration = Duration::from_secs(60);

/// How long to sleep when nothing is due.
const NOTHING_DUE: Duration = Duration::from_secs(600);

/// When to look for which member. Pure: the time is an argument.
#[derive(Default)]
struct Schedule {
    /// For each member: when it is due, and the pause after that.
    due: HashMap<PeerId, (Instant, Duration)>,
    /// When the latest look-ups began.
    begun: VecDeque<Instant>,
}

impl Schedule {
    /// Sets the members that are missed: new ones are due now, and others are forgotten.
    fn missed(&mut self, peers: &BTreeSet<PeerId>, now: Instant) {
        self.due.retain(|peer, _| peers.contains(peer));
        for peer in peers {
            self.due.entry(*peer).or_insert((now, FIRST_PAUSE));
        }
    }

    /// All are due: this node has joined the network, or the network has grown.
    fn again(&mut self, now: Instant) {
        for due in self.due.values_mut() {
            *due = (now, FIRST_PAUSE);
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
        let (peer, (due, pause)) = self.due.iter_mut().min_by_key(|(_, (due, _))| *due)?;
        if *due > now {
            return None;
        }
        *due = now + *pause;
        *pause = (*pause * 2).min(LAST_PAUSE);
        self.begun.push_back(now);
        Some(*peer)
    }

    /// When to call [`begin`](Self::begin) next.
    fn next(&self) -> Option<Instant> {
        let due = self.due.values().map(|(due, _)| *due).min()?;
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
    let mut arrivals = network.arrivals();
    let (mut schedule, mut looking) = (Schedule::default(), JoinSet::new());
    let (mut nodes, mut meetings) = (Vec::new(), BTreeMap::new());
    let (mut neighbours, mut settled) = (KnownNeighbours::default(), Instant::now());
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
        let settling = has_changed.then_some(settled);
        let connected = network.peers().await?;
        let connected: BTreeSet<_> = connected.iter().map(|peer| peer.peer_id).collect();
        let missed = meetings.keys().filter(|peer| !connected.contains(*peer));
        schedule.missed(&missed.copied().collect(), Instant::now());
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
            // Whether one arrived or some were missed: the connected peers are listed again.
            _ = arrivals.recv() => {}
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

/// Connects to a member: at the addresses of earlier runs, or where the DHT finds it.
async fn look_for(network: &Network, store: Store, peer: PeerId, meeting: Option<Meeting>) {
    let addresses = spawn_blocking(move || addresses_of(&store, &peer)).await;
    let addresses = addresses.unwrap_or_default();
    if network.connect(Some(peer), addresses).await.is_ok() {
        return;
    }
    let Some(meeting) = meeting else {
        return;
    };
    let look_up = async {
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

    #[test]
    fn a_member_is_looked_for_less_and_less_often_and_all_within_a_bound() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let away: BTreeSet<_> = (0..100).map(|_| PeerId::random()).collect();
        schedule.missed(&away, start);
        let begin =
            |schedule: &mut Schedule, now| std::iter::from_fn(|| schedule.begin(now)).count();
        assert_eq!(begin(&mut schedule, start), LOOK_UPS);
        assert_eq!(schedule.next(), Some(start + WINDOW));
        let one = away.iter().next().copied().unwrap();
        let mut alone = Schedule::default();
        alone.missed(&[one].into(), start);
        let mut minutes = Vec::new();
        for _ in 0..6 {
            let next = alone.next().unwrap();
            minutes.push((next - start).as_secs() / 60);
            assert_eq!(alone.begin(next), Some(one));
            assert_eq!(alone.begin(next), None);
        }
        assert_eq!(minutes, [0, 10, 30, 70, 150, 230]);
        alone.missed(&BTreeSet::new(), start);
        assert_eq!(alone.next(), None, "it is connected");
        schedule.again(start + WINDOW);
        assert_eq!(begin(&mut schedule, start + WINDOW), LOOK_UPS);
    }
}
