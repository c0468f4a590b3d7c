//! Accepts the streams that peers open and serves each in a task of its own.

mod availability;

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
    future::BoxFuture,
    io::{BufReader, BufWriter},
};
use libp2p::PeerId;
use pelago_behaviour::{
    FrameError, Origin, Protocol, Stall, catalogue,
    chunk::{self, Answer},
    streams::{self, MAX_INBOUND_STREAMS},
};
use pelago_content::Hash;
use prometheus_client::registry::Registry;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    absences::Absences,
    answers::{Answered, Answers, PreparedAnswer, RemainingItems},
    buffers::Buffers,
    changes::ContentChanges,
    findings::{Finding, Findings},
    metrics::{Metrics, Refusal},
    rehash_queue::RehashQueue,
    requester::Requester,
    requests::{self, READ_BUFFER},
    sending::{Pace, Receiver, send},
    streams::Streams,
    subscribers::Subscribers,
    uploads::Uploads,
    work::{JobKind, Work},
};
use crate::{access::Access, limits::Limits, network::Network, store::Store};

/// How long a connection through a relay carries no content: mostly, it becomes a direct one before.
const RELAYED_PAUSE: Duration = Duration::from_secs(3);

/// Streams served at a time, for all peers together. A stream without requests costs a few KiB.
const MAX_STREAMS: usize = 2048;

/// Streams served at a time for one peer: all that it may open on two connections, TCP and QUIC.
const MAX_STREAMS_PER_PEER: usize = 2 * MAX_INBOUND_STREAMS;

/// Chunks read ahead of the one being sent, on each stream.
const PREPARED_AHEAD: usize = 1;

/// Bytes of small answers that are sent together: each write is a frame of yamux, and a record of
/// TLS.
const WRITE_BUFFER: usize = 32 << 10;

/// How long a busy node asks requesters to wait.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Unsent bytes for all peers together, at least: those of four responses. More slots allow for
/// more, as far as there is memory.
const MIN_UNSENT: u64 = 4 * chunk::MAX_RESPONSE;

/// Limits of serving.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// Chunks that are read at a time for all peers together. The same number of responses, of at
    /// most 4 MiB each, may be unsent.
    pub slots: usize,
    /// The same for one peer.
    pub slots_per_peer: usize,
    /// Unsent bytes for all peers together, at most; values below 16 MiB count as that.
    pub max_unsent: u64,
    /// How long a peer may take nothing of what it requested.
    pub stall: Duration,
}

/// Serves the streams of a peer about groups: a part of the node of its own, which shares the limits
/// on streams.
pub type GroupService = Box<
    dyn Fn(PeerId, Origin, streams::Inbound) -> BoxFuture<'static, Result<(), FrameError>>
        + Send
        + Sync,
>;

/// Serves peers.
pub struct Server {
    store: Store,
    work: Work,
    answers: Answers,
    access: Access,
    absences: Absences,
    findings: Findings,
    buffers: Buffers,
    subscribers: Subscribers,
    changes: ContentChanges,
    uploads: Uploads,
    network: Network,
    limits: Limits,
    /// See [`Reports::asked`].
    asked: mpsc::Sender<(Hash, PeerId)>,
    groups: GroupService,
    stall: Duration,
    metrics: Metrics,
}

/// Where the server reports what it learns. A report that does not fit is dropped: it recurs.
pub struct Reports {
    /// Shared files that have to be hashed again.
    pub rehash: RehashQueue,
    /// Paths of shared files that could not be served.
    pub doubtful: mpsc::Sender<PathBuf>,
    /// Peers that asked for the availability of some content: they have some of it, or will.
    pub asked: mpsc::Sender<(Hash, PeerId)>,
    /// What is sent to which peer.
    pub uploads: Uploads,
}

impl Server {
    /// Serves content of `store` to peers that `access` admits, as fast as `limits` allow.
    #[must_use]
    pub fn new(
        store: Store,
        access: Access,
        network: Network,
        limits: Limits,
        reports: Reports,
        groups: GroupService,
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
                store.clone(),
                access.clone(),
                work.clone(),
                reports.uploads.clone(),
            ),
            access,
            absences: Absences::default(),
            findings: Findings::new(store.clone(), reports.rehash, reports.doubtful),
            metrics: Metrics::new(work.clone(), buffers.clone()),
            store,
            work,
            buffers,
            subscribers: Subscribers::default(),
            changes: ContentChanges::default(),
            uploads: reports.uploads,
            network,
            limits,
            asked: reports.asked,
            groups,
            stall: settings.stall,
        }
    }

    /// The metrics of this module.
    #[must_use]
    pub fn metrics(&self) -> Arc<Registry> {
        Arc::clone(&self.metrics.registry)
    }

    /// Serves the streams that arrive at `inbound`. When it closes, ends the open streams and
    /// returns.
    pub async fn run(self: Arc<Self>, inbound: &mut mpsc::Receiver<streams::Event>) {
        let server = self;
        let streams = Streams::new(MAX_STREAMS, MAX_STREAMS_PER_PEER);
        let mut tasks = JoinSet::new();
        tasks.spawn(server.changes.clone().run(server.store.clone()));
        tasks.spawn(Arc::clone(&server).hurry_at_completions());
        loop {
            tokio::select! {
                stream = inbound.recv() => {
                    let Some(stream) = stream else { return };
                    let origin = stream.inbound.held.origin;
                    let requester = Requester { peer: stream.peer, origin };
                    let Some(mut permit) = streams.enter(requester) else {
                        server.metrics.refused(Refusal::TooManyStreams);
                        tracing::debug!(peer = %stream.peer, "stream reset: too many are open");
                        continue;
                    };
                    // A peer that leaves a group says so on such a stream.
                    let is_content = stream.inbound.held.protocol != Protocol::Group;
                    let served = Arc::clone(&server).serve(requester, stream.inbound);
                    let access = server.access.clone();
                    tasks.spawn(async move {
                        tokio::select! {
                            () = served => {}
                            () = permit.revoked() => {
                                tracing::debug!("stream reset for another peer");
                            }
                            // Also what was read already and waits for a slow reader is the group's.
                            () = access.loss(requester.peer), if is_content => {
                                let peer = requester.peer;
                                tracing::debug!(%peer, "stream reset: the peer has left a group");
                            }
                        }
                    });
                }
                Some(_) = tasks.join_next() => {}
            }
        }
    }

    /// Sources learn at once that a download is complete: the node may be about to end.
    async fn hurry_at_completions(self: Arc<Self>) {
        let mut additions = self.access.completed().additions();
        while additions.changed().await.is_ok() {
            self.changes.hurry();
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
            Protocol::Group => (self.groups)(requester.peer, requester.origin, stream).await,
        };
        streams.dec();
        if let Err(error) = served {
            if !matches!(error, FrameError::Io(_)) {
                self.metrics.refused(Refusal::Malformed);
            }
            tracing::debug!(peer = %requester.peer, ?protocol, %error, "stream ended");
        }
    }

    /// Reads ahead of what it sends: the next chunk is read from disk while one is being sent.
    async fn serve_chunks(
        &self,
        requester: Requester,
        stream: streams::Inbound,
    ) -> Result<(), FrameError> {
        let relayed_since = stream.held.relayed_since;
        if let Some(since) = relayed_since {
            // Mostly, a direct connection takes its place before.
            sleep_until((since + RELAYED_PAUSE).into()).await;
        }
        let is_relayed = relayed_since.is_some();
        let (reader, writer) = stream.split();
        let (prepared, ready) = mpsc::channel(PREPARED_AHEAD);
        let prepare = self.prepare_chunks(requester, reader, prepared);
        futures::try_join!(
            prepare,
            self.send_chunks(requester, is_relayed, writer, ready)
        )?;
        Ok(())
    }

    async fn prepare_chunks(
        &self,
        requester: Requester,
        reader: impl AsyncRead + Unpin,
        prepared: mpsc::Sender<PreparedAnswer>,
    ) -> Result<(), FrameError> {
        let mut reader = BufReader::with_capacity(READ_BUFFER, reader);
        while requests::begins(&mut reader).await?
            && let Some(items) = requests::complete(chunk::read_request(&mut reader)).await?
        {
            let mut remaining = RemainingItems::new(items);
            while !remaining.items.is_empty() {
                let begun = Instant::now();
                let Answered { answers, findings } = self.answer_some(requester, &remaining).await;
                self.handle_findings(requester, findings).await;
                let is_absent = |answer: &&PreparedAnswer| answer.answer == Answer::Absent;
                let absent = answers.iter().filter(is_absent).count() as u32;
                if absent > 0 {
                    self.absences.wait(&requester, absent, begun).await;
                }
                remaining.remove_answered(&answers);
                let mut unsent = answers.len();
                for mut answer in answers {
                    self.metrics.answered(&answer.answer);
                    unsent -= 1;
                    answer.ends_request = unsent == 0 && remaining.items.is_empty();
                    if prepared.send(answer).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Answers the first of the remaining items of a request, at least one.
    async fn answer_some(&self, requester: Requester, remaining: &RemainingItems) -> Answered {
        let busy = || Answered {
            answers: vec![PreparedAnswer::busy(RETRY_AFTER)],
            findings: Vec::new(),
        };
        let next_bytes = remaining.next_bytes();
        let Ok(buffer) = self.buffers.acquire(requester, next_bytes).await else {
            return busy();
        };
        let answered = self.answers.chunks(requester, remaining.clone(), buffer);
        let answered = answered.await.ok();
        answered
            .filter(|answered| !answered.answers.is_empty())
            .unwrap_or_else(busy)
    }

    /// Acts on what answering showed of shared files, at the cost of the requester.
    async fn handle_findings(&self, requester: Requester, findings: Vec<Finding>) {
        if findings.is_empty() {
            return;
        }
        let handler = self.findings.clone();
        let handle = move || {
            let findings = findings.into_iter();
            (findings.for_each(|finding| handler.handle(finding)), 0)
        };
        // Where too much is waiting, the findings are dropped.
        let _ = self.work.run(requester, JobKind::Read, handle).await;
    }

    async fn send_chunks(
        &self,
        requester: Requester,
        is_relayed: bool,
        writer: impl AsyncWrite + Unpin,
        mut ready: mpsc::Receiver<PreparedAnswer>,
    ) -> Result<(), FrameError> {
        let peer = requester.peer;
        let to = Receiver { peer, is_relayed };
        let writer = Stall::new(writer, self.stall);
        let mut writer = BufWriter::with_capacity(WRITE_BUFFER, writer);
        while let Some(prepared) = ready.recv().await {
            writer.get_mut().arm();
            // The data follows separately, as fast as the limits allow.
            let mut pace = Pace::new(prepared.buffer.as_deref());
            let written = chunk::write_answer(&mut writer, &prepared.answer, &[]);
            pace.wait(written, |()| 0).await?;
            send(&self.limits, to, &mut pace, &mut writer, &prepared.data).await?;
            let bytes = prepared.data.len() as u64;
            self.network.traffic().sent(peer, bytes);
            if let Some(sent) = prepared.sends {
                self.uploads.record_sent(requester, sent.root, bytes);
                self.subscribers.record_sent(&sent.hash, peer, sent.blocks);
                self.changes.touch(&sent.hash);
            }
            if prepared.ends_request && ready.is_empty() {
                pace.wait(writer.flush(), |()| 0).await?;
            }
        }
        Ok(writer.close().await?)
    }

    async fn serve_catalogue(
        &self,
        requester: Requester,
        stream: streams::Inbound,
    ) -> Result<(), FrameError> {
        let stream = Stall::new(stream, self.stall);
        let mut stream = BufReader::with_capacity(READ_BUFFER, stream);
        loop {
            stream.get_mut().disarm();
            if !requests::begins(&mut stream).await? {
                return Ok(());
            }
            let request = requests::complete(catalogue::read_request(&mut stream)).await?;
            let Some(request) = request else {
                return Ok(());
            };
            let (begun, group) = (Instant::now(), request.group);
            let page = self.answers.catalogue(requester, request).await?;
            if group.is_some() && page.entries.is_empty() {
                self.absences.wait(&requester, 1, begun).await;
            }
            stream.get_mut().arm();
            catalogue::write_page(stream.get_mut(), &page).await?;
        }
    }
}
