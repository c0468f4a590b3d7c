//! What this node asks of peers: syncs, deliveries, and requests to join.
//!
//! Only peers that belong to a group by this node's roster, or whom a person's link or they themselves
//! named, learn its id. An error ends the stream; the next connection or the next round tries again.

use std::{sync::Arc, time::Duration};

use libp2p::PeerId;
use pelago_behaviour::{
    FrameError, Protocol, Stall,
    group::{self, Answer, JoinOutcome, Request, fitting},
};
use pelago_groups::{GroupId, JoinRequest, Slot, UserKey};
use tokio::{task::spawn_blocking, time::timeout};

use super::{batches, group::Group, handle::Groups, pace::Exchange};
use crate::{
    network::{Network, Outgoing, StreamError},
    store::DatabaseError,
};

/// How long a peer may make no progress.
pub(super) const STALL: Duration = Duration::from_secs(10);

/// How long one exchange with a peer may take in all: 16 MiB at 280 kB/s.
pub(super) const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Something to do with one peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Errand {
    /// Tell a user who was removed, or who was admitted and knows nothing of the group yet.
    Prove(GroupId, UserKey),
    /// Send what fills this slot.
    Tell(GroupId, Slot),
    /// Compare the group.
    Sync(GroupId),
    /// Pass on the request of a user.
    PassOn(GroupId, UserKey),
}

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the peer took too long")]
    TooLong,
    #[error("the peer was the slowest, and others waited")]
    Slowest,
    #[error("the node is shutting down")]
    Ending,
}

/// A stream to a peer.
pub(super) struct Conversation {
    groups: Groups,
    peer: PeerId,
    stream: Stall<Outgoing>,
}

/// Does `work`, an exchange with a peer, within its time.
pub(super) async fn within<T>(
    work: impl Future<Output = Result<T, AskError>>,
) -> Result<T, AskError> {
    let ended = timeout(EXCHANGE_TIMEOUT, work).await;
    ended.unwrap_or(Err(AskError::TooLong))
}

impl Conversation {
    pub(super) async fn open(
        groups: &Groups,
        network: &Network,
        peer: PeerId,
        exchange: &Exchange,
    ) -> Result<Self, AskError> {
        let stream = network.open(peer, Protocol::Group).await?;
        Ok(Self {
            groups: groups.clone(),
            peer,
            stream: Stall::new(stream, STALL).counting(Arc::clone(&exchange.moved)),
        })
    }

    /// Does all of this.
    pub(super) async fn run(
        &mut self,
        errands: impl IntoIterator<Item = Errand>,
    ) -> Result<(), AskError> {
        let mut told = Vec::<(GroupId, Vec<Slot>)>::new();
        let mut others = Vec::new();
        for errand in errands {
            match errand {
                Errand::Tell(group, slot) => match told.last_mut() {
                    Some((last, slots)) if *last == group => slots.push(slot),
                    _ => told.push((group, vec![slot])),
                },
                other => others.push(other),
            }
        }
        for (group, slots) in told {
            within(self.tell(group, &slots)).await?;
        }
        for errand in others {
            within(self.run_one(errand)).await?;
        }
        Ok(())
    }

    async fn run_one(&mut self, errand: Errand) -> Result<(), AskError> {
        match errand {
            Errand::Prove(group, user) => {
                if let Some(group) = self.groups.get(&group) {
                    let proof = group.proof_of(&user);
                    let proof = proof.iter().map(|statement| statement.as_bytes());
                    self.push(&group, fitting(proof)).await?;
                }
                Ok(())
            }
            Errand::Sync(group) => self.sync(group).await,
            Errand::PassOn(group, user) => self.pass_on(group, &user).await,
            Errand::Tell(group, slot) => self.tell(group, &[slot]).await,
        }
    }

    /// Sends what fills these slots, and compares the group if that does not make it equal.
    async fn tell(&mut self, id: GroupId, slots: &[Slot]) -> Result<(), AskError> {
        let Some(group) = self.groups.get(&id) else {
            return Ok(());
        };
        // It may have come to the peer by another way.
        if self.groups.confirmed(&id, &self.peer) == Some(group.digest()) {
            return Ok(());
        }
        let statements = slots.iter().filter_map(|slot| group.held().get(slot));
        let statements = statements.map(|statement| statement.as_bytes());
        let fitting = fitting(statements);
        if fitting.is_empty() {
            return Ok(());
        }
        match self.push(&group, fitting).await? {
            Answer::Held { digest, revision } => {
                self.groups.shares(id, self.peer, revision);
                self.groups.confirm(id, self.peer, digest);
                self.heard(id).await?;
                let now = self.groups.get(&id);
                if now.is_some_and(|now| now.digest() != digest) {
                    self.sync(id).await?;
                }
            }
            Answer::Nothing { statements } => self.take(id, statements).await?,
            Answer::Join { .. } => {}
        }
        Ok(())
    }

    async fn push(&mut self, group: &Group, statements: Vec<Vec<u8>>) -> Result<Answer, AskError> {
        self.exchange(&Request::Push {
            group: group.id(),
            digest: group.digest(),
            statements,
        })
        .await
    }

    async fn sync(&mut self, id: GroupId) -> Result<(), AskError> {
        let Some(group) = self.groups.joined(&id) else {
            return Ok(());
        };
        let request = Request::Sync {
            group: id,
            digest: group.digest(),
            revision: self.groups.catalogue_revision(id).await,
        };
        match self.exchange(&request).await? {
            Answer::Held { digest, revision } => {
                self.groups.shares(id, self.peer, revision);
                if digest != group.digest() {
                    self.compare(id).await?;
                } else {
                    self.groups.confirm(id, self.peer, digest);
                }
                self.heard(id).await
            }
            Answer::Nothing { statements } => {
                self.take(id, statements).await?;
                // Unless these show otherwise, the peer knows less than this node.
                self.introduce(id).await
            }
            Answer::Join { .. } => Ok(()),
        }
    }

    /// The rest of a sync between members that hold different statements.
    async fn compare(&mut self, id: GroupId) -> Result<(), AskError> {
        let theirs = group::read_batch(&mut self.stream).await?;
        let Some(group) = self.groups.get(&id) else {
            return Ok(());
        };
        let reply = batches::reply(&group, &theirs.ids);
        group::write_batch(&mut self.stream, &reply).await?;
        let sent = group::read_batch(&mut self.stream).await?;
        self.take(id, sent.statements).await?;
        if let Answer::Held { digest, .. } = group::read_answer(&mut self.stream).await? {
            self.groups.confirm(id, self.peer, digest);
        }
        Ok(())
    }

    /// Shows a member that does not know it yet that the user of this node belongs to the group.
    async fn introduce(&mut self, id: GroupId) -> Result<(), AskError> {
        let (Some(group), Some(user)) = (self.groups.joined(&id), self.groups.user()) else {
            return Ok(());
        };
        let proof = group.proof_of(&user);
        let proof = proof.iter().map(|statement| statement.as_bytes());
        self.push(&group, fitting(proof)).await?;
        Ok(())
    }

    async fn pass_on(&mut self, id: GroupId, user: &UserKey) -> Result<(), AskError> {
        let group = self.groups.joined(&id);
        let request = group.as_deref().and_then(|group| group.request(user));
        if let Some(request) = request {
            self.join(id, &request.join, Some(request.origin)).await?;
        }
        Ok(())
    }

    /// Asks to join. Takes what the answer proves.
    pub(super) async fn join(
        &mut self,
        id: GroupId,
        join: &JoinRequest,
        origin: Option<u64>,
    ) -> Result<Option<JoinOutcome>, AskError> {
        let request = Request::Join {
            group: id,
            request: join.request().as_bytes().to_vec(),
            profile: join.profile().as_bytes().to_vec(),
            origin,
        };
        match self.exchange(&request).await? {
            Answer::Join {
                outcome,
                statements,
            } => {
                self.take(id, statements).await?;
                Ok(Some(outcome))
            }
            Answer::Nothing { .. } | Answer::Held { .. } => Ok(None),
        }
    }

    async fn exchange(&mut self, request: &Request) -> Result<Answer, AskError> {
        self.stream.arm();
        group::write_request(&mut self.stream, request).await?;
        Ok(group::read_answer(&mut self.stream).await?)
    }

    async fn take(&mut self, id: GroupId, statements: Vec<Vec<u8>>) -> Result<(), AskError> {
        if statements.is_empty() {
            return Ok(());
        }
        let (groups, peer) = (self.groups.clone(), self.peer);
        let taking = spawn_blocking(move || groups.take(id, peer, &statements));
        Ok(taking.await.map_err(|_| AskError::Ending)??)
    }

    async fn heard(&mut self, id: GroupId) -> Result<(), AskError> {
        let (groups, peer) = (self.groups.clone(), self.peer);
        let noting = spawn_blocking(move || groups.heard(id, &peer));
        Ok(noting.await.map_err(|_| AskError::Ending)??)
    }
}
