//! Availability streams: one question, and news until either side has enough.

use std::time::Duration;

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
    serve::{answers::Question, metrics::Refusal, swarms::Listening},
};

/// How often those who listen are told what is new.
const NEWS_INTERVAL: Duration = Duration::from_millis(250);

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
        loop {
            self.locate(peer, &listening).await;
            if let Some(news) = listening.news(has) {
                stream.arm();
                availability::write_update(&mut stream, &Update::Has(news)).await?;
            }
            stream.disarm();
            let mut nothing = [0];
            tokio::select! {
                // Nothing more is expected: it listens no more.
                closed = stream.read(&mut nothing) => return Ok(closed.map(drop)?),
                () = sleep(NEWS_INTERVAL) => {}
            }
            has = match self.answers.availability(peer, action, hash).await {
                Some(has) => has,
                // Withdrawn meanwhile.
                None => return Ok(stream.close().await?),
            };
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
        }
    }
}
