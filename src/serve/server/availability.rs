//! Availability streams: one question, and news until either side has enough.

use std::{mem::take, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::PeerId;
use pelago_behaviour::{
    FrameError, Stall,
    availability::{self, Has, Update},
    streams::Inbound,
};
use pelago_content::Hash;
use tokio::time::{Instant, sleep, timeout};

use super::Server;
use crate::{
    access::Action,
    serve::{
        answers::{Answers, Question},
        metrics::Refusal,
        swarms::Listening,
    },
};

/// How often those who listen are told what is new.
const NEWS_INTERVAL: Duration = Duration::from_millis(250);

/// How long what was found about shared content is taken to hold while nothing says that it changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// After so many rounds, of [`NEWS_INTERVAL`] each, it is asked again where a listener can be reached.
const LOCATE_ROUNDS: u32 = 64;

/// When it was looked what is here of some content, and what would say that there may be news.
struct Look {
    at: Instant,
    revision: u64,
    /// Whether a download of it is under way.
    is_growing: bool,
}

impl Look {
    fn now(answers: &Answers, hash: &Hash) -> Self {
        Self {
            at: Instant::now(),
            revision: answers.revision(),
            is_growing: answers.is_growing(hash),
        }
    }

    /// Whether who may know of the content, and where it is, is as it was, as far as that is known `now`.
    fn holds(&self, now: &Self) -> bool {
        let is_recent = now.at.duration_since(self.at) < LOOK_INTERVAL;
        let is_same = (self.revision, self.is_growing) == (now.revision, now.is_growing);
        is_recent && is_same
    }
}

impl Server {
    pub(super) async fn serve_availability(
        &self,
        peer: PeerId,
        stream: Inbound,
    ) -> Result<(), FrameError> {
        let mut stream = Stall::new(stream, self.stall);
        // A peer opens this stream to ask at once: a few bytes, which take no longer than a stall.
        let request = timeout(self.stall, availability::read_request(&mut stream)).await;
        match request.unwrap_or(Ok(None))? {
            Some(request) => self.answer(peer, stream, Question::Proven(request)).await,
            None => Ok(()),
        }
    }

    /// The same for version 1 of the protocol.
    pub(super) async fn serve_listed_availability(
        &self,
        peer: PeerId,
        stream: Inbound,
    ) -> Result<(), FrameError> {
        let mut stream = Stall::new(stream, self.stall);
        let request = timeout(self.stall, availability::read_listed_request(&mut stream)).await;
        match request.unwrap_or(Ok(None))? {
            Some(hash) => self.answer(peer, stream, Question::Named(hash)).await,
            None => Ok(()),
        }
    }

    async fn answer(
        &self,
        peer: PeerId,
        mut stream: Stall<Inbound>,
        question: Question,
    ) -> Result<(), FrameError> {
        let Some((hash, has)) = self.answers.asked(peer, question).await else {
            self.metrics.refused(Refusal::Absent);
            availability::write_update(&mut stream, &Update::Absent).await?;
            return Ok(stream.close().await?);
        };
        if matches!(question, Question::Proven(_)) {
            let _ = self.notices.asked.try_send((hash, peer));
        }
        self.tell_news(peer, stream, hash, question.action(), has)
            .await
    }

    /// Tells `peer` what is here of `hash`, and what comes, for as long as it listens.
    async fn tell_news(
        &self,
        peer: PeerId,
        mut stream: Stall<Inbound>,
        hash: Hash,
        action: Action,
        mut has: Has,
    ) -> Result<(), FrameError> {
        let mut listening = self.swarms.listen(hash, peer);
        let mut looked = Look::now(&self.answers, &hash);
        let mut here = listening.share(take(&mut has.blocks), looked.at);
        for round in 0_u32.. {
            self.locate(peer, &listening, round).await;
            if let Some(news) = listening.news(&has, &here) {
                stream.arm();
                availability::write_update(&mut stream, &Update::Has(news)).await?;
                has.proof = None;
            }
            stream.disarm();
            let mut nothing = [0];
            tokio::select! {
                // Nothing more is expected: it listens no more.
                closed = stream.read(&mut nothing) => return Ok(closed.map(drop)?),
                () = sleep(NEWS_INTERVAL) => {}
            }
            let now = Look::now(&self.answers, &hash);
            if looked.holds(&now) {
                if !now.is_growing {
                    continue;
                }
                // What another listener was told just now is here.
                if let Some(shared) = listening.here(NEWS_INTERVAL, now.at) {
                    here = shared;
                    continue;
                }
            }
            let Some(found) = self.answers.availability(peer, action, hash).await else {
                // Withdrawn meanwhile.
                return Ok(stream.close().await?);
            };
            (has, looked) = (found, now);
            here = listening.share(take(&mut has.blocks), looked.at);
        }
        Ok(())
    }

    /// Finds out where others can reach the listener, if that is not known yet: less and less often.
    async fn locate(&self, peer: PeerId, listening: &Listening, round: u32) {
        let is_due = round.is_power_of_two() || round.is_multiple_of(LOCATE_ROUNDS);
        if !is_due || listening.is_located() {
            return;
        }
        let connected = self.network.peer(peer).await.ok().flatten();
        if let Some(address) = connected.and_then(|peer| peer.best_address()) {
            listening.locate(address);
        }
    }
}
