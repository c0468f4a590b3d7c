//! Availability streams: one question, and news until either side has enough.

use std::mem::take;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::PeerId;
use pelago_behaviour::{
    FrameError, Stall,
    availability::{self, Has, Update},
    streams::Inbound,
};
use pelago_content::Hash;
use tokio::time::{sleep, timeout};

use super::Server;
use crate::{
    access::Action,
    serve::{
        answers::Question,
        metrics::Refusal,
        news::{Change, Follower, NEWS_INTERVAL},
        requester::Requester,
        swarms::Listening,
    },
};

/// How often it is looked where a listener can be reached, once in [`NEWS_INTERVAL`], before it is only looked
/// when there is news.
const LOCATED_WITHIN: u32 = 8;

impl Server {
    pub(super) async fn serve_availability(
        &self,
        requester: Requester,
        stream: Inbound,
    ) -> Result<(), FrameError> {
        let mut stream = Stall::new(stream, self.stall);
        // A peer opens this stream to ask at once: a few bytes, which take no longer than a stall.
        let request = timeout(self.stall, availability::read_request(&mut stream)).await;
        match request.unwrap_or(Ok(None))? {
            Some(request) => {
                self.answer(requester, stream, Question::Proven(request))
                    .await
            }
            None => Ok(()),
        }
    }

    /// The same for version 1 of the protocol.
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
        let Some((hash, has)) = self.answers.asked(requester, question).await? else {
            self.metrics.refused(Refusal::Absent);
            availability::write_update(&mut stream, &Update::Absent).await?;
            return Ok(stream.close().await?);
        };
        if matches!(question, Question::Proven(_)) {
            let _ = self.notices.asked.try_send((hash, requester.peer));
        }
        self.tell_news(requester, stream, hash, question.action(), has)
            .await
    }

    /// Tells the requester what is here of `hash`, and what comes, for as long as it listens.
    async fn tell_news(
        &self,
        requester: Requester,
        mut stream: Stall<Inbound>,
        hash: Hash,
        action: Action,
        mut has: Has,
    ) -> Result<(), FrameError> {
        let peer = requester.peer;
        let mut listening = self.swarms.listen(hash, peer);
        let mut follower = self.news.follow(hash);
        // How far that was, at least, at the last look of this listener.
        let mut looked = None;
        let mut here = listening.share(take(&mut has.blocks), looked);
        loop {
            self.locate(peer, &listening).await;
            let news = listening.news(&has, &here);
            // What one update does not take follows in the next one.
            let may_have_more = news.is_some();
            if let Some(news) = news {
                stream.arm();
                availability::write_update(&mut stream, &Update::Has(news)).await?;
                has.proof = None;
            }
            stream.disarm();
            let mut nothing = [0];
            let change = tokio::select! {
                // Nothing more is expected: it listens no more.
                closed = stream.read(&mut nothing) => return Ok(closed.map(drop)?),
                change = self.next_news(peer, &listening, &mut follower) => change,
                () = sleep(NEWS_INTERVAL), if may_have_more => Change::Swarm,
            };
            if change == Change::Swarm {
                continue;
            }
            // As long as who may know of it is the same, what another listener found since is enough.
            let seen = follower.progress();
            if let (Some(before), Some(now)) = (looked, seen)
                && before.revision == now.revision
                && let Some(shared) = listening.here(now)
            {
                (here, looked) = (shared, seen);
                continue;
            }
            let found = self.answers.availability(requester, action, hash).await?;
            let Some(found) = found else {
                // Withdrawn meanwhile.
                return Ok(stream.close().await?);
            };
            (has, looked) = (found, seen);
            here = listening.share(take(&mut has.blocks), looked);
        }
    }

    /// Waits for news; meanwhile looks where others can reach the listener.
    async fn next_news(
        &self,
        peer: PeerId,
        listening: &Listening,
        follower: &mut Follower,
    ) -> Change {
        let locate = async {
            for _ in 0..LOCATED_WITHIN {
                if listening.is_located() {
                    break;
                }
                sleep(NEWS_INTERVAL).await;
                self.locate(peer, listening).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            change = follower.next() => change,
            () = locate => Change::Swarm,
        }
    }

    /// Finds out where others can reach the listener, if that is not known yet.
    async fn locate(&self, peer: PeerId, listening: &Listening) {
        if listening.is_located() {
            return;
        }
        let connected = self.network.peer(peer).await.ok().flatten();
        if let Some(address) = connected.and_then(|peer| peer.best_address()) {
            listening.locate(address);
            self.news.touch(&listening.hash());
        }
    }
}
