//! One download, from finding sources to the file in its place.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_behaviour::availability::Has;
use pelago_content::{BLOCK_SIZE, BlockRanges, Descriptor, Hash, Kind};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep_until},
};

use super::{
    DownloadError, DownloadState, DownloadStatus, Finished, Output,
    scheduler::{Action, Scheduler},
    source::{Context, End, Event, Request as ChunkRequest, SourceId},
    sources::Sources,
    status::Meter,
    target::{Standing, examine},
};
use crate::{
    limits::Limits,
    network::{Discovery, Network, PeerAddress},
    store::{FinishOptions, Partial, PartialSpec, Scopes, Store},
};

/// Events of sources that wait for the download, at most; sources wait then.
const EVENTS_QUEUED: usize = 256;

/// How often the status is renewed.
const STATUS_INTERVAL: Duration = Duration::from_millis(100);

/// What is to be downloaded, whence, and where to.
#[derive(Clone, Debug)]
pub struct Request {
    /// What.
    pub hash: Hash,
    /// What it is called, if somebody said so.
    pub name: Option<String>,
    /// Where to.
    pub output: Output,
    /// Peers to ask, beside those that are found.
    pub peers: Vec<PeerAddress>,
    /// Only these peers may be asked; `None`: anyone.
    pub allowed: Option<Vec<PeerId>>,
    /// How long there may be no source.
    pub timeout: Duration,
    /// Whether other content at the target may be replaced.
    pub overwrite: bool,
    /// Whether to wait at the end until the file is safe from a power loss.
    pub durable: bool,
    /// Whether a node that starts again goes on with it.
    pub resume_on_start: bool,
    /// Who may know of it.
    pub scopes: Scopes,
}

/// How downloads run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Sources of one download, at most.
    pub max_sources: usize,
    /// Bytes in flight at one source, at most.
    pub window: u64,
    /// How long a source may send nothing of what it was asked for.
    pub stall: Duration,
}

/// The content, once a source has said what it is.
struct Content {
    partial: Arc<Partial>,
    scheduler: Scheduler,
    descriptor: Descriptor,
    resumed_bytes: u64,
}

/// A download as it runs.
pub(super) struct Task {
    limits: Limits,
    store: Store,
    request: Request,
    settings: Settings,
    status: watch::Sender<DownloadStatus>,
    discovery: Discovery,
    sources: Sources,
    events: mpsc::Receiver<(SourceId, Event)>,
    content: Option<Content>,
    meter: Meter,
    started: Instant,
    /// When there was last a source with content.
    last_source: Instant,
}

impl Task {
    pub(super) fn new(
        network: &Network,
        limits: Limits,
        store: Store,
        request: Request,
        settings: Settings,
        status: watch::Sender<DownloadStatus>,
    ) -> Self {
        let (sender, events) = mpsc::channel(EVENTS_QUEUED);
        let context = Context {
            network: network.clone(),
            limits: limits.clone(),
            hash: request.hash,
            allowed: request.allowed.clone().map(Arc::from),
            stall: settings.stall,
            events: sender,
        };
        let now = Instant::now();
        Self {
            discovery: Discovery::find(network, request.hash, request.peers.clone()),
            sources: Sources::new(context, settings.max_sources),
            limits,
            store,
            request,
            settings,
            status,
            events,
            content: None,
            meter: Meter::default(),
            started: now,
            last_source: now,
        }
    }

    /// Runs to the end. Dropped before that, it is paused: what was verified is kept.
    pub(super) async fn run(mut self) -> Result<Finished, DownloadError> {
        if let Some(path) = self.fixed_target().await?
            && let Some(finished) = self.standing(path).await?
        {
            return Ok(finished);
        }
        let mut status_tick = interval(STATUS_INTERVAL);
        status_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = Instant::now();
            let retry = self.sources.retry(now);
            let wake = retry.into_iter().chain(self.schedule(now)).min();
            let wake = wake.unwrap_or(now + self.request.timeout).into();
            tokio::select! {
                Some((id, event)) = self.events.recv() => {
                    if let Some(finished) = self.hear(id, event).await? {
                        return Ok(finished);
                    }
                    // All that has come already, before anything is asked for anew.
                    while let Ok((id, event)) = self.events.try_recv() {
                        if let Some(finished) = self.hear(id, event).await? {
                            return Ok(finished);
                        }
                    }
                    if self.is_complete() {
                        return self.finish().await;
                    }
                }
                Some(candidate) = self.discovery.next() => self.sources.offer(candidate),
                _ = status_tick.tick() => self.tick()?,
                () = sleep_until(wake) => {}
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.content
            .as_ref()
            .is_some_and(|content| content.scheduler.is_done())
    }

    /// Takes what a source says; the finished download, if that shows it to be there already.
    async fn hear(
        &mut self,
        id: SourceId,
        event: Event,
    ) -> Result<Option<Finished>, DownloadError> {
        let now = Instant::now();
        match event {
            Event::Has(peer, has) => return self.source_has(id, peer, *has).await,
            Event::Arrived(peer, chunk) => {
                self.sources.was_useful(peer);
                if let Some(content) = &mut self.content {
                    content.scheduler.arrived(peer, chunk, now);
                }
            }
            Event::Failed(peer, chunk, failure) => {
                if let Some(content) = &mut self.content {
                    content.scheduler.failed(peer, chunk, failure, now);
                }
            }
            Event::Ended(peer, end) => {
                // A peer may be met twice: the end of the one that is not used ends nothing.
                let had_content = self.sources.is_with_content(id);
                self.sources.ended(id, peer, &end, now);
                if let Some(peer) = peer {
                    self.discovery.forget(&peer);
                    if let (Some(content), true) = (&mut self.content, had_content) {
                        content.scheduler.left(peer);
                    }
                }
                match end {
                    End::Disk(error) => return Err(DownloadError::Write(error)),
                    End::Lied(why) => {
                        tracing::warn!(peer = ?peer, why, hash = %self.request.hash, "a source lied");
                    }
                    _ => {}
                }
            }
        }
        Ok(None)
    }

    async fn source_has(
        &mut self,
        id: SourceId,
        peer: PeerId,
        has: Has,
    ) -> Result<Option<Finished>, DownloadError> {
        if !self.sources.has_content(id, peer) {
            return Ok(None);
        }
        self.last_source = Instant::now();
        if self.content.is_none()
            && let Some(finished) = self.begin(has.descriptor, has.name).await?
        {
            return Ok(Some(finished));
        }
        if let Some(content) = &mut self.content {
            content.scheduler.has(peer, &has.blocks);
        }
        Ok(None)
    }

    /// The first source has said what the content is: prepares to write it.
    async fn begin(
        &mut self,
        descriptor: Descriptor,
        name: Option<String>,
    ) -> Result<Option<Finished>, DownloadError> {
        if descriptor.kind() == Kind::Folder {
            return Err(DownloadError::Folder {
                hash: self.request.hash,
            });
        }
        let fixed = self.fixed_target().await?;
        let name = self.request.name.clone().or(name);
        let (output, hash) = (self.request.output.clone(), self.request.hash);
        let resolve = {
            let name = name.clone();
            move || output.resolve(name.as_deref(), &hash)
        };
        let target = blocking(resolve).await?;
        // A fixed target was looked at before.
        if fixed.is_none()
            && let Some(finished) = self.standing(target.clone()).await?
        {
            return Ok(Some(finished));
        }
        let file_name = || {
            target
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        let name = name.or_else(file_name).unwrap_or_else(|| hash.to_string());
        self.status.send_modify(|status| {
            status.name.clone_from(&name);
            status.path = Some(target.clone());
            status.size = Some(descriptor.size());
            status.state = DownloadState::Checking;
        });
        let spec = PartialSpec {
            descriptor,
            target,
            name,
            scopes: self.request.scopes.clone(),
            resume_on_start: self.request.resume_on_start,
        };
        let (store, status) = (self.store.clone(), self.status.clone());
        let progress = move |bytes| status.send_modify(|status| status.verified_bytes = bytes);
        let open = move || Partial::create_or_resume(&store, spec, &progress);
        let partial = blocking(open).await??;
        let verified = partial.verified();
        let geometry = descriptor.geometry();
        self.content = Some(Content {
            scheduler: Scheduler::new(geometry, &verified, self.settings.window),
            resumed_bytes: bytes_of(&verified, descriptor.size()),
            partial,
            descriptor,
        });
        self.status
            .send_modify(|status| status.state = DownloadState::Downloading);
        Ok(None)
    }

    /// Hands out the requests that the scheduler wants made; returns when it wants to be asked again.
    fn schedule(&mut self, now: Instant) -> Option<Instant> {
        let content = self.content.as_mut()?;
        content.scheduler.limit(self.limits.rates());
        for action in content.scheduler.poll(now) {
            match action {
                Action::Request(peer, chunk) => {
                    let partial = Arc::clone(&content.partial);
                    if !self.sources.request(peer, ChunkRequest { chunk, partial }) {
                        content.scheduler.left(peer);
                        self.sources.drop_peer(peer);
                    }
                }
                Action::Drop(peer) => self.sources.give_up(peer),
            }
        }
        content.scheduler.next_wake()
    }

    /// Renews the status, and gives up when there has been no source for too long.
    fn tick(&mut self) -> Result<(), DownloadError> {
        let now = Instant::now();
        let with_content = self.sources.with_content();
        // Before there is content to schedule, whoever has it is about to be asked.
        let can_go_on = |content: &Content| content.scheduler.can_go_on();
        if with_content > 0 && self.content.as_ref().is_none_or(can_go_on) {
            self.last_source = now;
        } else if now.duration_since(self.last_source) >= self.request.timeout {
            return Err(DownloadError::NoSource {
                hash: self.request.hash,
                timeout: self.request.timeout,
                tried: self.sources.summary(),
            });
        }
        if let Some(content) = &self.content {
            let verified = bytes_of(&content.partial.verified(), content.descriptor.size());
            let rate = self.meter.read(now, verified);
            self.status.send_modify(|status| {
                status.verified_bytes = verified;
                status.bytes_per_second = rate;
                status.sources = with_content as u64;
            });
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Finished, DownloadError> {
        self.sources.abort_all();
        // Complete only with content.
        let Some(content) = self.content.take() else {
            return Err(DownloadError::Paused);
        };
        let size = content.descriptor.size();
        self.status.send_modify(|status| {
            status.state = DownloadState::Finishing;
            status.verified_bytes = size;
        });
        let options = FinishOptions {
            durable: self.request.durable,
            overwrite: self.request.overwrite,
        };
        let finished = blocking(move || content.partial.finish(options)).await??;
        Ok(Finished {
            hash: self.request.hash,
            name: self.status.borrow().name.clone(),
            path: finished.path,
            size,
            elapsed: self.started.elapsed(),
            sources: self.sources.useful() as u64,
            resumed_bytes: content.resumed_bytes,
            fetched_bytes: size - content.resumed_bytes,
        })
    }

    async fn fixed_target(&self) -> Result<Option<PathBuf>, DownloadError> {
        let output = self.request.output.clone();
        blocking(move || output.fixed()).await
    }

    /// The finished download, if the content is at `path` already.
    async fn standing(&self, path: PathBuf) -> Result<Option<Finished>, DownloadError> {
        let (hash, overwrite) = (self.request.hash, self.request.overwrite);
        let looked_at = path.clone();
        let standing = blocking(move || examine(&looked_at, &hash, overwrite)).await??;
        let Standing::Same { size } = standing else {
            return Ok(None);
        };
        Ok(Some(self.already_there(&path, size)))
    }

    fn already_there(&self, path: &Path, size: u64) -> Finished {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Finished {
            hash: self.request.hash,
            name: name.unwrap_or_default(),
            path: path.to_owned(),
            size,
            elapsed: self.started.elapsed(),
            sources: 0,
            resumed_bytes: size,
            fetched_bytes: 0,
        }
    }
}

/// Runs `work` where blocking is allowed. It fails only when the runtime is shutting down.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DownloadError> {
    spawn_blocking(work)
        .await
        .map_err(|_| DownloadError::ShuttingDown)
}

/// The bytes in `blocks` of content of `size` bytes.
fn bytes_of(blocks: &BlockRanges, size: u64) -> u64 {
    let last_is_in = size > 0 && blocks.contains((size - 1) / BLOCK_SIZE);
    let missing_in_last = size.div_ceil(BLOCK_SIZE) * BLOCK_SIZE - size;
    blocks.len() * BLOCK_SIZE - if last_is_in { missing_in_last } else { 0 }
}
