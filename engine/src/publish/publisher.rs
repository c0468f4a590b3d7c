//! The task that carries the plan out.

use std::{collections::HashSet, sync::Arc, time::Duration};

use pelago_behaviour::OwnKeys;
use pelago_content::Hash;
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot},
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep_until},
};

use super::{
    clock,
    plan::{Plan, remembered_due, to_remember},
};
use crate::{
    duties::Duties,
    network::{AnnounceError, Network},
    store::{Store, unix_now},
};

/// The most changes of shares that wait for the publisher. When there are more, callers wait.
const CHANGES_QUEUED: usize = 1024;

/// How long due times are collected before they are recorded: one commit for many.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// How long the network may grow before hashes on too few nodes are announced again.
const GROWTH_PAUSE: Duration = Duration::from_secs(2);

/// The longest sleep until something is due, in seconds: the clock of the plan counts while the
/// machine sleeps, and that of timers does not.
const LONGEST_SLEEP: u64 = 600;

/// How often, and how many at a time, hashes are announced.
#[derive(Clone, Debug)]
pub struct PublishSettings {
    /// Time between two announcements of one hash. Records expire after 48 h.
    pub interval: Duration,
    /// The most announcements at a time.
    pub concurrent: usize,
    /// How many nodes should keep a record.
    pub replication: usize,
}

enum Change {
    Provide(Hash),
    Withdraw(Hash),
    /// What is provided from here on is everything.
    BeginComparison,
    /// What was not provided since then is withdrawn.
    EndComparison,
    Await(oneshot::Sender<()>),
    CountDue(oneshot::Sender<usize>),
    /// Panics, as a defect would.
    #[cfg(test)]
    Panic,
}

/// A handle to the publisher.
#[derive(Clone)]
pub struct Publisher {
    own_keys: OwnKeys,
    /// None if nothing is announced.
    changes: Option<mpsc::Sender<Change>>,
    metrics: Arc<Registry>,
    restarted: Arc<Notify>,
}

/// Announcements that have ended, by result.
type Announcements = Family<[(&'static str, &'static str); 1], Counter>;

impl Publisher {
    /// Announces to `network` what is provided, and records the plan in `store`. `own_keys` are the
    /// provider keys for which the network answers that this node provides.
    #[must_use]
    pub fn start(
        network: Network,
        store: Store,
        own_keys: OwnKeys,
        settings: &PublishSettings,
        duties: &Duties,
    ) -> Self {
        let (changes, queue) = mpsc::channel(CHANGES_QUEUED);
        let (announcements, metrics) = metrics();
        let (queue, restarted) = (Arc::new(Mutex::new(queue)), Arc::new(Notify::new()));
        let own_keys_of_task = own_keys.clone();
        let (settings, lost, mut is_first) = (settings.clone(), Arc::clone(&restarted), true);
        duties.run("publish", move || {
            let task = Task {
                interval: settings.interval.as_secs(),
                plan: Plan::new(
                    settings.interval.as_secs(),
                    settings.concurrent,
                    settings.replication,
                ),
                network: network.clone(),
                store: store.clone(),
                own_keys: own_keys_of_task.clone(),
                unconfirmed: HashSet::new(),
                announcing: JoinSet::new(),
                unwritten: Vec::new(),
                withdrawn: HashSet::new(),
                waiting: Vec::new(),
                announcements: announcements.clone(),
            };
            // The plan is lost with the run that failed: it is made again from the shares.
            if !std::mem::take(&mut is_first) {
                lost.notify_one();
            }
            let queue = Arc::clone(&queue);
            async move {
                task.run(&mut *queue.lock().await).await;
                Ok(())
            }
        });
        Self {
            own_keys,
            changes: Some(changes),
            metrics,
            restarted,
        }
    }

    /// Waits until the publisher has failed and restarted with an empty plan. Then the caller has
    /// to provide all shares again.
    pub async fn restarted(&self) {
        self.restarted.notified().await;
    }

    /// A publisher that never announces anything.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            own_keys: OwnKeys::default(),
            changes: None,
            metrics: metrics().1,
            restarted: Arc::default(),
        }
    }

    /// The counters of this module.
    #[must_use]
    pub fn metrics(&self) -> &Registry {
        &self.metrics
    }

    /// How many announcements are overdue and not in flight.
    pub async fn due(&self) -> usize {
        let (reply, due) = oneshot::channel();
        self.send(Change::CountDue(reply)).await;
        due.await.unwrap_or(0)
    }

    /// Provides `hash` from now on. Peers that ask this node learn of it immediately, the DHT soon.
    pub async fn provide(&self, hash: Hash) {
        self.send(Change::Provide(hash)).await;
    }

    /// Waits until everything provided before this call has been announced.
    pub async fn announced(&self) {
        let (reply, done) = oneshot::channel();
        self.send(Change::Await(reply)).await;
        let _ = done.await;
    }

    /// Stops providing `hash`. Records on other nodes expire by themselves.
    pub async fn withdraw(&self, hash: Hash) {
        self.send(Change::Withdraw(hash)).await;
    }

    /// Begins a comparison with everything that is shared: the caller provides each hash, and then
    /// calls [`end_comparison`](Self::end_comparison).
    pub async fn begin_comparison(&self) {
        self.send(Change::BeginComparison).await;
    }

    /// Withdraws what was provided before [`begin_comparison`](Self::begin_comparison) and not
    /// since.
    pub async fn end_comparison(&self) {
        self.send(Change::EndComparison).await;
    }

    /// Drops `change`, and its reply with it, if nothing is announced or the node shuts down: the
    /// next start compares everything.
    async fn send(&self, change: Change) {
        let Some(changes) = &self.changes else {
            return;
        };
        match &change {
            Change::Provide(hash) => self.own_keys.insert(hash),
            Change::Withdraw(hash) => self.own_keys.remove(hash),
            _ => {}
        }
        let _ = changes.send(change).await;
    }
}

struct Task {
    /// Seconds between two announcements of one hash.
    interval: u64,
    plan: Plan,
    network: Network,
    store: Store,
    own_keys: OwnKeys,
    /// Hashes that were planned when a comparison began, and were not provided since.
    unconfirmed: HashSet<Hash>,
    announcing: JoinSet<(Hash, Result<u32, AnnounceError>)>,
    /// Due times that are not recorded yet.
    unwritten: Vec<(Hash, u64)>,
    /// Withdrawn hashes that are still recorded.
    withdrawn: HashSet<Hash>,
    /// Callers that wait until nothing is left to announce.
    waiting: Vec<oneshot::Sender<()>>,
    announcements: Announcements,
}

fn metrics() -> (Announcements, Arc<Registry>) {
    let announcements = Announcements::default();
    let mut registry = Registry::with_prefix("pelago_publish");
    registry.register(
        "announcements",
        "Announcements to the DHT that have ended",
        announcements.clone(),
    );
    (announcements, Arc::new(registry))
}

impl Task {
    async fn run(mut self, changes: &mut mpsc::Receiver<Change>) {
        let remembered = self.remembered().await;
        let mut routable = self.network.routable();
        let mut write_at = None;
        let mut grown_at = None;
        loop {
            self.announce_due();
            if !self.waiting.is_empty() && self.plan.is_announced(clock::seconds()) {
                for waiting in self.waiting.drain(..) {
                    // The caller may have stopped waiting.
                    let _ = waiting.send(());
                }
            }
            let next = [self.next_due(), write_at, grown_at]
                .into_iter()
                .flatten()
                .min();
            let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                change = changes.recv() => match change {
                    Some(Change::Provide(hash)) => {
                        self.withdrawn.remove(&hash);
                        self.unconfirmed.remove(&hash);
                        let (due, now) = (remembered.get(&hash).copied(), clock::seconds());
                        let due = due.map_or(0, |due| {
                            remembered_due(due, unix_now(), self.interval, now)
                        });
                        self.plan.add(hash, due);
                    }
                    Some(Change::Withdraw(hash)) => {
                        self.withdraw(hash);
                        write_at.get_or_insert(Instant::now() + WRITE_INTERVAL);
                    }
                    Some(Change::BeginComparison) => {
                        self.unconfirmed = self.plan.hashes().collect();
                    }
                    Some(Change::EndComparison) => {
                        for hash in std::mem::take(&mut self.unconfirmed) {
                            self.own_keys.remove(&hash);
                            self.withdraw(hash);
                        }
                        write_at.get_or_insert(Instant::now() + WRITE_INTERVAL);
                    }
                    Some(Change::Await(reply)) => self.waiting.push(reply),
                    Some(Change::CountDue(reply)) => {
                        // The caller may have stopped waiting.
                        let _ = reply.send(self.plan.count_due(clock::seconds()));
                    }
                    #[cfg(test)]
                    Some(Change::Panic) => panic!("requested by a test"),
                    None => return self.write().await,
                },
                Some(Ok((hash, result))) = self.announcing.join_next() => {
                    self.announced(hash, result);
                    if !self.unwritten.is_empty() {
                        write_at.get_or_insert(Instant::now() + WRITE_INTERVAL);
                    }
                }
                changed = routable.changed() => match changed {
                    Ok(()) => { grown_at.get_or_insert(Instant::now() + GROWTH_PAUSE); }
                    Err(_) => return self.write().await,
                },
                () = sleep_until(next) => {
                    if write_at.take_if(|at| *at <= Instant::now()).is_some() {
                        self.write().await;
                    }
                    if grown_at.take_if(|at| *at <= Instant::now()).is_some() {
                        let known = *self.network.routable().borrow();
                        self.plan.network_grew(known, clock::seconds());
                    }
                }
            }
        }
    }

    /// The due times that earlier runs recorded.
    async fn remembered(&self) -> std::collections::HashMap<Hash, u64> {
        let store = self.store.clone();
        let local = self.network.local_peer_id();
        match spawn_blocking(move || store.publications(&local)).await {
            Ok(Ok(publications)) => publications.into_iter().collect(),
            Ok(Err(error)) => {
                tracing::error!(
                    %error, "due times of earlier runs cannot be read: everything is announced \
                     again"
                );
                Default::default()
            }
            Err(_) => Default::default(),
        }
    }

    fn announce_due(&mut self) {
        if *self.network.routable().borrow() == 0 {
            return;
        }
        for hash in self.plan.take_due(clock::seconds()) {
            let network = self.network.clone();
            self.announcing
                .spawn(async move { (hash, network.announce(hash).await) });
        }
    }

    fn announced(&mut self, hash: Hash, result: Result<u32, AnnounceError>) {
        let now = clock::seconds();
        let known = *self.network.routable().borrow();
        let end = if matches!(result, Ok(1..)) {
            "done"
        } else {
            "failed"
        };
        self.announcements.get_or_create(&[("result", end)]).inc();
        match result {
            Ok(0) => self.plan.failed(&hash, known, now),
            Ok(nodes) => {
                tracing::debug!(%hash, nodes, "announced");
                let due = self.plan.announced(&hash, nodes as usize, known, now);
                let due = due.map(|due| to_remember(due, now, unix_now()));
                self.unwritten.extend(due.map(|due| (hash, due)));
            }
            Err(error) => {
                tracing::debug!(%hash, %error, "not announced");
                self.plan.failed(&hash, known, now);
            }
        }
    }

    /// When to wake up to announce something. Never while no other node is known.
    fn next_due(&self) -> Option<Instant> {
        if *self.network.routable().borrow() == 0 {
            return None;
        }
        let wait = self.plan.next_due()?.saturating_sub(clock::seconds());
        Some(Instant::now() + Duration::from_secs(wait.min(LONGEST_SLEEP)))
    }

    fn withdraw(&mut self, hash: Hash) {
        if self.plan.contains(&hash) {
            self.plan.remove(&hash);
            self.withdrawn.insert(hash);
        }
    }

    /// Records what has changed: one commit for withdrawn hashes, and one for due times.
    async fn write(&mut self) {
        let withdrawn: Vec<_> = std::mem::take(&mut self.withdrawn).into_iter().collect();
        if !withdrawn.is_empty() {
            let is_withdrawn: HashSet<_> = withdrawn.iter().copied().collect();
            self.unwritten
                .retain(|(hash, _)| !is_withdrawn.contains(hash));
            let store = self.store.clone();
            let removed = spawn_blocking(move || store.remove_publications(&withdrawn)).await;
            if let Ok(Err(error)) = removed {
                tracing::error!(
                    %error, "withdrawn announcements could not be removed from the database"
                );
            }
        }
        if self.unwritten.is_empty() {
            return;
        }
        let (store, due) = (self.store.clone(), std::mem::take(&mut self.unwritten));
        let local = self.network.local_peer_id();
        let written = spawn_blocking(move || store.schedule_publications(&local, &due)).await;
        if let Ok(Err(error)) = written {
            tracing::error!(
                %error, "due times could not be recorded: a restart announces these hashes \
                 again"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::network::testing::network;

    #[tokio::test]
    async fn thousands_are_withdrawn_in_one_commit() {
        let store = Store::in_memory();
        let settings = PublishSettings {
            interval: Duration::from_secs(3600),
            concurrent: 4,
            replication: 4,
        };
        let own_keys = OwnKeys::default();
        let duties = Duties::default();
        let network = network(&duties).await;
        let publisher = Publisher::start(network, store.clone(), own_keys, &settings, &duties);
        let hashes = (0..3000_u32).map(|number| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            Hash::from_bytes(bytes)
        });
        let hashes: Vec<_> = hashes.collect();
        for hash in &hashes {
            publisher.provide(*hash).await;
        }
        for hash in &hashes {
            publisher.withdraw(*hash).await;
        }
        let written = async {
            while store.commits() == 0 {
                sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(publisher.due().await, 0);
        };
        timeout(Duration::from_secs(20), written).await.unwrap();
        // A slow machine takes more than a second, and writes once in each.
        assert!(store.commits() <= 3, "{}", store.commits());
        duties.stop();
    }

    #[tokio::test]
    async fn a_panic_loses_the_plan_and_says_so() {
        let duties = Duties::default();
        let (network, keys) = (network(&duties).await, OwnKeys::default());
        let settings = PublishSettings {
            interval: Duration::from_secs(3600),
            concurrent: 1,
            replication: 1,
        };
        let publisher = Publisher::start(network, Store::in_memory(), keys, &settings, &duties);
        let hash = Hash::from_bytes([1; 32]);
        publisher.provide(hash).await;
        assert_eq!(publisher.due().await, 1);
        let changes = publisher.changes.as_ref().unwrap();
        assert!(changes.send(Change::Panic).await.is_ok());
        publisher.restarted().await;
        assert_eq!(publisher.due().await, 0, "the plan is new");
        publisher.provide(hash).await;
        assert_eq!(publisher.due().await, 1);
        duties.stop();
    }
}
