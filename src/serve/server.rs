//! Accepts the streams that peers open and serves each in a task of its own.

mod availability;

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt, io::BufWriter};
use libp2p::PeerId;
use pelago_behaviour::{
    FrameError, Protocol, Stall, catalogue, chunk,
    streams::{self, MAX_INBOUND_STREAMS},
};
use pelago_content::Hash;
use prometheus_client::registry::Registry;
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::{
    answers::{Answers, Prepared},
    metrics::{Metrics, Refusal},
    rehash_queue::RehashQueue,
    sending::{paced, send},
    slots::Slots,
    streams::Streams,
    swarms::Swarms,
};
use crate::{access::Access, limits::Limits, network::Network, store::Store};

/// Streams served at a time, from all peers together. A stream without requests costs a few KiB.
const MAX_STREAMS: usize = 2048;

/// Streams served at a time for one peer: all that it may open on two connections, TCP and QUIC.
const MAX_STREAMS_PER_PEER: usize = 2 * MAX_INBOUND_STREAMS;

/// Chunks that are read ahead of the one being sent, on one stream.
const PREPARED_AHEAD: usize = 1;

/// Bytes of small answers that are sent together: each write is a frame of yamux and of noise.
const WRITE_BUFFER: usize = 32 << 10;

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
    swarms: Swarms,
    network: Network,
    limits: Limits,
    notices: Notices,
    stall: Duration,
    metrics: Metrics,
}

/// What serving comes across that is others' to act on. What does not fit in is passed over: it comes
/// up again.
pub struct Notices {
    /// Shared files that are to be hashed again.
    pub rehash: RehashQueue,
    /// Paths of shared files that could not be served.
    pub doubtful: mpsc::Sender<PathBuf>,
    /// Peers that asked what we have of some content: they have some of it, or will.
    pub asked: mpsc::Sender<(Hash, PeerId)>,
}

impl Server {
    /// Serves what `store` has and `access` allows, as fast as `limits` allow.
    #[must_use]
    pub fn new(
        store: Store,
        access: Access,
        network: Network,
        limits: Limits,
        notices: Notices,
        settings: &Settings,
    ) -> Self {
        let slots = Slots::new(settings.slots, settings.slots_per_peer);
        Self {
            answers: Answers::new(
                network.local_peer_id(),
                store,
                access,
                notices.rehash.clone(),
                notices.doubtful.clone(),
            ),
            metrics: Metrics::new(slots.clone()),
            slots,
            swarms: Swarms::default(),
            network,
            limits,
            notices,
            stall: settings.stall,
        }
    }

    /// What this room counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<Registry> {
        Arc::clone(&self.metrics.registry)
    }

    /// Serves the streams that arrive at `inbound`, until it closes; then ends those under way.
    pub async fn run(self: Arc<Self>, inbound: &mut mpsc::Receiver<streams::Event>) {
        let server = self;
        let streams = Streams::new(MAX_STREAMS, MAX_STREAMS_PER_PEER);
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                stream = inbound.recv() => {
                    let Some(stream) = stream else { return };
                    let Some(mut place) = streams.enter(stream.peer) else {
                        server.metrics.refused(Refusal::TooManyStreams);
                        tracing::debug!(peer = %stream.peer, "stream reset: too many are served");
                        continue;
                    };
                    let served = Arc::clone(&server).serve(stream);
                    tasks.spawn(async move {
                        tokio::select! {
                            () = served => {}
                            () = place.is_needed() => tracing::debug!("stream reset for another peer"),
                        }
                    });
                }
                Some(_) = tasks.join_next() => {}
            }
        }
    }

    async fn serve(self: Arc<Self>, event: streams::Event) {
        let (peer, stream) = (event.peer, event.inbound);
        let protocol = stream.held.protocol;
        let streams = self.metrics.streams(protocol);
        streams.inc();
        let served = match protocol {
            Protocol::Chunk => self.serve_chunks(peer, stream).await,
            Protocol::Availability => self.serve_availability(peer, stream).await,
            Protocol::ListedAvailability => self.serve_listed_availability(peer, stream).await,
            Protocol::Catalogue => self.serve_catalogue(peer, stream).await,
        };
        streams.dec();
        if let Err(error) = served {
            if !matches!(error, FrameError::Io(_)) {
                self.metrics.refused(Refusal::Malformed);
            }
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
        while let Some(mut items) = asked(chunk::read_request(&mut reader)).await? {
            let mut room = chunk::MAX_RESPONSE;
            while !items.is_empty() {
                let answers = match self.slots.acquire(peer).await {
                    Ok(slot) => self.answers.chunks(peer, items.clone(), room, slot).await,
                    Err(_) => vec![Prepared::busy(RETRY_AFTER)],
                };
                if answers.is_empty() {
                    return Ok(());
                }
                items.drain(..answers.len());
                for mut answer in answers {
                    self.metrics.answered(&answer.answer);
                    room -= answer.data.len() as u64;
                    answer.ends_request = items.is_empty();
                    if prepared.send(answer).await.is_err() {
                        return Ok(());
                    }
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
        let writer = Stall::new(writer, self.stall);
        let mut writer = BufWriter::with_capacity(WRITE_BUFFER, writer);
        while let Some(prepared) = ready.recv().await {
            writer.get_mut().arm();
            // The data goes by itself, as fast as it may.
            let slot = prepared.slot.as_deref();
            let written = chunk::write_answer(&mut writer, &prepared.answer, &[]);
            paced(slot, 0, written).await?;
            send(&self.limits, peer, slot, &mut writer, &prepared.data).await?;
            self.network
                .traffic()
                .sent(peer, prepared.data.len() as u64);
            if let Some((hash, blocks)) = prepared.sends {
                self.swarms.sent(&hash, peer, blocks);
            }
            if prepared.ends_request && ready.is_empty() {
                paced(slot, 0, writer.flush()).await?;
            }
        }
        Ok(writer.close().await?)
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
