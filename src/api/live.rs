//! Server-sent events: what is, then what changes.
//!
//! Each stream is driven by whoever reads it. It compares what it told with what is, a frame at a time:
//! what a slow reader has not taken yet is not written down anywhere.

use std::{convert::Infallible, fmt::Write as _, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::State,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::Serialize;
use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval},
};

use super::{
    App, Log,
    convert::{file_written, share_removed, shared},
    error::ApiError,
    extract::Parameters,
    feed::{Difference, INTERVAL, Picture, Step, Subscription, same_status, share_key},
    openapi::Refused,
    serve::Ending,
    settings::listed,
    status::Addresses,
    types::{
        DownloadRemoved, DownloadStatus, EventsQuery, FileBeingWritten, Hello, Peer, PeerRemoved,
        Ready,
    },
};
use crate::config::LiveSettings;

/// How often a word is said where there is nothing to tell, so that who has gone is found out.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Bytes of events after which a frame is sent, though there is more to tell.
const FRAME_LEN: usize = 16 * 1024;

/// Log lines of one frame, at most.
const FRAME_LINES: usize = 64;

/// Seconds after which somebody who found no place may try again: pages are closed by people.
const RETRY_SECONDS: u64 = 5;

/// Server-sent events: `hello`, what is, `ready`, then what changes.
#[utoipa::path(
    get, path = "/v1/events", operation_id = "events",
    params(EventsQuery),
    responses((status = 200, description = "Events: hello Hello, status Status, download DownloadStatus, download-removed DownloadRemoved, share Shared, share-removed ShareRemoved, being-written FileBeingWritten, written FileWritten, peer Peer, peer-removed PeerRemoved, settings list of Setting, log LogLine, ready", body = String, content_type = "text/event-stream"), Refused),
)]
pub(super) async fn events(
    State(app): State<App>,
    addresses: Addresses,
    ending: Option<Extension<Ending>>,
    Parameters(query): Parameters<EventsQuery>,
) -> Result<Response, ApiError> {
    let topics = Topics::new(query.of.as_deref())?;
    let subscription = app.feed.subscribe().ok_or_else(|| {
        let message = "there are as many streams of events as there may be";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", message)
            .retry_after(RETRY_SECONDS)
    })?;
    let hello = Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        peer_id: app.node.peer_id().to_string(),
        name: app.node.name().to_owned(),
        started_unix_ms: app.started_unix_ms,
    };
    let teller = Teller::new(
        subscription,
        topics,
        app.log,
        app.settings,
        addresses,
        ending.map(|Extension(Ending(ending))| ending),
        &hello,
    );
    let frames = stream::unfold(teller, |mut teller| async {
        let frame = teller.frame().await?;
        Some((Ok::<_, Infallible>(frame), teller))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(frames)).into_response())
}

/// What to tell about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Topics {
    status: bool,
    downloads: bool,
    shares: bool,
    peers: bool,
    settings: bool,
    log: bool,
}

impl Topics {
    fn new(of: Option<&str>) -> Result<Self, ApiError> {
        let mut topics = Self {
            status: of.is_none(),
            downloads: of.is_none(),
            shares: of.is_none(),
            peers: of.is_none(),
            settings: of.is_none(),
            log: false,
        };
        for topic in of.unwrap_or_default().split(',') {
            match topic.trim() {
                "" if of.is_none() => {}
                "status" => topics.status = true,
                "downloads" => topics.downloads = true,
                "shares" => topics.shares = true,
                "peers" => topics.peers = true,
                "settings" => topics.settings = true,
                "log" => topics.log = true,
                other => {
                    let message = format!(
                        "{other:?} is nothing to tell about; there are status, downloads, shares, \
                         peers, settings and log"
                    );
                    return Err(ApiError::bad("bad-request", message));
                }
            }
        }
        Ok(topics)
    }
}

/// One stream.
struct Teller {
    subscription: Subscription,
    topics: Topics,
    log: Log,
    settings: Arc<LiveSettings>,
    /// How often the settings had changed when they were told.
    settings_told: Option<u64>,
    addresses: Addresses,
    /// Whether the API is to end: a stream would keep it for ever.
    ending: Option<watch::Receiver<bool>>,
    tick: Interval,
    /// Events that are next.
    frame: Frame,
    told: Arc<Picture>,
    telling: Option<Telling>,
    is_ready: bool,
    /// Lines of the log that were told, or are too old for that.
    seen: u64,
    spoke: Instant,
}

/// A picture that is being told, and how far that is.
struct Telling {
    picture: Arc<Picture>,
    has_status: bool,
    downloads: Difference,
    shares: Difference,
    writing: Difference,
    peers: Difference,
}

/// Events, as text.
#[derive(Default)]
struct Frame(String);

impl Frame {
    fn event(&mut self, name: &str, data: &impl Serialize) {
        // Our events have text keys and finite numbers: nothing that JSON could not say; and JSON has
        // no line breaks.
        let data = serde_json::to_string(data).unwrap_or_default();
        // Writing to a String does not fail.
        let _ = write!(self.0, "event: {name}\ndata: {data}\n\n");
    }

    fn is_full(&self) -> bool {
        self.0.len() >= FRAME_LEN
    }
}

impl Teller {
    fn new(
        subscription: Subscription,
        topics: Topics,
        log: Log,
        settings: Arc<LiveSettings>,
        addresses: Addresses,
        ending: Option<watch::Receiver<bool>>,
        hello: &Hello,
    ) -> Self {
        let mut tick = interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut frame = Frame::default();
        frame.event("hello", hello);
        Self {
            subscription,
            topics,
            log,
            settings,
            settings_told: None,
            addresses,
            ending,
            tick,
            frame,
            told: Arc::new(Picture::empty()),
            telling: None,
            is_ready: false,
            seen: 0,
            spoke: Instant::now(),
        }
    }

    /// The next frame; none if the node has ended.
    async fn frame(&mut self) -> Option<Bytes> {
        loop {
            self.tell()?;
            if !self.frame.0.is_empty() {
                self.spoke = Instant::now();
                return Some(std::mem::take(&mut self.frame.0).into());
            }
            let ends = async {
                match &mut self.ending {
                    // An error means that the API has ended.
                    Some(ending) => drop(ending.wait_for(|is_ending| *is_ending).await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.tick.tick() => {}
                // Whoever has just come is not kept waiting.
                () = self.subscription.first(), if !self.is_ready => {}
                () = ends => return None,
            }
            if self.spoke.elapsed() >= KEEP_ALIVE {
                self.frame.0.push_str(": nothing new\n\n");
            }
        }
    }

    /// Tells what there is to tell, until the frame is full.
    fn tell(&mut self) -> Option<()> {
        if self.telling.is_none()
            && let Some(picture) = self.subscription.newest().ok()?
            && !Arc::ptr_eq(&picture, &self.told)
        {
            self.telling = Some(Telling::new(picture));
        }
        if let Some(telling) = &mut self.telling {
            telling.tell(&self.told, self.topics, &self.addresses, &mut self.frame);
            if self.frame.is_full() {
                return Some(());
            }
            self.told = Arc::clone(&telling.picture);
            self.telling = None;
            if !self.is_ready {
                self.is_ready = true;
                self.tell_settings();
                self.tell_log();
                self.frame.event("ready", &Ready {});
            }
        }
        if self.is_ready {
            self.tell_settings();
            self.tell_log();
        }
        Some(())
    }

    fn tell_settings(&mut self) {
        let revision = Some(self.settings.revision());
        if self.topics.settings && revision != self.settings_told {
            self.settings_told = revision;
            self.frame.event("settings", &listed(&self.settings));
        }
    }

    fn tell_log(&mut self) {
        while self.topics.log && !self.frame.is_full() {
            let (lines, seen) = self.log.after(self.seen, FRAME_LINES);
            self.seen = seen;
            if lines.is_empty() {
                return;
            }
            for line in lines {
                self.frame.event("log", &*line);
            }
        }
    }
}

impl Telling {
    fn new(picture: Arc<Picture>) -> Self {
        Self {
            picture,
            has_status: false,
            downloads: Difference::default(),
            shares: Difference::default(),
            writing: Difference::default(),
            peers: Difference::default(),
        }
    }

    /// Tells in what the picture is not what was told, until the frame is full.
    fn tell(&mut self, told: &Picture, topics: Topics, addresses: &Addresses, frame: &mut Frame) {
        if topics.shares {
            self.tell_writing(told, frame);
        }
        let new = &*self.picture;
        if topics.status && !self.has_status {
            self.has_status = true;
            if !same_status(told.status.as_ref(), new.status.as_ref())
                && let Some(status) = &new.status
            {
                frame.event("status", &addresses.with(status.clone()));
            }
        }
        while topics.downloads && !frame.is_full() {
            let (old, new) = (&told.downloads, &new.downloads);
            match self
                .downloads
                .next(old, new, false, |(download, _)| download.hash)
            {
                Some(Step::Is((download, place))) => {
                    let mut download = DownloadStatus::from(download);
                    download.position = Some(*place);
                    frame.event("download", &download);
                }
                Some(Step::Gone((download, _))) => {
                    let hash = download.hash.to_string();
                    frame.event("download-removed", &DownloadRemoved { hash });
                }
                None => break,
            }
        }
        while topics.peers && !frame.is_full() {
            match self
                .peers
                .next(&told.peers, &new.peers, false, |peer| peer.peer_id)
            {
                Some(Step::Is(peer)) => frame.event("peer", &Peer::from(peer.clone())),
                Some(Step::Gone(peer)) => {
                    let peer_id = peer.peer_id.to_string();
                    frame.event("peer-removed", &PeerRemoved { peer_id });
                }
                None => break,
            }
        }
        // Where the node is reached is in each link.
        let is_elsewhere = told.shares.peers != new.shares.peers;
        let (told, listed) = (&told.shares.listed, &new.shares.listed);
        while topics.shares && !frame.is_full() {
            match self.shares.next(told, listed, is_elsewhere, share_key) {
                Some(Step::Is(listed)) => {
                    frame.event("share", &shared(listed, &new.shares.peers));
                }
                Some(Step::Gone(listed)) => {
                    frame.event("share-removed", &share_removed(listed));
                }
                None => break,
            }
        }
    }

    fn tell_writing(&mut self, told: &Picture, frame: &mut Frame) {
        let (old, new) = (&told.writing, &self.picture.writing);
        while !frame.is_full() {
            match self.writing.next(old, new, false, |file| &file.path) {
                Some(Step::Is(file)) => {
                    frame.event("being-written", &FileBeingWritten::from(file));
                }
                Some(Step::Gone(file)) => frame.event("written", &file_written(file)),
                None => break,
            }
        }
    }
}
