//! The list of uploads, and which of them to follow. Pure: time is an argument.
//!
//! An upload is *sending* while its peer listens or takes chunks, *done* once the peer states that it
//! has all of the content, and *left* when the peer went away before that. Peers that were sent
//! nothing are known, and not listed.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_behaviour::Origin;
use pelago_content::Hash;
use pelago_groups::GroupId;
use serde_bytes::{ByteArray, ByteBuf};

use super::rate::Rate;
use crate::store::SavedUpload;

/// Uploads that are listed, at most. Beyond that, the host with the most loses its oldest one that
/// is over, or else its oldest one.
const MAX_LISTED: usize = 512;

/// Uploads that are followed at a time, at most: each holds a stream.
const MAX_FOLLOWED: usize = 64;

/// The same for the peers of one host, which may be many identities of one person.
const MAX_FOLLOWED_OF_HOST: usize = 16;

/// How long a peer that neither listens nor takes a chunk may pause before it has left: it may give
/// up its stream for a second while other downloads need one.
const LEFT_AFTER: Duration = Duration::from_secs(10);

/// The content of an upload, and the peer.
pub(super) type Key = (Hash, PeerId);

/// To which content the bytes of a file count.
pub(in crate::serve) enum Root {
    /// To this one.
    Known(Hash),
    /// To one of these folders, or to the file itself.
    OneOf(Vec<Hash>),
}

/// The time, for decisions and for people.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) unix_ms: u64,
}

/// The state of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// The peer takes it.
    Sending,
    /// The peer has all of the content, by its own statement.
    Done,
    /// The peer went away before it had all.
    Left,
}

impl UploadState {
    /// The state as one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Done => "done",
            Self::Left => "left",
        }
    }
}

/// What is known of the content of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadContent {
    /// Its name here.
    pub name: String,
    /// Its size in bytes; of a folder, that of its files.
    pub size: u64,
    /// How many blocks it has.
    pub blocks: u64,
}

/// An upload, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadStatus {
    /// The hash of the content.
    pub hash: Hash,
    /// What is known of the content.
    pub content: Option<UploadContent>,
    /// The peer.
    pub peer: PeerId,
    /// Its name, if it reported one. Untrusted.
    pub peer_name: Option<String>,
    /// The group in which it asked.
    pub group: Option<GroupId>,
    /// The current state.
    pub state: UploadState,
    /// Bytes that were sent. The peer may have more from others, and may have discarded some.
    pub sent_bytes: u64,
    /// Blocks that the peer has, by its own statement; `None` before it made one.
    pub held_blocks: Option<u64>,
    /// Bytes per second, over the last few seconds.
    pub bytes_per_second: u64,
    /// When it began, in milliseconds since 1970.
    pub began_unix_ms: u64,
    /// When it was done, or when the peer was last there; `None` while it is being sent.
    pub ended_unix_ms: Option<u64>,
}

/// An upload whose peer is asked what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedUpload {
    /// The hash of the content.
    pub hash: Hash,
    /// The peer.
    pub peer: PeerId,
    /// The group in which the peer asked, and is asked.
    pub group: Option<GroupId>,
}

impl FollowedUpload {
    pub(super) const fn key(&self) -> Key {
        (self.hash, self.peer)
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    uploads: HashMap<Key, Upload>,
    /// What each peer listens to.
    roots: HashMap<PeerId, Vec<Hash>>,
}

#[derive(Debug)]
struct Upload {
    /// `None` for one of an earlier run.
    origin: Option<Origin>,
    group: Option<GroupId>,
    /// On how many streams the peer listens.
    streams: usize,
    sent: u64,
    rate: Rate,
    began_unix_ms: u64,
    last: Now,
    is_done: bool,
    /// Whether the peer has asked anew since it was done.
    asks_again: bool,
    /// Whether the connection to the peer has ended.
    is_gone: bool,
    held: Option<u64>,
    content: Option<UploadContent>,
    peer_name: Option<String>,
    follow: Follow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follow {
    /// May be followed, from this time on.
    From(Instant),
    Followed,
}

impl Table {
    pub(super) fn subscribe(&mut self, key: Key, origin: Origin, group: Option<GroupId>, now: Now) {
        let upload = self.uploads.entry(key).or_insert_with(|| Upload::new(now));
        upload.meet(origin, now);
        upload.asks_again |= upload.streams == 0 && upload.is_done;
        upload.streams += 1;
        upload.group = group;
        let roots = self.roots.entry(key.1).or_default();
        if !roots.contains(&key.0) {
            roots.push(key.0);
        }
    }

    pub(super) fn unsubscribe(&mut self, key: Key, now: Now) {
        let Some(upload) = self.uploads.get_mut(&key) else {
            return;
        };
        upload.streams = upload.streams.saturating_sub(1);
        if upload.streams > 0 {
            return;
        }
        if !upload.is_done {
            upload.last = now;
        }
        if upload.sent == 0 {
            self.uploads.remove(&key);
        }
        if let Some(roots) = self.roots.get_mut(&key.1) {
            roots.retain(|root| *root != key.0);
            if roots.is_empty() {
                self.roots.remove(&key.1);
            }
        }
    }

    pub(super) fn root_of(&self, hash: Hash, peer: &PeerId) -> Root {
        match self.roots.get(peer).map(Vec::as_slice) {
            None | Some([]) => Root::Known(hash),
            Some(roots) if roots.contains(&hash) => Root::Known(hash),
            Some([root]) => Root::Known(*root),
            Some(roots) => Root::OneOf(roots.to_vec()),
        }
    }

    /// Returns whether the upload may be followed now.
    pub(super) fn record_sent(&mut self, key: Key, origin: Origin, bytes: u64, now: Now) -> bool {
        let upload = self.uploads.entry(key).or_insert_with(|| Upload::new(now));
        upload.meet(origin, now);
        let is_first = upload.sent == 0;
        if std::mem::take(&mut upload.asks_again) {
            // It no longer has what it had.
            (upload.is_done, upload.held) = (false, None);
        }
        upload.sent += bytes;
        upload.rate.add(bytes, now.instant);
        let may_be_followed = upload.may_be_followed(now);
        if is_first {
            self.make_room(now);
        }
        may_be_followed
    }

    pub(super) fn begin_following(&mut self, now: Now) -> Vec<FollowedUpload> {
        let mut of_host: HashMap<Option<Origin>, usize> = HashMap::new();
        let mut all = 0;
        for upload in self.uploads.values() {
            if upload.follow == Follow::Followed {
                *of_host.entry(upload.origin).or_default() += 1;
                all += 1;
            }
        }
        let candidates = self.uploads.iter_mut();
        let mut candidates: Vec<_> = candidates
            .filter(|(_, upload)| upload.may_be_followed(now))
            .collect();
        candidates.sort_by_key(|(_, upload)| upload.began_unix_ms);
        let mut followed = Vec::new();
        for ((hash, peer), upload) in candidates {
            let of_host = of_host.entry(upload.origin).or_default();
            if all >= MAX_FOLLOWED || *of_host >= MAX_FOLLOWED_OF_HOST {
                continue;
            }
            (all, *of_host) = (all + 1, *of_host + 1);
            upload.follow = Follow::Followed;
            followed.push(FollowedUpload {
                hash: *hash,
                peer: *peer,
                group: upload.group,
            });
        }
        followed
    }

    pub(super) fn record_held(
        &mut self,
        key: Key,
        blocks: u64,
        content: &UploadContent,
        peer_name: Option<&str>,
        now: Now,
    ) -> bool {
        let Some(upload) = self.uploads.get_mut(&key) else {
            return true;
        };
        upload.held = Some(blocks.min(content.blocks));
        upload.content = Some(content.clone());
        if let Some(name) = peer_name {
            upload.peer_name = Some(name.to_owned());
        }
        upload.is_done = blocks >= content.blocks;
        if upload.is_done {
            upload.last = now;
        }
        upload.is_done
    }

    pub(super) fn unfollow(&mut self, key: Key, is_connected: bool, pause: Duration, now: Now) {
        if let Some(upload) = self.uploads.get_mut(&key) {
            upload.follow = Follow::From(now.instant + pause);
            upload.is_gone = !is_connected;
        }
    }

    pub(super) fn silent_peers(&self) -> Vec<PeerId> {
        let silent = self.uploads.iter().filter(|(_, upload)| {
            upload.streams == 0 && upload.sent > 0 && !upload.is_done && !upload.is_gone
        });
        silent.map(|((_, peer), _)| *peer).collect()
    }

    pub(super) fn gone(&mut self, peer: &PeerId) {
        for ((_, of), upload) in &mut self.uploads {
            upload.is_gone |= of == peer && upload.streams == 0;
        }
    }

    pub(super) fn unfollow_all(&mut self, now: Now) {
        for upload in self.uploads.values_mut() {
            upload.follow = Follow::From(now.instant);
        }
    }

    pub(super) fn list(&self, now: Now) -> Vec<UploadStatus> {
        let uploads = self.uploads.iter().filter(|(_, upload)| upload.sent > 0);
        let mut listed: Vec<_> = uploads
            .map(|(key, upload)| upload.status(*key, now))
            .collect();
        listed.sort_by_key(|upload| (upload.began_unix_ms, upload.hash, upload.peer));
        listed
    }

    pub(super) fn saved(&self, now: Now) -> Vec<SavedUpload> {
        let saved = |upload: UploadStatus| SavedUpload {
            hash: ByteArray::new(*upload.hash.as_bytes()),
            peer: ByteBuf::from(upload.peer.to_bytes()),
            peer_name: upload.peer_name,
            group: upload.group,
            name: upload.content.as_ref().map(|content| content.name.clone()),
            size: upload.content.as_ref().map_or(0, |content| content.size),
            blocks: upload.content.map_or(0, |content| content.blocks),
            is_done: upload.state == UploadState::Done,
            sent_bytes: upload.sent_bytes,
            held_blocks: upload.held_blocks,
            began_unix_ms: upload.began_unix_ms,
            ended_unix_ms: upload.ended_unix_ms.unwrap_or(now.unix_ms),
        };
        self.list(now).into_iter().map(saved).collect()
    }

    pub(super) fn restore(&mut self, saved: Vec<SavedUpload>, now: Now) {
        for saved in saved.into_iter().take(MAX_LISTED) {
            let Ok(peer) = PeerId::from_bytes(&saved.peer) else {
                continue;
            };
            let upload = Upload {
                group: saved.group,
                sent: saved.sent_bytes,
                began_unix_ms: saved.began_unix_ms,
                last: Now {
                    unix_ms: saved.ended_unix_ms,
                    ..now
                },
                is_done: saved.is_done,
                is_gone: true,
                held: saved.held_blocks,
                content: saved.name.map(|name| UploadContent {
                    name,
                    size: saved.size,
                    blocks: saved.blocks,
                }),
                peer_name: saved.peer_name,
                ..Upload::new(now)
            };
            let hash = Hash::from_bytes(saved.hash.into_array());
            self.uploads.entry((hash, peer)).or_insert(upload);
        }
    }

    /// Removes uploads until few enough are listed.
    fn make_room(&mut self, now: Now) {
        let mut of_host: HashMap<Option<Origin>, Vec<Key>> = HashMap::new();
        let mut listed = 0;
        for (key, upload) in self.uploads.iter().filter(|(_, upload)| upload.sent > 0) {
            of_host.entry(upload.origin).or_default().push(*key);
            listed += 1;
        }
        if listed <= MAX_LISTED {
            return;
        }
        let Some(most) = of_host.into_values().max_by_key(Vec::len) else {
            return;
        };
        let excess = listed - MAX_LISTED;
        let mut most: Vec<_> = most
            .into_iter()
            .filter_map(|key| {
                let upload = self.uploads.get(&key)?;
                let is_live = upload.state(now) == UploadState::Sending;
                Some((is_live, upload.last.unix_ms, key))
            })
            .collect();
        most.sort_by_key(|(is_live, last, _)| (*is_live, *last));
        let dropped: HashSet<_> = most.into_iter().take(excess).map(|(.., key)| key).collect();
        for key in dropped {
            if let Some(upload) = self.uploads.get_mut(&key)
                && upload.streams > 0
            {
                // It still listens, and is listed again when it is sent more.
                upload.sent = 0;
            } else {
                self.uploads.remove(&key);
            }
        }
    }
}

impl Upload {
    const fn new(now: Now) -> Self {
        Self {
            origin: None,
            group: None,
            streams: 0,
            sent: 0,
            rate: Rate::new(now.instant),
            began_unix_ms: now.unix_ms,
            last: now,
            is_done: false,
            asks_again: false,
            is_gone: false,
            held: None,
            content: None,
            peer_name: None,
            follow: Follow::From(now.instant),
        }
    }

    /// The peer is here: it listens, or was sent something.
    fn meet(&mut self, origin: Origin, now: Now) {
        self.origin = Some(origin);
        self.is_gone = false;
        if !self.is_done {
            self.last = now;
        }
    }

    /// Whether to ask the peer what it has: it listens, was sent something, and is not done.
    fn may_be_followed(&self, now: Now) -> bool {
        let is_due = matches!(self.follow, Follow::From(at) if at <= now.instant);
        is_due && self.streams > 0 && self.sent > 0 && !self.is_done
    }

    fn state(&self, now: Now) -> UploadState {
        let paused = now.instant.saturating_duration_since(self.last.instant);
        match self {
            Self { is_done: true, .. } => UploadState::Done,
            Self { is_gone: true, .. } => UploadState::Left,
            Self { streams: 0, .. } if paused >= LEFT_AFTER => UploadState::Left,
            _ => UploadState::Sending,
        }
    }

    fn status(&self, (hash, peer): Key, now: Now) -> UploadStatus {
        let state = self.state(now);
        UploadStatus {
            hash,
            content: self.content.clone(),
            peer,
            peer_name: self.peer_name.clone(),
            group: self.group,
            state,
            sent_bytes: self.sent,
            held_blocks: self.held,
            bytes_per_second: match state {
                UploadState::Sending => self.rate.per_second(now.instant),
                UploadState::Done | UploadState::Left => 0,
            },
            began_unix_ms: self.began_unix_ms,
            ended_unix_ms: (state != UploadState::Sending).then_some(self.last.unix_ms),
        }
    }
}

#[cfg(test)]
mod tests;
