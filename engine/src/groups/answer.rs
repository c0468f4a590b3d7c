//! Answers of this node to the group protocol.
//!
//! A peer from outside a group gets the same answer at the same time, whether this node knows the
//! group or not. What such a peer delivers is examined after it has its answer.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    io,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use libp2p::PeerId;
use parking_lot::Mutex;
use pelago_behaviour::{
    FrameError, Origin, Stall,
    group::{self, Answer, JoinOutcome, Request, fitting},
    streams::Inbound,
};
use pelago_groups::{
    Body, Digest, GroupId, JoinRequest, Judgement, Refusal, Statement, UserKey, judge,
};
use rand::RngExt;
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore},
    task::spawn_blocking,
    time::{sleep_until, timeout},
};

use super::{
    ask::{EXCHANGE_TIMEOUT, STALL},
    batches,
    feed::Wish,
    group::Group,
    handle::{Groups, user_of},
    mailbox::HeldRequest,
    pace::Exchange,
    syncs::Syncs,
};
use crate::{
    limits::Throttle,
    store::{DatabaseError, unix_now},
};

/// How long a peer may keep a stream open without a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a peer from outside waits for its answer: longer than any look-up takes.
const NOTHING_DELAY: Duration = Duration::from_millis(10);

/// Attempts of peers from outside within [`WINDOW`], from one place. A user who joins makes two, and
/// a member whom this node does not know yet two more.
const MAX_ATTEMPTS: u32 = 64;

const WINDOW: Duration = Duration::from_secs(10);

/// Requests to join that one member may pass on in a minute: as many as the mailboxes of four groups
/// hold. The others come again.
const MAX_PASSED_ON: u32 = 256;

const MINUTE: Duration = Duration::from_secs(60);

/// Deliveries of peers from outside that are examined at a time. Further ones are dropped: they come
/// again.
const DELIVERIES: usize = 4;

/// Answers the group protocol for the groups of a node.
#[derive(Clone)]
pub struct Answers(Arc<Shared>);

struct Shared {
    groups: Groups,
    strangers: Mutex<Throttle<u64>>,
    passed_on: Mutex<Throttle<PeerId>>,
    places: RandomState,
    syncs: Syncs,
    /// One for each user whose nodes sync now.
    turns: Mutex<HashMap<UserKey, Arc<AsyncMutex<()>>>>,
    deliveries: Arc<Semaphore>,
}

/// What a peer is to a group.
enum Standing {
    /// Both it and this node belong to the group; it is a node of this user.
    Member(Arc<Group>, UserKey),
    /// Either of them belongs to it no longer, as these statements show.
    Past(Vec<Statement>),
    /// It does not belong to it, or this node does not.
    Stranger,
}

/// What a peer gets for its request to join.
type JoinAnswer = Option<(JoinOutcome, Vec<Statement>)>;

impl Answers {
    /// Answers for `groups`.
    #[must_use]
    pub fn new(groups: Groups) -> Self {
        Self(Arc::new(Shared {
            groups,
            strangers: Mutex::new(Throttle::new(MAX_ATTEMPTS, WINDOW)),
            passed_on: Mutex::new(Throttle::new(MAX_PASSED_ON, MINUTE)),
            turns: Mutex::default(),
            places: RandomState::new(),
            syncs: Syncs::default(),
            deliveries: Arc::new(Semaphore::new(DELIVERIES)),
        }))
    }

    /// Answers the requests on a stream until it ends.
    ///
    /// # Errors
    /// The stream failed, or a request is invalid.
    pub async fn serve(
        self,
        peer: PeerId,
        origin: Origin,
        stream: Inbound,
    ) -> Result<(), FrameError> {
        let moved = Arc::<AtomicU64>::default();
        let mut stream = Stall::new(stream, STALL).counting(Arc::clone(&moved));
        loop {
            stream.disarm();
            let request = timeout(IDLE_TIMEOUT, group::read_request(&mut stream)).await;
            let Ok(Some(request)) = request.unwrap_or(Ok(None)) else {
                return Ok(());
            };
            stream.arm();
            let begun = Instant::now();
            let asked = Asked {
                peer,
                place: self.place(origin),
                begun,
                moved: Arc::clone(&moved),
            };
            let answered = timeout(EXCHANGE_TIMEOUT, self.answer(&asked, request, &mut stream));
            answered.await.map_err(|_| too_slow())??;
        }
    }

    async fn answer(
        &self,
        asked: &Asked,
        request: Request,
        stream: &mut Stall<Inbound>,
    ) -> Result<(), FrameError> {
        let answer = match request {
            Request::Sync {
                group,
                digest,
                revision,
            } => {
                return self.sync(asked, (group, digest, revision), stream).await;
            }
            Request::Push {
                group,
                digest,
                statements,
            } => self.push(asked, (group, digest), statements).await?,
            Request::Join {
                group,
                request,
                profile,
                origin,
            } => self.join(asked, group, [request, profile], origin).await?,
        };
        group::write_answer(stream, &answer).await
    }

    async fn sync(
        &self,
        asked: &Asked,
        (id, theirs, revision): (GroupId, Digest, u64),
        stream: &mut Stall<Inbound>,
    ) -> Result<(), FrameError> {
        let groups = &self.0.groups;
        let (group, user) = match self.standing(&id, &asked.peer) {
            Standing::Member(group, user) => (group, user),
            other => {
                let answer = self.nothing(asked, other).await?;
                return group::write_answer(stream, &answer).await;
            }
        };
        groups.shares(id, asked.peer, revision);
        let (ours, revision) = (group.digest(), groups.catalogue_revision(id).await);
        let held = Answer::Held {
            digest: ours,
            revision,
        };
        group::write_answer(stream, &held).await?;
        if ours == theirs {
            groups.confirm(id, asked.peer, theirs);
        } else {
            let turn = self.turn(user);
            let _turn = turn.lock().await;
            let exchange = Exchange::counted_by(&asked.moved);
            let _syncing = self.0.syncs.enter(&exchange).await;
            tokio::select! {
                compared = self.compare(asked, &group, revision, stream) => compared?,
                () = exchange.over() => return Err(too_slow()),
            }
        }
        let (groups, peer) = (groups.clone(), asked.peer);
        blocking(move || groups.heard(id, &peer)).await
    }

    /// The rest of a sync between members that hold different statements.
    async fn compare(
        &self,
        asked: &Asked,
        group: &Group,
        revision: u64,
        stream: &mut Stall<Inbound>,
    ) -> Result<(), FrameError> {
        group::write_batch(stream, &batches::ids(group)).await?;
        let reply = group::read_batch(stream).await?;
        self.take(group.id(), asked.peer, reply.statements).await?;
        let Some(group) = self.0.groups.joined(&group.id()) else {
            return Ok(());
        };
        group::write_batch(stream, &batches::wanted(&group, &reply.wanted)).await?;
        let held = Answer::Held {
            digest: group.digest(),
            revision,
        };
        group::write_answer(stream, &held).await
    }

    async fn push(
        &self,
        asked: &Asked,
        (id, theirs): (GroupId, Digest),
        statements: Vec<Vec<u8>>,
    ) -> Result<Answer, FrameError> {
        let groups = &self.0.groups;
        let standing = self.standing(&id, &asked.peer);
        if let Standing::Member(..) = standing {
            self.take(id, asked.peer, statements).await?;
            if let Some(group) = groups.joined(&id) {
                groups.confirm(id, asked.peer, theirs);
                let (heard, peer) = (groups.clone(), asked.peer);
                blocking(move || heard.heard(id, &peer)).await?;
                return Ok(Answer::Held {
                    digest: group.digest(),
                    revision: groups.catalogue_revision(id).await,
                });
            }
            return self.nothing(asked, self.standing(&id, &asked.peer)).await;
        }
        let answer = self.nothing(asked, standing).await?;
        if let (Some(_), Ok(permit)) = (
            groups.get(&id),
            Arc::clone(&self.0.deliveries).try_acquire_owned(),
        ) {
            let (answers, peer) = (self.clone(), asked.peer);
            tokio::spawn(async move {
                let _permit = permit;
                if answers.take(id, peer, statements).await.is_ok()
                    && let Standing::Member(..) = answers.standing(&id, &peer)
                {
                    answers.0.groups.feed().note([Wish::Sync(id, peer)]);
                }
            });
        }
        Ok(answer)
    }

    async fn join(
        &self,
        asked: &Asked,
        id: GroupId,
        sent: [Vec<u8>; 2],
        origin: Option<u64>,
    ) -> Result<Answer, FrameError> {
        let is_member = matches!(self.standing(&id, &asked.peer), Standing::Member(..));
        let is_his = names(&sent[1], &asked.peer);
        let origin = match origin.filter(|_| is_member) {
            Some(origin) => self.0.places.hash_one((asked.peer, origin)),
            None => asked.place,
        };
        let receive = {
            let (groups, from) = (self.0.groups.clone(), asked.peer);
            move || groups.receive_join(id, from, &sent, origin)
        };
        if !is_member && !is_his {
            // Another one sends the request of a user again: what became of it is not for it.
            let answer = self.nothing(asked, Standing::Stranger).await?;
            if let Ok(permit) = Arc::clone(&self.0.deliveries).try_acquire_owned() {
                tokio::spawn(async move {
                    let _permit = permit;
                    blocking(receive).await
                });
            }
            return Ok(answer);
        }
        let is_allowed = match is_member {
            true => self.0.passed_on.lock().allows(asked.peer, asked.begun),
            false => self.0.strangers.lock().allows(asked.place, asked.begun),
        };
        refuse_unless(is_allowed)?;
        match blocking(receive).await? {
            Some((outcome, proof)) => {
                let proof = proof.iter().map(|statement| statement.as_bytes());
                Ok(Answer::Join {
                    outcome,
                    statements: fitting(proof),
                })
            }
            None => self.nothing(asked, Standing::Stranger).await,
        }
    }

    fn standing(&self, id: &GroupId, peer: &PeerId) -> Standing {
        let groups = &self.0.groups;
        let (Some(group), Some(own)) = (groups.get(id), groups.user()) else {
            return Standing::Stranger;
        };
        let is_here = group.roster().is_in(&own);
        let Some(user) = user_of(&group, peer) else {
            return Standing::Stranger;
        };
        match (is_here, group.roster().is_in(&user)) {
            (true, true) => Standing::Member(group, user),
            // Also one whom only an owner had admitted who was dropped since.
            (true, false) => Standing::Past(group.proof_of(&user)),
            (false, true) => Standing::Past(group.proof_of(&own)),
            _ => Standing::Stranger,
        }
    }

    /// The answer to a peer that is not a member, after the time that all such answers take.
    async fn nothing(&self, asked: &Asked, standing: Standing) -> Result<Answer, FrameError> {
        self.count(asked)?;
        let statements = match standing {
            Standing::Past(statements) => statements,
            Standing::Member(..) | Standing::Stranger => Vec::new(),
        };
        sleep_until((asked.begun + NOTHING_DELAY).into()).await;
        let statements = statements.iter().map(|statement| statement.as_bytes());
        Ok(Answer::Nothing {
            statements: fitting(statements),
        })
    }

    /// Counts an attempt of a peer from outside.
    fn count(&self, asked: &Asked) -> Result<(), FrameError> {
        refuse_unless(self.0.strangers.lock().allows(asked.place, asked.begun))
    }

    async fn take(
        &self,
        id: GroupId,
        from: PeerId,
        statements: Vec<Vec<u8>>,
    ) -> Result<(), FrameError> {
        if statements.is_empty() {
            return Ok(());
        }
        let groups = self.0.groups.clone();
        blocking(move || groups.take(id, from, &statements)).await
    }

    /// What the nodes of a user take in turns.
    fn turn(&self, user: UserKey) -> Arc<AsyncMutex<()>> {
        let mut turns = self.0.turns.lock();
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(user).or_default())
    }

    /// A number that is equal for peers from one site.
    fn place(&self, origin: Origin) -> u64 {
        match origin.site() {
            Some(site) => self.0.places.hash_one(site),
            None => self.0.places.hash_one(origin),
        }
    }
}

/// A request and its sender.
struct Asked {
    peer: PeerId,
    place: u64,
    begun: Instant,
    /// The bytes that have moved on the stream.
    moved: Arc<AtomicU64>,
}

impl Groups {
    /// Takes a request to join, of a user who has the link; none if the user has none of the group.
    fn receive_join(
        &self,
        id: GroupId,
        from: PeerId,
        [request, profile]: &[Vec<u8>; 2],
        origin: u64,
    ) -> Result<JoinAnswer, DatabaseError> {
        let Some(group) = self.joined(&id) else {
            return Ok(None);
        };
        let Some(join) = verified(&group, request, profile) else {
            return Ok(None);
        };
        let (user, invite) = (join.asked().user, join.asked().invite);
        let invites = group.roster().invites();
        let is_open = invites.get(&invite).is_some_and(|invite| invite.is_open);
        match judge(group.held(), group.roster(), &join) {
            // The node of a user who was admitted ahead of time is not known yet.
            _ if is_open && group.roster().is_in(&user) && !join.asked().is_withdrawn => {
                let profile = join.profile().clone();
                self.change(id, Some(from), |group| {
                    group.merge([profile]);
                    Ok::<_, DatabaseError>(())
                })?;
            }
            Judgement::Refused(_) => {}
            Judgement::Admit { .. } | Judgement::Ask => {
                let request = HeldRequest {
                    join: join.clone(),
                    received: unix_now(),
                    origin,
                };
                let random = |below| rand::rng().random_range(0..below);
                self.change(id, Some(from), |group| {
                    group.mailbox.add(request, random);
                    Ok::<_, DatabaseError>(())
                })?;
            }
        }
        Ok(self.joined(&id).map(|group| outcome(&group, &join, &user)))
    }
}

/// How a request stands.
fn outcome(group: &Group, join: &JoinRequest, user: &UserKey) -> (JoinOutcome, Vec<Statement>) {
    let (roster, invite) = (group.roster(), join.asked().invite);
    if join.asked().is_withdrawn {
        return (JoinOutcome::Pending, Vec::new());
    }
    let is_open = roster.invites().get(&invite).is_some_and(|of| of.is_open);
    // The invite may be used up with this user. One that was revoked shows nothing else.
    let is_in = roster
        .member(user)
        .is_some_and(|member| is_open || member.via == Some(invite));
    if is_in {
        return (JoinOutcome::Accepted, group.proof_of(user));
    }
    let outcome = match judge(group.held(), group.roster(), join) {
        Judgement::Refused(Refusal::Invite | Refusal::AlreadyIn) => JoinOutcome::Revoked,
        Judgement::Refused(Refusal::Used) if group.is_rejected(user, invite) => {
            JoinOutcome::Rejected
        }
        Judgement::Refused(Refusal::Used) => JoinOutcome::Used,
        Judgement::Refused(Refusal::Full) => JoinOutcome::Full,
        Judgement::Admit { .. } | Judgement::Ask => JoinOutcome::Pending,
    };
    // The root takes the group back by what shows that she is the root.
    let proof = match roster.root() == Some(*user) {
        true => group.proof_of(user),
        false => Vec::new(),
    };
    (outcome, proof)
}

fn too_slow() -> FrameError {
    FrameError::Io(io::ErrorKind::TimedOut.into())
}

fn refuse_unless(is_allowed: bool) -> Result<(), FrameError> {
    match is_allowed {
        true => Ok(()),
        false => Err(FrameError::Io(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "too many attempts from one place",
        ))),
    }
}

/// Whether a user states that `peer` is a node of his. Says nothing of the signature.
fn names(profile: &[u8], peer: &PeerId) -> bool {
    let profile = Statement::from_stored(profile);
    let key = crate::access::key_of(peer);
    matches!(
        profile.as_ref().map(Statement::body),
        Ok(Body::User(stated)) if stated.nodes.iter().any(|named| Some(named.node) == key)
    )
}

/// The request, if it is valid and names an invite that an owner has minted.
fn verified(group: &Group, request: &[u8], profile: &[u8]) -> Option<JoinRequest> {
    // What is not of this group costs no verification.
    let claimed = Statement::from_stored(request).ok()?;
    let Body::Request(asked) = claimed.body() else {
        return None;
    };
    if asked.group != group.id() || !group.roster().invites().contains_key(&asked.invite) {
        return None;
    }
    let request = Statement::from_bytes(request).ok()?;
    let profile = Statement::from_bytes(profile).ok()?;
    JoinRequest::from_statements(request, profile).ok()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DatabaseError> + Send + 'static,
) -> Result<T, FrameError> {
    let failed =
        |error: &dyn std::fmt::Display| FrameError::Io(io::Error::other(error.to_string()));
    // Boxed: a task of its own type for each piece of work would be compiled each time.
    let work: Box<dyn FnOnce() -> Result<T, DatabaseError> + Send> = Box::new(work);
    match spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}
