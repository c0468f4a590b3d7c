//! Availability streams: one question, and updates until either side closes the stream.

use std::mem::take;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::PeerId;
use pelago_behaviour::{
    FrameError, Stall,
    availability::{self, Availability, Update},
    streams::Inbound,
};
use pelago_content::Hash;
use tokio::time::{Instant, sleep, timeout};

use super::Server;
use crate::serve::{
    answers::{Absent, Question},
    changes::{Change, ChangeWatcher, UPDATE_INTERVAL},
    metrics::Refusal,
    requester::Requester,
    subscribers::Subscription,
};

/// How often to look up the address of a subscriber, once in each [`UPDATE_INTERVAL`]. After that,
/// it is looked up only when there is an update.
const LOCATE_ATTEMPTS: u32 = 8;

impl Server {
    pub(super) async fn serve_availability(
        &self,
        requester: Requester,
        stream: Inbound,
    ) -> Result<(), FrameError> {
        let mut stream = Stall::new(stream, self.stall);
        // The request is a few bytes, which the peer sends as it opens the stream.
        let request = timeout(self.stall, availability::read_request(&mut stream)).await;
        match request.unwrap_or(Ok(None))? {
            Some(request) => {
                self.answer(requester, stream, Question::Proven(request))
                    .await
            }
            None => Ok(()),
        }
    }

    /// Serves version 1 of the protocol.
    pub(super) async fn serve_listed_availability(
        &self,
        requester: Requester,
        stream: Inbound,
    ) -> Result<(), FrameError> {
        let mut stream = Stall::new(stream, self.stall);
        let request = timeout(self.stall, availability::read_listed_request(&mut stream)).await;
        match request.unwrap_or(Ok(None))? {
            Some(hash) => self.answer(requester, stream, Question::Named(hash)).await,
            None => Ok(()),
        }
    }

    async fn answer(
        &self,
        requester: Requester,
        mut stream: Stall<Inbound>,
        question: Question,
    ) -> Result<(), FrameError> {
        let begun = Instant::now();
        let (hash, has) = match self.answers.asked(requester, question).await? {
            Ok(asked) => asked,
            Err(absent) => {
                self.metrics.refused(Refusal::Absent);
                self.absences.wait(&requester, 1, begun).await;
                availability::write_update(&mut stream, &Update::Absent).await?;
                return self.end(requester, stream, absent).await;
            }
        };
        if matches!(question, Question::Proven(_)) {
            let _ = self.asked.try_send((hash, requester.peer));
        }
        self.send_updates(requester, stream, hash, question, has)
            .await
    }

    /// Ends a subscription to content that this node does not have, or no longer.
    async fn end(
        &self,
        requester: Requester,
        mut stream: Stall<Inbound>,
        absent: Absent,
    ) -> Result<(), FrameError> {
        stream.close().await?;
        let found = absent.finding.into_iter().collect();
        self.handle_findings(requester, found).await;
        Ok(())
    }

    /// Sends the availability of `hash` and its changes, until the requester closes the stream.
    async fn send_updates(
        &self,
        requester: Requester,
        mut stream: Stall<Inbound>,
        hash: Hash,
        question: Question,
        mut has: Availability,
    ) -> Result<(), FrameError> {
        let (peer, action) = (requester.peer, question.action());
        let mut subscription = self.subscribers.subscribe(hash, question.group(), peer);
        let mut watcher = self.changes.watch(hash);
        let _upload = match question {
            Question::Proven(_) => Some(self.uploads.subscribe(requester, hash, question.group())),
            Question::Named(_) => None,
        };
        let listener = self.access.completed().listen(hash, peer);
        // The progress of the content before the last look of this subscription.
        let mut looked = None;
        let mut here = subscription.set_blocks(take(&mut has.blocks), looked);
        loop {
            self.locate(peer, &subscription).await;
            let update = subscription.next_update(&has, &here);
            // Blocks that do not fit into this update follow in the next one.
            let may_have_more = update.is_some();
            if let Some(update) = update {
                stream.arm();
                availability::write_update(&mut stream, &Update::Has(update)).await?;
                (has.proof, has.group) = (None, None);
            }
            stream.disarm();
            let mut nothing = [0];
            let change = tokio::select! {
                // Nothing more is expected: the requester has closed the stream.
                closed = stream.read(&mut nothing) => {
                    if closed.is_ok() && subscription.has_reported(&here) {
                        listener.has_read(here.len());
                    }
                    return Ok(closed.map(drop)?);
                }
                change = self.next_change(peer, &subscription, &mut watcher) => change,
                () = sleep(UPDATE_INTERVAL), if may_have_more => Change::Subscribers,
            };
            if change == Change::Subscribers {
                continue;
            }
            // While access is unchanged, a look by another subscription is as good.
            let seen = watcher.progress();
            if let (Some(before), Some(now)) = (looked, seen)
                && before.revision == now.revision
                && let Some(shared) = subscription.blocks_at(now)
            {
                (here, looked) = (shared, seen);
                continue;
            }
            let found = self.answers.availability(requester, action, hash).await?;
            let found = match found {
                Ok(found) => found,
                // The share was withdrawn meanwhile, or its files are gone.
                Err(absent) => return self.end(requester, stream, absent).await,
            };
            (has, looked) = (found, seen);
            here = subscription.set_blocks(take(&mut has.blocks), looked);
        }
    }

    /// Waits for a change; meanwhile looks up the address of the subscriber.
    async fn next_change(
        &self,
        peer: PeerId,
        subscription: &Subscription,
        watcher: &mut ChangeWatcher,
    ) -> Change {
        let locate = async {
            for _ in 0..LOCATE_ATTEMPTS {
                if subscription.is_located() {
                    break;
                }
                sleep(UPDATE_INTERVAL).await;
                self.locate(peer, subscription).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            change = watcher.next() => change,
            () = locate => Change::Subscribers,
        }
    }

    /// Looks up the address of the subscriber, unless it is known.
    async fn locate(&self, peer: PeerId, subscription: &Subscription) {
        if subscription.is_located() {
            return;
        }
        let connected = self.network.peer(peer).await.ok().flatten();
        if let Some(address) = connected.and_then(|peer| peer.best_address()) {
            subscription.locate(address);
            self.changes.touch(&subscription.hash());
        }
    }
}
