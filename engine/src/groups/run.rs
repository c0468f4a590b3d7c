//! The task that speaks with peers about groups: when they connect, when something changed, and every
//! ten minutes.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_groups::{GroupId, Slot, UserKey};
use tokio::{
    sync::broadcast::error::RecvError,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::task::JoinMap;

use super::{
    ask::{AskError, Conversation, Errand},
    feed::Wish,
    group::Group,
    handle::{Groups, peers_of, user_of},
    outbox::Outbox,
    own_join::OwnJoin,
    pace::Exchange,
    pass_on::PassOns,
};
use crate::{duties::Outcome, network::Network};

/// How often groups are compared with connected members, and members are asked again.
const INTERVAL: Duration = Duration::from_secs(600);

/// With more new statements than this, members compare what they hold instead.
const MANY: usize = 16;

/// How long one conversation may take in all. What it leaves undone comes with the next round.
const CONVERSATION_TIMEOUT: Duration = Duration::from_secs(120);

/// How long after a change it is checked whether the connected members have it.
const CHECK_PAUSE: Duration = Duration::from_secs(3);

/// How often that is checked after one change, each time after twice as long.
const MAX_CHECKS: u32 = 3;

/// How long to sleep when nothing is due.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

/// Keeps the groups of a node equal to those of its peers, until the network shuts down.
///
/// # Errors
/// The network has shut down, or the database failed.
pub async fn run(groups: Groups, network: Network) -> Outcome {
    let mut task = Task {
        groups,
        network,
        outbox: Outbox::default(),
        requests: PassOns::default(),
        talks: JoinMap::new(),
        rounds: JoinMap::new(),
        asked_again: BTreeSet::new(),
        checks: BTreeMap::new(),
    };
    let mut arrivals = task.network.arrivals();
    let mut tick = interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed = task.groups.feed().clone();
    loop {
        task.speak();
        let check = task.checks.values().map(|(due, _)| *due).min();
        let next = [task.outbox.next(), task.requests.next(), check];
        let next = next.into_iter().flatten().min();
        let next = next.unwrap_or_else(|| Instant::now() + NOTHING_DUE);
        tokio::select! {
            wishes = feed.take() => task.handle_wishes(wishes).await?,
            arrived = arrivals.recv() => match arrived {
                Ok(peer) => task.meet(peer),
                Err(RecvError::Lagged(_)) => task.meet_all().await?,
                Err(RecvError::Closed) => return Ok(()),
            },
            Some((peer, _)) = task.talks.join_next() => task.outbox.ended(&peer),
            Some((group, _)) = task.rounds.join_next() => {
                if task.asked_again.remove(&group) {
                    task.ask(group);
                }
            }
            _ = tick.tick() => task.tick().await?,
            () = sleep_until(next.into()) => {
                task.outbox.make_way(Instant::now());
                let connected = task.connected().await?;
                for (group, slots) in task.outbox.due(Instant::now()) {
                    task.tell(&connected, group, slots, None);
                }
                task.pass_on(&connected);
                task.check(&connected, Instant::now());
            }
        }
    }
}

struct Task {
    groups: Groups,
    network: Network,
    outbox: Outbox,
    requests: PassOns,
    talks: JoinMap<PeerId, ()>,
    /// Rounds in which members are asked to admit the user of this node.
    rounds: JoinMap<GroupId, ()>,
    /// Groups of which a member came while such a round ran, which may have passed it by.
    asked_again: BTreeSet<GroupId>,
    /// When to check whether the connected members of a group have its last change, and how often
    /// that was done.
    checks: BTreeMap<GroupId, (Instant, u32)>,
}

impl Task {
    /// Begins what can begin.
    fn speak(&mut self) {
        while let Some((peer, exchange, errands)) = self.outbox.begin(Instant::now()) {
            let (groups, network) = (self.groups.clone(), self.network.clone());
            self.talks.spawn(peer, async move {
                let spoken = speak(&groups, &network, peer, &exchange, errands);
                let spoken = tokio::select! {
                    spoken = timeout(CONVERSATION_TIMEOUT, spoken) => spoken,
                    () = exchange.over() => Ok(Err(AskError::Slowest)),
                };
                if let Err(error) = spoken.unwrap_or(Err(AskError::TooLong)) {
                    tracing::debug!(%peer, %error, "an exchange about groups failed");
                }
            });
        }
    }

    async fn connected(&self) -> Result<HashSet<PeerId>, crate::network::Closed> {
        let peers = self.network.peers().await?;
        Ok(peers.into_iter().map(|peer| peer.peer_id).collect())
    }

    async fn handle_wishes(&mut self, wishes: BTreeSet<Wish>) -> Outcome {
        let connected = self.connected().await?;
        let mut told = BTreeMap::<_, Vec<_>>::new();
        for wish in wishes {
            match wish {
                Wish::Tell {
                    group,
                    slot,
                    is_urgent,
                    from,
                } => {
                    let now = Instant::now();
                    self.checks.insert(group, (now + CHECK_PAUSE, 0));
                    if self.outbox.may_send(group, slot, is_urgent, now) {
                        told.entry((group, from)).or_default().push(slot);
                    }
                }
                Wish::Prove(group, user, peer) => {
                    if connected.contains(&peer) {
                        self.outbox.add(peer, Errand::Prove(group, user));
                    }
                }
                Wish::Sync(group, peer) => self.outbox.add(peer, Errand::Sync(group)),
                Wish::PassOn(group, user) => {
                    let known = self.groups.joined(&group);
                    if let Some(request) = known.as_ref().and_then(|known| known.request(&user)) {
                        let invite = request.join.asked().invite;
                        self.requests.add(group, invite, user, Instant::now());
                    }
                }
            }
        }
        for ((group, from), slots) in told {
            self.tell(&connected, group, slots, from);
        }
        self.pass_on(&connected);
        Ok(())
    }

    /// Compares groups that changed with connected members that have not confirmed the change: they
    /// may have missed it.
    fn check(&mut self, connected: &HashSet<PeerId>, now: Instant) {
        let due = self.checks.extract_if(.., |_, (due, _)| *due <= now);
        for (id, (_, times)) in due.collect::<Vec<_>>() {
            let Some(group) = self.groups.joined(&id) else {
                continue;
            };
            let digest = group.digest();
            let differs = |peer: &PeerId| self.groups.confirmed(&id, peer) != Some(digest);
            let is_behind = |peer: &PeerId| connected.contains(peer) && differs(peer);
            let behind: Vec<_> = peers_of(&group).filter(is_behind).collect();
            if !behind.is_empty() && times + 1 < MAX_CHECKS {
                let pause = CHECK_PAUSE * 2_u32.pow(times + 1);
                self.checks.insert(id, (now + pause, times + 1));
            }
            for peer in behind
                .into_iter()
                .filter(|peer| *peer != self.groups.local())
            {
                self.outbox.add(peer, Errand::Sync(id));
            }
        }
    }

    /// Passes on requests to join that are due.
    fn pass_on(&mut self, connected: &HashSet<PeerId>) {
        for (id, user) in self.requests.due(Instant::now()) {
            if let Some(group) = self.groups.joined(&id) {
                for peer in owners(&group).filter(|peer| connected.contains(peer)) {
                    self.outbox.add(peer, Errand::PassOn(id, user));
                }
            }
        }
    }

    /// Sends what fills these slots to connected members.
    fn tell(
        &mut self,
        connected: &HashSet<PeerId>,
        id: GroupId,
        slots: impl IntoIterator<Item = Slot>,
        from: Option<PeerId>,
    ) {
        let Some(group) = self.groups.get(&id) else {
            return;
        };
        let slots: Vec<_> = slots.into_iter().collect();
        let is_reached = |peer: &PeerId| Some(*peer) != from && connected.contains(peer);
        let own = self.groups.user();
        if let Some(own) = own.filter(|own| !group.roster().is_in(own)) {
            // All that this node has to say is that its user left.
            for peer in peers_of(&group).filter(is_reached) {
                self.outbox.add(peer, Errand::Prove(id, own));
            }
            return;
        }
        for peer in peers_of(&group).filter(is_reached) {
            // A member that has just come is met for the first time.
            if slots.len() > MANY || self.groups.confirmed(&id, &peer).is_none() {
                self.outbox.add(peer, Errand::Sync(id));
            } else {
                let errands = slots.iter().map(|slot| Errand::Tell(id, *slot));
                errands.for_each(|errand| self.outbox.add(peer, errand));
            }
        }
    }

    /// Speaks with a peer that has connected, and asks it to admit the user of this node if the link
    /// names it.
    fn meet(&mut self, peer: PeerId) {
        self.greet(peer);
        let text = peer.to_string();
        let is_named = |own: &OwnJoin| {
            own.status.is_sent() && own.peers.iter().any(|address| address.contains(&text))
        };
        for group in self.groups.all() {
            // A round that runs may have passed it by.
            if group.own_join().is_some_and(is_named) && !self.ask(group.id()) {
                self.asked_again.insert(group.id());
            }
        }
    }

    async fn meet_all(&mut self) -> Outcome {
        for peer in self.connected().await? {
            self.meet(peer);
        }
        Ok(())
    }

    /// Begins what there is to do with a connected peer.
    fn greet(&mut self, peer: PeerId) {
        let Some(own) = self.groups.user() else {
            return;
        };
        for group in self.groups.all() {
            self.greet_for(&group, &own, peer);
        }
    }

    fn greet_for(&mut self, group: &Group, own: &UserKey, peer: PeerId) {
        let (id, roster) = (group.id(), group.roster());
        let Some(user) = user_of(group, &peer).filter(|user| user != own) else {
            return;
        };
        match (roster.is_in(own), roster.is_in(&user)) {
            (true, true) => {
                self.outbox.add(peer, Errand::Sync(id));
                if roster.is_owner(&user) {
                    for (user, _) in group.mailbox.iter() {
                        self.outbox.add(peer, Errand::PassOn(id, *user));
                    }
                }
            }
            // Also one whom only an owner had admitted who was dropped since.
            (true, false) => self.outbox.add(peer, Errand::Prove(id, user)),
            (false, true) if group.held().get(&Slot::Leave(*own)).is_some() => {
                self.outbox.add(peer, Errand::Prove(id, *own));
            }
            _ => {}
        }
    }

    async fn tick(&mut self) -> Outcome {
        let groups = self.groups.clone();
        spawn_blocking(move || groups.tick()).await??;
        for peer in self.connected().await? {
            self.greet(peer);
        }
        for group in self.groups.all() {
            if group.own_join().is_some_and(|own| own.status.is_sent()) {
                self.ask(group.id());
            }
        }
        Ok(())
    }

    /// Asks members to admit the user of this node. Returns whether that begins: not if it is being
    /// done.
    fn ask(&mut self, group: GroupId) -> bool {
        let begins = !self.rounds.contains_key(&group);
        if begins {
            let (groups, network) = (self.groups.clone(), self.network.clone());
            self.rounds.spawn(group, async move {
                groups.ask_members(&network, group).await;
            });
        }
        begins
    }
}

async fn speak(
    groups: &Groups,
    network: &Network,
    peer: PeerId,
    exchange: &Exchange,
    errands: BTreeSet<Errand>,
) -> Result<(), AskError> {
    let mut conversation = Conversation::open(groups, network, peer, exchange).await?;
    conversation.run(errands).await
}

/// The nodes of the owners of a group.
fn owners(group: &Group) -> impl Iterator<Item = PeerId> {
    let nodes = group.roster().nodes();
    let owners = nodes.filter(|(_, user)| group.roster().is_owner(user));
    owners.filter_map(|(node, _)| crate::access::peer_of(&node))
}
