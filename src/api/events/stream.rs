//! One stream of events: it sends the differences between two snapshots.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use axum::body::Bytes;
use serde::Serialize;
use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval},
};

use super::{
    difference::{Difference, Step},
    snapshots::{INTERVAL, Snapshot, Subscription, same_status, share_key, upload_key},
    topics::Topics,
};
use crate::{
    api::{
        Log,
        convert::{file_written, share_removed, shared},
        settings::listed,
        status::Addresses,
        types::{
            DownloadRemoved, DownloadStatus, FileBeingWritten, GroupRemoved, Hello, JoinRemoved,
            Peer, PeerRemoved, Ready, Upload, UploadRemoved,
        },
    },
    config::LiveSettings,
};

/// How often an idle stream sends a comment, which reveals a disconnected client.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Bytes of events after which a frame is sent even if more events follow.
const FRAME_LEN: usize = 16 * 1024;

/// Log lines that are read at a time, at most.
const FRAME_LINES: usize = 64;

/// One stream of events.
pub(super) struct EventStream {
    subscription: Subscription,
    topics: Topics,
    log: Log,
    settings: Arc<LiveSettings>,
    /// The revision of the settings that were sent last.
    settings_sent: Option<u64>,
    addresses: Addresses,
    /// Whether the API shuts down. A stream has no end of its own, and would delay that forever.
    shutdown: Option<watch::Receiver<bool>>,
    tick: Interval,
    /// The events to send next.
    frame: Frame,
    sent: Arc<Snapshot>,
    update: Option<Update>,
    is_ready: bool,
    /// The number of log lines that were sent, or were dropped before that.
    log_seen: u64,
    last_sent: Instant,
}

/// A snapshot that is being sent, and how much of it was sent.
struct Update {
    snapshot: Arc<Snapshot>,
    has_status: bool,
    downloads: Difference,
    uploads: Difference,
    shares: Difference,
    writing: Difference,
    peers: Difference,
    groups: Difference,
    joins: Difference,
}

/// Events in the text format of the stream.
#[derive(Default)]
struct Frame(String);

impl Frame {
    fn event(&mut self, name: &str, data: &impl Serialize) {
        // Our events have text keys and finite numbers, which are always valid JSON. JSON on one
        // line holds no line breaks.
        let data = serde_json::to_string(data).unwrap_or_default();
        // Writing to a `String` cannot fail.
        let _ = write!(self.0, "event: {name}\ndata: {data}\n\n");
    }

    fn is_full(&self) -> bool {
        self.0.len() >= FRAME_LEN
    }
}

impl EventStream {
    pub(super) fn new(
        subscription: Subscription,
        topics: Topics,
        log: Log,
        settings: Arc<LiveSettings>,
        addresses: Addresses,
        shutdown: Option<watch::Receiver<bool>>,
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
            settings_sent: None,
            addresses,
            shutdown,
            tick,
            frame,
            sent: Arc::new(Snapshot::empty()),
            update: None,
            is_ready: false,
            log_seen: 0,
            last_sent: Instant::now(),
        }
    }

    /// The next frame; `None` if the node has ended.
    pub(super) async fn frame(&mut self) -> Option<Bytes> {
        loop {
            self.fill()?;
            if !self.frame.0.is_empty() {
                self.last_sent = Instant::now();
                return Some(std::mem::take(&mut self.frame.0).into());
            }
            let ends = async {
                match &mut self.shutdown {
                    // An error means that the API has ended.
                    Some(shutdown) => drop(
                        shutdown
                            .wait_for(|is_shutting_down| *is_shutting_down)
                            .await,
                    ),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.tick.tick() => {}
                // A new client gets the first snapshot without waiting for a tick.
                () = self.subscription.first(), if !self.is_ready => {}
                () = ends => return None,
            }
            if self.last_sent.elapsed() >= KEEP_ALIVE {
                self.frame.0.push_str(": nothing new\n\n");
            }
        }
    }

    /// Adds events until the frame is full. `None` if the node has ended.
    fn fill(&mut self) -> Option<()> {
        if self.update.is_none()
            && let Some(snapshot) = self.subscription.newest().ok()?
            && !Arc::ptr_eq(&snapshot, &self.sent)
        {
            self.update = Some(Update::new(snapshot));
        }
        if let Some(update) = &mut self.update {
            update.fill(&self.sent, self.topics, &self.addresses, &mut self.frame);
            if self.frame.is_full() {
                return Some(());
            }
            self.sent = Arc::clone(&update.snapshot);
            self.update = None;
            if !self.is_ready {
                self.is_ready = true;
                self.push_settings();
                self.push_log();
                self.frame.event("ready", &Ready {});
            }
        }
        if self.is_ready {
            self.push_settings();
            self.push_log();
        }
        Some(())
    }

    fn push_settings(&mut self) {
        let revision = Some(self.settings.revision());
        if self.topics.settings && revision != self.settings_sent {
            self.settings_sent = revision;
            self.frame.event("settings", &listed(&self.settings));
        }
    }

    fn push_log(&mut self) {
        while self.topics.log && !self.frame.is_full() {
            let (lines, log_seen) = self.log.after(self.log_seen, FRAME_LINES);
            self.log_seen = log_seen;
            if lines.is_empty() {
                return;
            }
            for line in lines {
                self.frame.event("log", &*line);
            }
        }
    }
}

impl Update {
    fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            has_status: false,
            downloads: Difference::default(),
            uploads: Difference::default(),
            shares: Difference::default(),
            writing: Difference::default(),
            peers: Difference::default(),
            groups: Difference::default(),
            joins: Difference::default(),
        }
    }

    /// Adds the differences between the snapshot and the one `sent` before, until the frame is
    /// full.
    fn fill(&mut self, sent: &Snapshot, topics: Topics, addresses: &Addresses, frame: &mut Frame) {
        if topics.shares {
            self.push_writing(sent, frame);
        }
        let new = &*self.snapshot;
        if topics.status && !self.has_status {
            self.has_status = true;
            if !same_status(sent.status.as_ref(), new.status.as_ref())
                && let Some(status) = &new.status
            {
                frame.event("status", &addresses.with(status.clone()));
            }
        }
        while topics.downloads && !frame.is_full() {
            let (old, new) = (&sent.downloads, &new.downloads);
            match self
                .downloads
                .next(old, new, false, |(download, _)| download.hash)
            {
                Some(Step::Changed((download, position))) => {
                    let mut download = DownloadStatus::from(download);
                    download.position = Some(*position);
                    frame.event("download", &download);
                }
                Some(Step::Removed((download, _))) => {
                    let hash = download.hash.to_string();
                    frame.event("download-removed", &DownloadRemoved { hash });
                }
                None => break,
            }
        }
        if topics.uploads {
            self.push_uploads(sent, frame);
        }
        let new = &*self.snapshot;
        while topics.peers && !frame.is_full() {
            match self
                .peers
                .next(&sent.peers, &new.peers, false, |peer| peer.peer_id)
            {
                Some(Step::Changed(peer)) => frame.event("peer", &Peer::from(peer.clone())),
                Some(Step::Removed(peer)) => {
                    let peer_id = peer.peer_id.to_string();
                    frame.event("peer-removed", &PeerRemoved { peer_id });
                }
                None => break,
            }
        }
        if topics.groups {
            self.push_groups(sent, frame);
        }
        let new = &*self.snapshot;
        // Each link holds the addresses of the node.
        let has_new_addresses = sent.shares.peers != new.shares.peers;
        let (sent, listed) = (&sent.shares.listed, &new.shares.listed);
        while topics.shares && !frame.is_full() {
            match self.shares.next(sent, listed, has_new_addresses, share_key) {
                Some(Step::Changed(listed)) => {
                    frame.event("share", &shared(listed, &new.shares.peers));
                }
                Some(Step::Removed(listed)) => {
                    frame.event("share-removed", &share_removed(listed));
                }
                None => break,
            }
        }
    }

    fn push_uploads(&mut self, sent: &Snapshot, frame: &mut Frame) {
        let (old, new) = (&sent.uploads, &self.snapshot.uploads);
        while !frame.is_full() {
            match self.uploads.next(old, new, false, upload_key) {
                Some(Step::Changed(upload)) => frame.event("upload", &Upload::from(upload)),
                Some(Step::Removed(upload)) => {
                    frame.event("upload-removed", &UploadRemoved::from(upload));
                }
                None => break,
            }
        }
    }

    fn push_groups(&mut self, sent: &Snapshot, frame: &mut Frame) {
        let new = &*self.snapshot;
        while !frame.is_full() {
            let (old, new) = (&sent.groups, &new.groups);
            match self.groups.next(old, new, false, |group| &group.id) {
                Some(Step::Changed(group)) => frame.event("group", group),
                Some(Step::Removed(group)) => {
                    let id = group.id.clone();
                    frame.event("group-removed", &GroupRemoved { id });
                }
                None => break,
            }
        }
        while !frame.is_full() {
            let (old, new) = (&sent.joins, &new.joins);
            match self.joins.next(old, new, false, |join| &join.group) {
                Some(Step::Changed(join)) => frame.event("join", join),
                Some(Step::Removed(join)) => {
                    let group = join.group.clone();
                    frame.event("join-removed", &JoinRemoved { group });
                }
                None => break,
            }
        }
    }

    fn push_writing(&mut self, sent: &Snapshot, frame: &mut Frame) {
        let (old, new) = (&sent.writing, &self.snapshot.writing);
        while !frame.is_full() {
            match self.writing.next(old, new, false, |file| &file.path) {
                Some(Step::Changed(file)) => {
                    frame.event("being-written", &FileBeingWritten::from(file));
                }
                Some(Step::Removed(file)) => frame.event("written", &file_written(file)),
                None => break,
            }
        }
    }
}
