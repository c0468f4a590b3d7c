//! All groups of a node: one place that changes them, keeps them, and passes on what changed.
//!
//! Each change is one commit, made before anything is sent. Memory, the store, access and peers follow
//! from it, so that no caller has to remember them. Errors are those of the database, or of the act.

mod taking;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use parking_lot::Mutex;
use pelago_content::Hash;
use pelago_groups::{Digest, GroupId, InviteKey, Name, Ownership, Slot, Statement, UserKey};
use prometheus_client::registry::Registry;
use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
};

use super::{
    error::GroupError,
    feed::{Feed, Wish},
    group::Group,
    identity::Identity,
    metrics::Metrics,
    reports::Reports,
    rows,
};
use crate::{
    access::Memberships,
    limits::Throttle,
    store::{DatabaseError, GroupChange, GroupRow, Scope, Store, unix_now},
};

/// Groups that a node knows, at most; those that its user has left count until they are forgotten.
pub(super) const MAX_GROUPS: usize = 128;

/// How precisely a node remembers when it last heard from an owner, in seconds: each time is a
/// commit.
const HEARD_STEP: u64 = 300;

/// Statements of one peer in a minute that have no effect: beyond that, this node takes none from it
/// until the minute has ended. A whole sync with a group that has just changed has fewer.
const MAX_USELESS: u32 = 4096;

/// Replacements of what fills a slot in 80 s that do not change who has access: one in ten seconds,
/// as members send them, and some at once. What is left out comes with a later sync.
const MAX_REPLACED: u32 = 8;

/// The groups of a node. A handle: clones share them.
#[derive(Clone)]
pub struct Groups(Arc<Shared>);

struct Shared {
    store: Store,
    local: PeerId,
    identity: Option<Identity>,
    is_locked: bool,
    memberships: Memberships,
    groups: Mutex<BTreeMap<GroupId, Arc<Group>>>,
    /// Held while a group changes. What is read needs only the lock above, never the disk.
    changing: Mutex<Option<Statement>>,
    /// What this node announces in the DHT to meet members.
    announced: Mutex<BTreeSet<Hash>>,
    reports: Mutex<Reports>,
    has_unread: Notify,
    /// The numbers of what this node shares in its groups, with the revision of all shares by which
    /// they were computed.
    catalogues: Mutex<HashMap<GroupId, (u64, u64)>>,
    feed: Feed,
    /// A random key of this run.
    run: RandomState,
    throttles: Mutex<Throttles>,
    revision: watch::Sender<u64>,
    metrics: Metrics,
}

/// What is limited by its causes.
struct Throttles {
    /// Statements that had no effect, by the peer that sent them.
    useless: Throttle<PeerId>,
    /// Replacements of what fills a slot.
    replaced: Throttle<(GroupId, Slot)>,
    /// Log lines on authors who contradict themselves.
    contradictions: Throttle<(GroupId, Option<UserKey>)>,
    /// Log lines on requests to join.
    requests: Throttle<(GroupId, InviteKey)>,
}

impl Default for Throttles {
    fn default() -> Self {
        Self {
            useless: Throttle::new(MAX_USELESS, Duration::from_secs(60)),
            replaced: Throttle::new(MAX_REPLACED, Duration::from_secs(80)),
            contradictions: Throttle::bounded(1, Duration::from_secs(3600)),
            requests: Throttle::bounded(4, Duration::from_secs(600)),
        }
    }
}

impl Groups {
    /// The groups in `store`, for the user `identity` of the node `local`. `is_locked`: there is a
    /// user, who is logged out. Blocks on the database.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub fn open(
        store: Store,
        local: PeerId,
        identity: Option<Identity>,
        is_locked: bool,
        memberships: Memberships,
    ) -> Result<Self, DatabaseError> {
        let groups = match &identity {
            Some(_) => rows::load(&store)?,
            None => BTreeMap::new(),
        };
        let profile = match &identity {
            Some(identity) => {
                let before = rows::profile(&store, &identity.user.key())?;
                let profile = identity.profile(before.as_ref(), true);
                if before.as_ref() != Some(&profile) {
                    store.change_groups(&[rows::profile_change(&identity.user, &profile)])?;
                }
                Some(profile)
            }
            None => None,
        };
        let ids: Vec<_> = groups.keys().copied().collect();
        let groups = groups.into_iter().map(|(id, group)| (id, Arc::new(group)));
        let groups = Self(Arc::new(Shared {
            store,
            local,
            identity,
            is_locked,
            memberships,
            groups: Mutex::new(groups.collect()),
            changing: Mutex::new(profile),
            announced: Mutex::default(),
            reports: Mutex::default(),
            has_unread: Notify::new(),
            catalogues: Mutex::default(),
            feed: Feed::default(),
            run: RandomState::new(),
            throttles: Mutex::default(),
            revision: watch::Sender::default(),
            metrics: Metrics::new(),
        }));
        for id in ids {
            // What was due while the node was off.
            groups.change(id, None, |_| Ok::<_, DatabaseError>(()))?;
        }
        groups.grant();
        Ok(groups)
    }

    /// The user of this node.
    ///
    /// # Errors
    /// [`GroupError::NoUser`], or [`GroupError::Locked`].
    pub fn identity(&self) -> Result<&Identity, GroupError> {
        self.0.identity.as_ref().ok_or(match self.0.is_locked {
            true => GroupError::Locked,
            false => GroupError::NoUser,
        })
    }

    /// The key of the user of this node.
    pub(super) fn user(&self) -> Option<UserKey> {
        Some(self.0.identity.as_ref()?.user.key())
    }

    /// The id of this node.
    pub(super) fn local(&self) -> PeerId {
        self.0.local
    }

    pub(super) fn feed(&self) -> &Feed {
        &self.0.feed
    }

    /// The metrics of this module.
    #[must_use]
    pub fn metrics(&self) -> &Registry {
        &self.0.metrics.registry
    }

    /// A number that changes with each change of a group.
    #[must_use]
    pub fn revision(&self) -> watch::Receiver<u64> {
        self.0.revision.subscribe()
    }

    /// All groups that this node knows.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Group>> {
        self.0.groups.lock().values().cloned().collect()
    }

    /// The group `id`, if this node knows it.
    #[must_use]
    pub fn get(&self, id: &GroupId) -> Option<Arc<Group>> {
        self.0.groups.lock().get(id).cloned()
    }

    /// The group `id`, if the user of this node belongs to it.
    pub(super) fn joined(&self, id: &GroupId) -> Option<Arc<Group>> {
        let user = self.user()?;
        self.get(id).filter(|group| group.roster().is_in(&user))
    }

    /// What the user of this node states of himself.
    #[must_use]
    pub fn profile(&self) -> Option<Statement> {
        self.0.changing.lock().clone()
    }

    /// Changes the name of the user of this node, also in groups. Blocks on the database.
    ///
    /// # Errors
    /// [`GroupError::NoUser`], or the database failed.
    pub fn rename_user(&self, name: Name) -> Result<(), GroupError> {
        let identity = self.identity()?;
        {
            let mut changing = self.0.changing.lock();
            identity.rename(name);
            let profile = identity.profile(changing.as_ref(), true);
            let row = rows::profile_change(&identity.user, &profile);
            self.0.store.change_groups(&[row])?;
            *changing = Some(profile);
        }
        for group in self.all() {
            // Each change merges what the user states of himself.
            self.change(group.id(), None, |_| Ok::<_, GroupError>(()))?;
        }
        Ok(())
    }

    /// Sets what this node announces in the DHT to meet members.
    pub fn announced(&self, keys: BTreeSet<Hash>) {
        *self.0.announced.lock() = keys;
    }

    /// What this node announces in the DHT to meet members, in place of hashes.
    #[must_use]
    pub fn announcements(&self) -> BTreeSet<Hash> {
        self.0.announced.lock().clone()
    }

    /// Notes the number that a member reports of what it shares in a group.
    pub(super) fn shares(&self, group: GroupId, peer: PeerId, revision: u64) {
        let mut reports = self.0.reports.lock();
        if self.is_named(&group, &peer) && reports.shares(group, peer, revision) {
            self.0.has_unread.notify_one();
        }
    }

    /// Waits until a member reports that it shares something else in a group than before.
    pub async fn unread(&self) -> (GroupId, PeerId) {
        loop {
            let next = self.0.reports.lock().next_unread();
            if let Some(unread) = next {
                return unread;
            }
            self.0.has_unread.notified().await;
        }
    }

    /// What a peer reported to hold of a group.
    #[must_use]
    pub fn confirmed(&self, group: &GroupId, peer: &PeerId) -> Option<Digest> {
        self.0.reports.lock().held(group, peer)
    }

    /// A number that changes with what this node shares in a group, and with nothing else. It is
    /// another one in each run and in each group, so that it shows neither how often something
    /// changed nor which groups share a member.
    pub(super) async fn catalogue_revision(&self, group: GroupId) -> u64 {
        let shares = self.0.store.shares_revision();
        let known = self.0.catalogues.lock().get(&group).copied();
        if let Some((_, revision)) = known.filter(|(of, _)| *of == shares) {
            return revision;
        }
        let (store, run) = (self.0.store.clone(), self.0.run.clone());
        let digest = spawn_blocking(move || store.catalogue_digest(Scope::Group(group), &run));
        match digest.await {
            Ok(Ok(revision)) => {
                let mut catalogues = self.0.catalogues.lock();
                catalogues.insert(group, (shares, revision));
                revision
            }
            // Members read the catalogue in vain.
            _ => self.0.run.hash_one((group, shares)),
        }
    }

    /// Notes what a peer reports to hold of a group.
    pub(super) fn confirm(&self, group: GroupId, peer: PeerId, digest: Digest) {
        let mut reports = self.0.reports.lock();
        if self.is_named(&group, &peer) {
            reports.holds(group, peer, digest);
        }
    }

    /// Whether a peer is on the roster of a group.
    fn is_named(&self, group: &GroupId, peer: &PeerId) -> bool {
        self.get(group)
            .is_some_and(|group| peers_of(&group).any(|of| of == *peer))
    }

    /// Changes a group by `act`, and does what follows: it is kept in one commit, and what is new is
    /// passed on, except to the peer `from` from which it came. Blocks on the database.
    ///
    /// # Errors
    /// That of `act`, or of the database. Nothing is changed then.
    pub fn change<T, E: From<DatabaseError>>(
        &self,
        id: GroupId,
        from: Option<PeerId>,
        act: impl FnOnce(&mut Group) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut changing = self.0.changing.lock();
        let before = self.get(&id);
        let mut after = match &before {
            Some(before) => Group::clone(before),
            None => Group::new(id),
        };
        let value = act(&mut after)?;
        let mut rows = Vec::new();
        if let Some(identity) = &self.0.identity {
            if let Some(profile) = adopted(identity, changing.as_ref(), &after) {
                rows.push(rows::profile_change(&identity.user, &profile));
                *changing = Some(profile);
            }
            after.merge(changing.clone());
            after.settle(&identity.user, unix_now());
        }
        rows.extend(rows::changes(before.as_deref(), &after));
        if rows.is_empty() {
            return Ok(value);
        }
        rows.extend(self.forgotten(before.as_deref(), &after));
        self.0.store.change_groups(&rows)?;
        let wishes = self.wishes(before.as_deref(), &after, from);
        let is_new = wishes.iter().any(|wish| matches!(wish, Wish::Tell { .. }));
        self.report(before.as_deref(), &after);
        let nodes: HashSet<_> = peers_of(&after).collect();
        match after.is_blank() {
            true => self.forget(&id),
            false => _ = self.0.groups.lock().insert(id, Arc::new(after)),
        }
        if is_new {
            let mut reports = self.0.reports.lock();
            reports.keep(id, |peer| nodes.contains(peer));
            drop(reports);
            self.grant();
        }
        drop(changing);
        self.0.feed.note(wishes);
        self.0.revision.send_modify(|revision| *revision += 1);
        Ok(value)
    }

    /// Makes sure that there is space for another group: forgets one that the user of this node has
    /// left, if there are too many. Blocks on the database.
    ///
    /// # Errors
    /// The user belongs to as many groups as a node may have, or the database failed.
    pub fn make_space(&self) -> Result<(), GroupError> {
        let user = self.identity()?.user.key();
        let _changing = self.0.changing.lock();
        let all = self.all();
        if all.len() < MAX_GROUPS {
            return Ok(());
        }
        let is_past = |group: &&Arc<Group>| {
            let is_asked = group.own_join().is_some_and(|own| own.status.is_pending());
            !group.roster().is_in(&user) && !is_asked
        };
        let past = all.iter().find(is_past);
        let past = past.ok_or(GroupError::TooManyGroups(MAX_GROUPS))?;
        self.0.store.change_groups(&rows::removal(past))?;
        self.forget(&past.id());
        Ok(())
    }

    /// Drops what is in memory of a group.
    fn forget(&self, id: &GroupId) {
        self.0.groups.lock().remove(id);
        self.0.reports.lock().keep(*id, |_| false);
        self.0.catalogues.lock().remove(id);
    }

    /// Notes that a peer, which is a node of an owner, was heard.
    ///
    /// # Errors
    /// The database failed.
    pub(super) fn heard(&self, id: GroupId, peer: &PeerId) -> Result<(), DatabaseError> {
        let Some(group) = self.joined(&id) else {
            return Ok(());
        };
        let now = unix_now();
        let is_recent = group.heard().is_some_and(|heard| now < heard + HEARD_STEP);
        let user = user_of(&group, peer);
        if is_recent || !user.is_some_and(|user| group.roster().is_owner(&user)) {
            return Ok(());
        }
        self.change(id, None, |group| {
            group.heard = Some(now);
            Ok(())
        })
    }

    /// Ends what is due by the clock.
    ///
    /// # Errors
    /// The database failed.
    pub(super) fn tick(&self) -> Result<(), DatabaseError> {
        for group in self.all() {
            self.change(group.id(), None, |_| Ok::<_, DatabaseError>(()))?;
        }
        Ok(())
    }

    /// The changes of rows by which this node forgets what those shared who are members no longer.
    fn forgotten(&self, before: Option<&Group>, after: &Group) -> Vec<GroupChange> {
        let own = self.user();
        let is_here = own.is_some_and(|own| after.roster().is_in(&own));
        let stay: HashSet<_> = peers_of(after).filter(|_| is_here).collect();
        let gone = before
            .into_iter()
            .flat_map(peers_of)
            .filter(|peer| !stay.contains(peer));
        let gone = gone.map(|peer| GroupChange {
            kind: GroupRow::Catalogue,
            of: *after.id().as_bytes(),
            key: peer.to_bytes(),
            row: None,
        });
        gone.collect()
    }

    /// What peers have to learn after a change.
    fn wishes(&self, before: Option<&Group>, after: &Group, from: Option<PeerId>) -> Vec<Wish> {
        let id = after.id();
        let grants_as_before =
            before.is_some_and(|before| before.roster().grants_as(after.roster()));
        let new = after.held().statements().filter_map(|statement| {
            let slot = statement.slot();
            let old = before.and_then(|before| before.held().get(&slot));
            (old != Some(statement)).then_some(Wish::Tell {
                group: id,
                slot,
                is_urgent: (old.is_none()
                    || !grants_as_before && matches!(slot, Slot::Entry(..) | Slot::Leave(_)))
                    && author(&slot)
                        .is_none_or(|author| after.ownership(&author) != Some(Ownership::Once)),
                from,
            })
        });
        let mut wishes: Vec<_> = new.collect();
        let is_unknown = |user: &UserKey| {
            let request = |group: &Group| group.request(user).map(|held| held.join.clone());
            before.and_then(request) != request(after)
        };
        let users = after.mailbox.iter().map(|(user, _)| *user);
        wishes.extend(users.filter(is_unknown).map(|user| Wish::PassOn(id, user)));
        wishes.extend(self.proofs(before, after, from));
        if let (Some(user), Some(from)) = (self.user(), from)
            && after.roster().is_in(&user)
            && !before.is_some_and(|before| before.roster().is_in(&user))
        {
            wishes.push(Wish::Sync(id, from));
        }
        wishes
    }

    /// Whom to show that they are in or out now, by any cause.
    fn proofs(&self, before: Option<&Group>, after: &Group, from: Option<PeerId>) -> Vec<Wish> {
        let nothing = Group::new(after.id());
        let before = before.unwrap_or(&nothing);
        let changed = before.roster().changed_users(after.roster());
        let others = changed
            .into_iter()
            .filter(|user| self.user() != Some(*user));
        let nodes = others.flat_map(|user| {
            // The profile of one who is out need not be held any more.
            let nodes = nodes_of(before, &user).chain(nodes_of(after, &user));
            nodes.map(move |peer| (user, peer)).collect::<Vec<_>>()
        });
        let told = nodes.filter(|(_, peer)| Some(*peer) != from);
        told.map(|(user, peer)| Wish::Prove(after.id(), user, peer))
            .collect()
    }

    /// Logs what people should notice.
    fn report(&self, before: Option<&Group>, after: &Group) {
        let name = after.roster().name().map(ToString::to_string);
        for request in after.requests() {
            let asked = request.join.asked();
            let known = before.and_then(|before| before.request(&asked.user));
            let is_new = known.is_none_or(|known| known.join != request.join);
            let cause = (after.id(), asked.invite);
            if is_new
                && self
                    .0
                    .throttles
                    .lock()
                    .requests
                    .allows(cause, Instant::now())
            {
                tracing::info!(
                    group = %after.id(), name, user = %asked.user,
                    "a user asks to join a group: pelago group requests"
                );
            }
        }
    }

    /// Grants the nodes of all rosters what they may have, and no others.
    fn grant(&self) {
        let Some(user) = self.user() else {
            return;
        };
        let mut granted = HashMap::<PeerId, BTreeSet<GroupId>>::new();
        for group in self.all() {
            if group.roster().is_in(&user) {
                for peer in peers_of(&group) {
                    granted.entry(peer).or_default().insert(group.id());
                }
            }
        }
        self.0.memberships.replace(granted);
    }
}

/// The nodes of the members of a group.
pub(super) fn peers_of(group: &Group) -> impl Iterator<Item = PeerId> {
    let nodes = group.roster().nodes();
    nodes.filter_map(|(node, _)| crate::access::peer_of(&node))
}

/// The nodes of a user, who may have been removed.
fn nodes_of(group: &Group, user: &UserKey) -> impl Iterator<Item = PeerId> {
    let profile = group.held().profile(*user).into_iter();
    let nodes = profile.flat_map(|profile| &profile.nodes);
    nodes.filter_map(|named| crate::access::peer_of(&named.node))
}

/// The user of whom `peer` is a node: a member, or one who was.
pub(super) fn user_of(group: &Group, peer: &PeerId) -> Option<UserKey> {
    let node = crate::access::key_of(peer)?;
    let mut members = group.roster().nodes();
    if let Some((_, user)) = members.find(|(of, _)| *of == node) {
        return Some(user);
    }
    let mut profiles = group.held().statements().filter_map(Statement::profile);
    let is_his = |profile: &&pelago_groups::UserProfile| {
        profile.nodes.iter().any(|named| named.node == node)
    };
    Some(profiles.find(is_his)?.user)
}

/// A later statement of the user of this node about himself, from before a restore or from another
/// node: it is adopted, and names this node.
fn adopted(identity: &Identity, own: Option<&Statement>, group: &Group) -> Option<Statement> {
    let held = group.held().get(&Slot::User(identity.user.key()))?;
    if own.is_some_and(|own| !held.supersedes(own)) {
        return None;
    }
    Some(identity.profile(Some(held), false))
}

fn author(slot: &Slot) -> Option<UserKey> {
    match slot {
        Slot::Entry(author, _) | Slot::Invite(author, _) => Some(*author),
        Slot::Leave(user) | Slot::User(user) | Slot::Request(user) => Some(*user),
        Slot::Founding => None,
    }
}
