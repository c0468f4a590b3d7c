//! Accepts the streams that peers open and serves each in a task of its own.

use std::{path::PathBuf, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::PeerId;
use pelago_behaviour::{FrameError, Protocol, Stall, availability, catalogue, chunk, streams};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::{
    answers::{Answers, Prepared},
    sending::send,
    slots::Slots,
};
use crate::{access::Access, limits::Limits, network::Traffic, store::Store};

/// Streams served at a time, from all peers together. A stream without requests costs a few KiB.
const MAX_STREAMS: usize = 2048;

/// Chunks that are read ahead of the one being sent, on one stream.
const PREPARED_AHEAD: usize = 1;

/// How long a peer may keep a stream open without asking for anything, so that streams nobody uses do
/// not fill the room for others. Whoever has more to ask opens another.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a busy node asks others to wait.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// How much is served at a time.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Chunks in memory for all peers together; each is at most 4 MiB.
    pub slots: usize,
    /// Chunks in memory for one peer.
    pub slots_per_peer: usize,
    /// How long a peer may take nothing of what it asked for.
    pub stall: Duration,
}

/// Serves peers.
pub struct Server {
    answers: Answers,
    slots: Slots,
    traffic: Traffic,
    limits: Limits,
    stall: Duration,
}

impl Server {
    /// Serves what `store` has and `access` allows, as fast as `limits` allow. Paths of files found
    /// changed go to `changed`.
    #[must_use]
    pub fn new(
        store: Store,
        access: Access,
        traffic: Traffic,
        limits: Limits,
        changed: mpsc::Sender<PathBuf>,
        settings: &Settings,
    ) -> Self {
        Self {
            answers: Answers::new(store, access, changed),
            slots: Slots::new(settings.slots, settings.slots_per_peer),
            traffic,
            limits,
            stall: settings.stall,
        }
    }

    /// Serves the streams that arrive at `inbound`, until it closes; then ends those under way.
    pub async fn run(self, mut inbound: mpsc::Receiver<streams::Event>) {
        let server = std::sync::Arc::new(self);
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                stream = inbound.recv() => {
                    let Some(stream) = stream else { return };
                    if tasks.len() >= MAX_STREAMS {
                        tracing::debug!(peer = %stream.peer, "stream reset: too many are served");
                        continue;
                    }
                    tasks.spawn(std::sync::Arc::clone(&server).serve(stream));
                }
                Some(_) = tasks.join_next() => {}
            }
        }
    }

    async fn serve(self: std::sync::Arc<Self>, event: streams::Event) {
        let (peer, stream) = (event.peer, event.inbound);
        let protocol = stream.protocol;
        let served = match protocol {
            Protocol::Chunk => self.serve_chunks(peer, stream).await,
            Protocol::Availability => self.serve_availability(peer, stream).await,
            Protocol::Catalogue => self.serve_catalogue(peer, stream).await,
        };
        if let Err(error) = served {
            tracing::debug!(%peer, ?protocol, %error, "stream ended");
        }
    }

    /// Reads ahead of what it sends: the next chunk comes from the disk while one is on the wire.
    async fn serve_chunks(&self, peer: PeerId, stream: streams::Inbound) -> Result<(), FrameError> {
        let (reader, writer) = stream.split();
        let (prepared, ready) = mpsc::channel(PREPARED_AHEAD);
        let prepare = self.prepare_chunks(peer, reader, prepared);
        futures::try_join!(prepare, self.send_chunks(peer, writer, ready))?;
        Ok(())
    }

    async fn prepare_chunks(
        &self,
        peer: PeerId,
        mut reader: impl futures::AsyncRead + Unpin,
        prepared: mpsc::Sender<Prepared>,
    ) -> Result<(), FrameError> {
        while let Some(items) = asked(chunk::read_request(&mut reader)).await? {
            let last = items.len() - 1;
            let mut room = chunk::MAX_RESPONSE;
            for (index, item) in items.into_iter().enumerate() {
                let mut answer = match self.slots.acquire(peer).await {
                    Ok(slot) => self.answers.chunk(peer, item, room, slot).await,
                    Err(_) => Prepared::busy(RETRY_AFTER),
                };
                room -= answer.data.len() as u64;
                answer.ends_request = index == last;
                if prepared.send(answer).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn send_chunks(
        &self,
        peer: PeerId,
        writer: impl futures::AsyncWrite + Unpin,
        mut ready: mpsc::Receiver<Prepared>,
    ) -> Result<(), FrameError> {
        let mut writer = Stall::new(writer, self.stall);
        while let Some(prepared) = ready.recv().await {
            writer.arm();
            // The data goes by itself, as fast as it may.
            chunk::write_answer(&mut writer, &prepared.answer, &[]).await?;
            send(&self.limits, peer, &mut writer, &prepared.data).await?;
            self.traffic.sent(peer, prepared.data.len() as u64);
            if prepared.ends_request {
                writer.flush().await?;
            }
        }
        Ok(writer.close().await?)
    }

    async fn serve_availability(
        &self,
        peer: PeerId,
        mut stream: streams::Inbound,
    ) -> Result<(), FrameError> {
        let Some(hash) = availability::read_request(&mut stream).await? else {
            return Ok(());
        };
        let update = self.answers.availability(peer, hash).await;
        let mut stream = Stall::new(stream, self.stall);
        availability::write_update(&mut stream, &update).await?;
        if matches!(update, availability::Update::Has(_)) {
            // Whole content has no news: the stream stays open for as long as the peer listens.
            stream.disarm();
            let closed = stream.read(&mut [0]).await?;
            tracing::trace!(%peer, bytes = closed, "no longer listening");
        }
        Ok(stream.close().await?)
    }

    async fn serve_catalogue(
        &self,
        peer: PeerId,
        stream: streams::Inbound,
    ) -> Result<(), FrameError> {
        let mut stream = Stall::new(stream, self.stall);
        loop {
            stream.disarm();
            let Some(request) = asked(catalogue::read_request(&mut stream)).await? else {
                return Ok(());
            };
            let page = self.answers.catalogue(peer, request).await;
            stream.arm();
            catalogue::write_page(&mut stream, &page).await?;
        }
    }
}

/// What a peer asks for; `None` if it asks for nothing more, or not in time.
async fn asked<T>(
    request: impl Future<Output = Result<Option<T>, FrameError>>,
) -> Result<Option<T>, FrameError> {
    timeout(IDLE_TIMEOUT, request).await.unwrap_or(Ok(None))
}
