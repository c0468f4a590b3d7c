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
    answers::{Answers, PreparedAnswer, RemainingItems},
    buffers::Buffers,
    changes::ContentChanges,
    metrics::{Metrics, Refusal},
    rehash_queue::RehashQueue,
    requester::Requester,
    sending::{paced, send},
    streams::Streams,
    subscribers::Subscribers,
    work::Work,
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

/// Bytes that may be handed over and unsent for all peers together, at least: what one response has, for a few of
/// them. More slots are for more of them, as far as there is memory.
const MIN_UNSENT: u64 = 4 * chunk::MAX_RESPONSE;

/// How much is served at a time.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// Chunks that are read at a time for all peers together. As many responses, each of at most 4 MiB, may be
    /// handed over and unsent.
    pub slots: usize,
    /// The same for one peer.
    pub slots_per_peer: usize,
    /// Bytes that may be handed over and unsent for all peers together, at most; 16 MiB in any case.
    pub max_unsent: u64,
    /// How long a peer may take nothing of what it asked for.
    pub stall: Duration,
}

/// Serves peers.
pub struct Server {
    answers: Answers,
    buffers: Buffers,
    subscribers: Subscribers,
    changes: ContentChanges,
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
        settings: &ServeSettings,
    ) -> Self {
        let work = Work::new(settings.slots, settings.slots_per_peer);
        let bytes = |slots: usize| slots as u64 * chunk::MAX_RESPONSE;
        let unsent = bytes(settings.slots)
            .min(settings.max_unsent)
            .max(MIN_UNSENT);
        let buffers = Buffers::new(unsent, bytes(settings.slots_per_peer.max(1)));
        Self {
            answers: Answers::new(
                network.local_peer_id(),
                store,
                access,
                notices.rehash.clone(),
                notices.doubtful.clone(),
                work.clone(),
            ),
            metrics: Metrics::new(work, buffers.clone()),
            buffers,
            subscribers: Subscribers::default(),
            changes: ContentChanges::default(),
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
        tasks.spawn(server.changes.clone().run(server.answers.store.clone()));
        loop {
            tokio::select! {
                stream = inbound.recv() => {
                    let Some(stream) = stream else { return };
                    let origin = stream.inbound.held.origin;
                    let requester = Requester { peer: stream.peer, origin };
                    let Some(mut permit) = streams.enter(requester) else {
                        server.metrics.refused(Refusal::TooManyStreams);
                        tracing::debug!(peer = %stream.peer, "stream reset: too many are served");
                        continue;
                    };
                    let served = Arc::clone(&server).serve(requester, stream.inbound);
                    tasks.spawn(async move {
                        tokio::select! {
                            () = served => {}
                            () = permit.revoked() => tracing::debug!("stream reset for another peer"),
                        }
                    });
                }
                Some(_) = tasks.join_next() => {}
            }
        }
    }

    async fn serve(self: Arc<Self>, requester: Requester, stream: streams::Inbound) {
        let protocol = stream.held.protocol;
        let streams = self.metrics.streams(protocol);
        streams.inc();
        let served = match protocol {
            Protocol::Chunk => self.serve_chunks(requester, stream).await,
            Protocol::Availability => self.serve_availability(requester, stream).await,
            Protocol::ListedAvailability => self.serve_listed_availability(requester, stream).await,
            Protocol::Catalogue => self.serve_catalogue(requester, stream).await,
        };
        streams.dec();
        if let Err(error) = served {
            if !matches!(error, FrameError::Io(_)) {
                self.metrics.refused(Refusal::Malformed);
            }
            tracing::debug!(peer = %requester.peer, ?protocol, %error, "stream ended");
        }
    }

    /// Reads ahead of what it sends: the next chunk comes from the disk while one is on the wire.
    async fn serve_chunks(
        &self,
        requester: Requester,
        stream: streams::Inbound,
    ) -> Result<(), FrameError> {
        let (reader, writer) = stream.split();
        let (prepared, ready) = mpsc::channel(PREPARED_AHEAD);
        let prepare = self.prepare_chunks(requester, reader, prepared);
        futures::try_join!(prepare, self.send_chunks(requester.peer, writer, ready))?;
        Ok(())
    }

    async fn prepare_chunks(
        &self,
        requester: Requester,
        mut reader: impl futures::AsyncRead + Unpin,
        prepared: mpsc::Sender<PreparedAnswer>,
    ) -> Result<(), FrameError> {
        while let Some(items) = asked(chunk::read_request(&mut reader)).await? {
            let mut remaining_items = RemainingItems::new(items);
            while !remaining_items.items.is_empty() {
                let answers = self.answer_some(requester, &remaining_items).await;
                remaining_items.answered(&answers);
                let mut remaining = answers.len();
                for mut answer in answers {
                    self.metrics.answered(&answer.answer);
                    remaining -= 1;
                    answer.ends_request = remaining == 0 && remaining_items.items.is_empty();
                    if prepared.send(answer).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Answers the first items that remain of a request, at least one.
    async fn answer_some(
        &self,
        requester: Requester,
        remaining_items: &RemainingItems,
    ) -> Vec<PreparedAnswer> {
        let busy = || vec![PreparedAnswer::busy(RETRY_AFTER)];
        let Ok(buffer) = self
            .buffers
            .acquire(requester, remaining_items.next_bytes())
            .await
        else {
            return busy();
        };
        let answers = self
            .answers
            .chunks(requester, remaining_items.clone(), buffer)
            .await;
        answers
            .ok()
            .filter(|answers| !answers.is_empty())
            .unwrap_or_else(busy)
    }

    async fn send_chunks(
        &self,
        peer: PeerId,
        writer: impl futures::AsyncWrite + Unpin,
        mut ready: mpsc::Receiver<PreparedAnswer>,
    ) -> Result<(), FrameError> {
        let writer = Stall::new(writer, self.stall);
        let mut writer = BufWriter::with_capacity(WRITE_BUFFER, writer);
        while let Some(prepared) = ready.recv().await {
            writer.get_mut().arm();
            // The data goes by itself, as fast as it may.
            let buffer = prepared.buffer.as_deref();
            let written = chunk::write_answer(&mut writer, &prepared.answer, &[]);
            paced(buffer, 0, written).await?;
            send(&self.limits, peer, buffer, &mut writer, &prepared.data).await?;
            self.network
                .traffic()
                .sent(peer, prepared.data.len() as u64);
            if let Some((hash, blocks)) = prepared.sends {
                self.subscribers.record_sent(&hash, peer, blocks);
                self.changes.touch(&hash);
            }
            if prepared.ends_request && ready.is_empty() {
                paced(buffer, 0, writer.flush()).await?;
            }
        }
        Ok(writer.close().await?)
    }

    async fn serve_catalogue(
        &self,
        requester: Requester,
        stream: streams::Inbound,
    ) -> Result<(), FrameError> {
        let mut stream = Stall::new(stream, self.stall);
        loop {
            stream.disarm();
            let Some(request) = asked(catalogue::read_request(&mut stream)).await? else {
                return Ok(());
            };
            let page = self.answers.catalogue(requester, request).await?;
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
