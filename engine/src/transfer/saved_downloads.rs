//! The format of the saved list of downloads: what was requested, in order, and what is paused or
//! ended.
//!
//! The format is versioned CBOR. The progress of a download is in its own record, which is
//! verified; the list repeats it for display until then.

#[cfg(test)]
mod tests;

use std::{
    fmt::Display,
    path::PathBuf,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pelago_content::Hash;
use pelago_groups::GroupId;
use serde::{Deserialize, Serialize};

use super::{
    Delivery, DownloadState, DownloadStatus, Failure, Output, Request, Wanted,
    request::RESUME_TIMEOUT,
};
use crate::store::{Links, PartialSpec, Scopes, decode_row};

/// The version of the format below.
pub(super) const VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
struct List {
    #[serde(rename = "v")]
    version: u64,
    #[serde(rename = "d")]
    downloads: Vec<SavedDownload>,
}

/// The part of the format that all versions share.
#[derive(Deserialize)]
struct Versioned {
    #[serde(rename = "v")]
    version: u64,
}

/// Why a list cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It has no known format.
    Damaged,
    /// A newer version of Pelago wrote it.
    Newer { version: u64 },
}

/// A download to resume, or to list as paused or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedDownload {
    #[serde(rename = "h")]
    hash: serde_bytes::ByteArray<{ Hash::LEN }>,
    #[serde(rename = "n")]
    name: Option<String>,
    #[serde(rename = "t")]
    output: Output,
    /// Addresses of peers to ask.
    #[serde(rename = "a")]
    peers: Vec<String>,
    /// The ids of the only peers that may be asked.
    #[serde(rename = "f")]
    allowed: Option<Vec<String>>,
    #[serde(rename = "o")]
    only: Vec<String>,
    #[serde(rename = "w")]
    overwrite: bool,
    #[serde(rename = "s")]
    scopes: Scopes,
    /// The group in which it is fetched.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupId>,
    /// Whether a source may widen the scopes.
    #[serde(rename = "m", default, skip_serializing_if = "std::ops::Not::not")]
    lists_as_sources: bool,
    #[serde(rename = "g")]
    seed: bool,
    #[serde(rename = "p")]
    is_paused: bool,
    /// When a paused one resumes by itself, in milliseconds since 1970.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    resumes_unix_ms: Option<u64>,
    /// The size in bytes, once known.
    #[serde(rename = "b")]
    size: Option<u64>,
    /// The number of verified bytes.
    #[serde(rename = "k")]
    verified_bytes: Option<u64>,
    /// How it ended, if it did.
    #[serde(rename = "e", default)]
    end: Option<End>,
    /// Whether it is done without waiting for the disk.
    #[serde(rename = "y", default, skip_serializing_if = "std::ops::Not::not")]
    no_sync: bool,
    /// Which symbolic links of a folder are created.
    #[serde(rename = "l", default)]
    links: Links,
    /// Whether names that the target cannot hold are refused.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    strict_names: bool,
    /// Whether a folder may have more than 100,000 entries.
    #[serde(rename = "z", default, skip_serializing_if = "std::ops::Not::not")]
    may_expand: bool,
    /// The requested output, if the download has not begun where it is listed.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    asked: Option<Output>,
    /// Whether it waited for a source.
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    is_waiting: bool,
    /// Whether it is being removed with its data.
    #[serde(rename = "q", default, skip_serializing_if = "std::ops::Not::not")]
    is_removing: bool,
}

/// How a download ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum End {
    #[serde(rename = "d")]
    Done,
    #[serde(rename = "f")]
    Failed(Failure),
}

impl SavedDownload {
    /// The entry for a download; `None` if its path is not UTF-8.
    pub(super) fn new(request: &Request, status: &DownloadStatus, is_paused: bool) -> Option<Self> {
        let end = match status.state {
            DownloadState::Done => Some(End::Done),
            DownloadState::Failed => status.failure.clone().map(End::Failed),
            _ => None,
        };
        let Request { wanted, delivery } = request.resumed_from(status);
        let listed = status.path.clone().map(Output::Exactly);
        let output = listed.unwrap_or_else(|| delivery.output.clone());
        let asked = (output != delivery.output).then_some(delivery.output);
        output.path().to_str()?;
        if let Some(asked) = &asked {
            asked.path().to_str()?;
        }
        let ids = |ids: &Vec<_>| ids.iter().map(ToString::to_string).collect();
        Some(Self {
            hash: (*wanted.hash.as_bytes()).into(),
            name: delivery.name,
            output,
            asked,
            peers: wanted.peers.iter().map(ToString::to_string).collect(),
            allowed: wanted.allowed.as_ref().map(ids),
            group: wanted.group,
            only: delivery.only,
            overwrite: delivery.overwrite,
            scopes: delivery.scopes,
            lists_as_sources: delivery.lists_as_sources,
            seed: delivery.seed,
            is_paused,
            resumes_unix_ms: None,
            size: status.size,
            verified_bytes: status.verified_bytes,
            end,
            no_sync: !delivery.durable,
            links: delivery.links,
            strict_names: delivery.strict_names,
            may_expand: delivery.may_expand,
            is_waiting: status.state == DownloadState::Waiting,
            is_removing: false,
        })
    }

    /// The entry for a download of which only a record exists.
    pub(super) fn recorded(spec: PartialSpec) -> Self {
        let group = spec.scopes.groups().next();
        Self {
            hash: (*spec.descriptor.hash().as_bytes()).into(),
            name: Some(spec.name),
            output: Output::Exactly(spec.target),
            asked: None,
            peers: Vec::new(),
            allowed: None,
            group,
            only: spec.only,
            overwrite: spec.overwrite,
            scopes: spec.scopes,
            lists_as_sources: false,
            seed: true,
            is_paused: !spec.resume_on_start,
            resumes_unix_ms: None,
            size: match spec.descriptor.kind() {
                pelago_content::Kind::File => Some(spec.descriptor.size()),
                pelago_content::Kind::Folder => None,
            },
            verified_bytes: None,
            end: None,
            no_sync: false,
            links: spec.links,
            strict_names: spec.strict_names,
            // It had begun already.
            may_expand: true,
            is_waiting: false,
            is_removing: false,
        }
    }

    /// The same entry, which resumes at this time if it is paused.
    pub(super) fn resuming_at(self, at: Option<SystemTime>) -> Self {
        let since = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let at = since.and_then(|since| u64::try_from(since.as_millis()).ok());
        Self {
            resumes_unix_ms: at.filter(|_| self.is_paused),
            ..self
        }
    }

    /// When it resumes by itself.
    pub(super) fn resumes_at(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.resumes_unix_ms?))
    }

    /// The same entry, paused.
    pub(super) fn paused(self) -> Self {
        Self {
            is_paused: true,
            ..self
        }
    }

    /// The same entry, to be removed with its data. `was_done`: it was done before.
    pub(super) fn removing(self, was_done: bool) -> Self {
        Self {
            is_removing: true,
            is_paused: !was_done,
            end: was_done.then_some(End::Done),
            ..self
        }
    }

    pub(super) const fn is_removing(&self) -> bool {
        self.is_removing
    }

    pub(super) fn hash(&self) -> Hash {
        Hash::from_bytes(*self.hash)
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Whether it stays as it is until a request.
    pub(super) const fn is_inactive(&self) -> bool {
        self.is_paused || self.end.is_some()
    }

    /// Whether it waited for a source, and waits again.
    pub(super) const fn is_waiting(&self) -> bool {
        self.is_waiting && !self.is_inactive()
    }

    pub(super) fn is_done(&self) -> bool {
        self.end == Some(End::Done)
    }

    /// The request for the next run. Peers that cannot be parsed are logged and dropped. If all of
    /// the only peers that may be asked are dropped, no peer may be asked.
    pub(super) fn request(&self) -> Request {
        let ids = |ids: &Vec<String>| self.readable(ids);
        Request {
            wanted: Wanted {
                hash: self.hash(),
                peers: self.readable(&self.peers),
                allowed: self.allowed.as_ref().map(ids),
                group: self.group,
                timeout: RESUME_TIMEOUT,
                waits: true,
                gives_up: false,
            },
            delivery: Delivery {
                name: self.name.clone(),
                output: self.asked.as_ref().unwrap_or(&self.output).clone(),
                in_place: false,
                only: self.only.clone(),
                overwrite: self.overwrite,
                links: self.links,
                strict_names: self.strict_names,
                may_expand: self.may_expand,
                durable: !self.no_sync,
                resume_on_start: true,
                seed: self.seed,
                scopes: self.scopes.clone(),
                lists_as_sources: self.lists_as_sources,
            },
        }
    }

    fn readable<T: FromStr<Err: Display>>(&self, texts: &[String]) -> Vec<T> {
        let read = |text: &String| {
            let parsed = text.parse();
            let warn = |error| {
                let hash = self.hash();
                tracing::warn!(%hash, peer = text, %error, "cannot parse a saved peer");
            };
            parsed.map_err(warn).ok()
        };
        texts.iter().filter_map(read).collect()
    }

    /// Its status while it does not run.
    pub(super) fn status(&self) -> DownloadStatus {
        let (state, failure) = match &self.end {
            Some(End::Done) => (DownloadState::Done, None),
            Some(End::Failed(failure)) => (DownloadState::Failed, Some(failure.clone())),
            None => (DownloadState::Paused, None),
        };
        DownloadStatus {
            path: self.begun_at(),
            group: self.group,
            state,
            size: self.size,
            verified_bytes: self.verified_bytes,
            failure,
            ..DownloadStatus::new(self.hash(), self.name.clone())
        }
    }

    fn begun_at(&self) -> Option<PathBuf> {
        match &self.output {
            Output::Exactly(path) => Some(path.clone()),
            _ => None,
        }
    }
}

impl Request {
    /// The request to resume a download whose status is `status`: with the name and, if it has
    /// begun there, the path that it has by now, and with the timeout of resumed downloads.
    pub(super) fn resumed_from(&self, status: &DownloadStatus) -> Self {
        let Self { wanted, delivery } = self.clone();
        let begun = status.path.clone();
        let begun = begun.filter(|_| !status.is_refused_its_place());
        let is_named = status.name != wanted.hash.to_string();
        Self {
            wanted: Wanted {
                timeout: RESUME_TIMEOUT,
                waits: true,
                gives_up: false,
                ..wanted
            },
            delivery: Delivery {
                name: is_named.then(|| status.name.clone()),
                output: begun.map_or(delivery.output, Output::Exactly),
                ..delivery
            },
        }
    }
}

/// Encodes a list.
pub(super) fn to_bytes(downloads: Vec<SavedDownload>) -> Vec<u8> {
    let list = List {
        version: VERSION,
        downloads,
    };
    // CBOR can encode all of it: the paths are UTF-8.
    cbor4ii::serde::to_vec(Vec::new(), &list).unwrap_or_default()
}

/// Decodes a list.
pub(super) fn from_bytes(list: &[u8]) -> Result<Vec<SavedDownload>, Unreadable> {
    let versioned: Versioned = decode_row(list).ok_or(Unreadable::Damaged)?;
    match versioned.version {
        VERSION => {}
        version if version > VERSION => return Err(Unreadable::Newer { version }),
        _ => return Err(Unreadable::Damaged),
    }
    let list: List = decode_row(list).ok_or(Unreadable::Damaged)?;
    Ok(list.downloads)
}
