//! The node's types to JSON types, field by field, and back for requests.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use libp2p::PeerId;
use pelago_content as content;

use super::{
    error::ApiError,
    seconds,
    types::{self, ErrorInfo},
};
use crate::{
    config::NewValue,
    node::{self, CodedError as _, Node},
};

/// Differences of a download in a list that are shown, at most: lists are sent often.
const SHOWN_DIFFERENCES: usize = 20;

impl From<node::Status> for types::Status {
    fn from(from: node::Status) -> Self {
        Self {
            peer_id: from.peer_id.to_string(),
            name: from.name,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listen: from.listen.iter().map(ToString::to_string).collect(),
            api: None,
            gateway: None,
            shares: from.shares,
            downloads: from.downloads,
            peers: from.peers,
            uptime_seconds: from.uptime.as_secs_f64(),
        }
    }
}

impl From<node::Peer> for types::Peer {
    fn from(from: node::Peer) -> Self {
        Self {
            peer_id: from.peer_id.to_string(),
            name: from.name,
            addresses: from.addresses.iter().map(ToString::to_string).collect(),
            rtt_ms: from.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
            sent_bytes: from.sent_bytes,
            received_bytes: from.received_bytes,
        }
    }
}

impl From<content::Kind> for types::Kind {
    fn from(from: content::Kind) -> Self {
        match from {
            content::Kind::File => Self::File,
            content::Kind::Folder => Self::Folder,
        }
    }
}

impl From<node::Shared> for types::Shared {
    fn from(from: node::Shared) -> Self {
        Self {
            hash: from.hash.to_string(),
            name: from.name,
            size: from.size,
            kind: from.kind.into(),
            path: Some(text(&from.path)),
            link: from.link.to_string(),
            replaced: from.replaced.map(|hash| hash.to_string()),
            in_doubt: from.in_doubt,
            notes: from.notes,
            state: None,
            unavailable_files: 0,
        }
    }
}

impl From<node::CheckEvent> for types::CheckEvent {
    fn from(from: node::CheckEvent) -> Self {
        match from {
            node::CheckEvent::Begun { shares, bytes } => Self::Begun { shares, bytes },
            node::CheckEvent::Reading { path, bytes } => Self::Reading {
                path: text(&path),
                read_bytes: bytes,
            },
            node::CheckEvent::Checked(share) => Self::Checked(share.into()),
        }
    }
}

impl From<node::CheckedShare> for types::CheckedShare {
    fn from(from: node::CheckedShare) -> Self {
        let wrong = from.wrong.into_iter().map(|file| types::WrongFile {
            path: text(&file.path),
            found: match file.found {
                node::FoundFile::Other { hash } => types::FoundFile::Other {
                    hash: hash.to_string(),
                },
                node::FoundFile::Missing => types::FoundFile::Missing,
                node::FoundFile::Unreadable(reason) => types::FoundFile::Unreadable { reason },
            },
        });
        Self {
            hash: from.hash.to_string(),
            name: from.name,
            kind: from.kind.into(),
            path: text(&from.path),
            size: from.size,
            wrong: wrong.collect(),
            wrong_count: from.wrong_count,
        }
    }
}

impl From<node::Listed> for types::Listed {
    fn from(from: node::Listed) -> Self {
        Self {
            hash: from.hash.to_string(),
            name: from.name,
            size: from.size,
            kind: from.kind.into(),
            peers: from.peers,
            holders: Vec::new(),
            state: Some(from.state.into()),
            unavailable_files: from.unavailable_files,
        }
    }
}

impl From<&node::DownloadStatus> for types::DownloadStatus {
    fn from(from: &node::DownloadStatus) -> Self {
        Self {
            hash: from.hash.to_string(),
            name: from.name.clone(),
            path: from.path.as_deref().map(text),
            position: None,
            state: from.state.as_str().to_owned(),
            size: from.size,
            verified_bytes: from.verified_bytes,
            bytes_per_second: from.bytes_per_second,
            sources: from.sources,
            waits: from.waits.as_ref().map(Into::into),
            notice: from.notice.clone(),
            why: why(from),
            error: from.failure.as_ref().map(Into::into),
            differences: from
                .differences
                .as_deref()
                .and_then(|differences| self::differences(differences, SHOWN_DIFFERENCES)),
        }
    }
}

/// What of a folder lies here other than it says, the first of it; none if nothing does.
fn differences(from: &node::Differences, listed: usize) -> Option<types::Differences> {
    let difference = |from: &node::Difference| match from.clone() {
        node::Difference::Renamed { path, name } => types::Difference::Renamed { path, name },
        node::Difference::LinkLeftOut { path, target, why } => types::Difference::LinkLeftOut {
            path,
            target,
            why: why.to_string(),
        },
    };
    (!from.is_empty()).then(|| types::Differences {
        renamed: from.renamed,
        links_left_out: from.links_left_out,
        listed: from.listed.iter().take(listed).map(difference).collect(),
    })
}

impl From<types::Links> for node::Links {
    fn from(from: types::Links) -> Self {
        match from {
            types::Links::Inside => Self::Inside,
            types::Links::All => Self::All,
            types::Links::None => Self::None,
        }
    }
}

impl From<node::Links> for types::Links {
    fn from(from: node::Links) -> Self {
        match from {
            node::Links::Inside => Self::Inside,
            node::Links::All => Self::All,
            node::Links::None => Self::None,
        }
    }
}

/// What is shared, with a link that names `peers`.
pub(super) fn shared(listed: &node::Listed, peers: &[String]) -> types::Shared {
    let link = content::Link {
        hash: listed.hash,
        name: Some(listed.name.clone()),
        size: Some(listed.size),
        is_unlisted: listed.is_unlisted,
        peers: peers.to_vec(),
    };
    types::Shared {
        hash: listed.hash.to_string(),
        name: listed.name.clone(),
        size: listed.size,
        kind: listed.kind.into(),
        path: listed.path.as_deref().map(text),
        link: link.to_string(),
        replaced: None,
        in_doubt: false,
        notes: Vec::new(),
        state: Some(listed.state.into()),
        unavailable_files: listed.unavailable_files,
    }
}

/// What is no longer shared from a place.
pub(super) fn share_removed(listed: &node::Listed) -> types::ShareRemoved {
    types::ShareRemoved {
        hash: listed.hash.to_string(),
        name: listed.name.clone(),
        path: listed.path.as_deref().map(text),
    }
}

impl From<node::ShareState> for types::ShareState {
    fn from(from: node::ShareState) -> Self {
        match from {
            node::ShareState::Available => Self::Available,
            node::ShareState::BeingWritten => Self::BeingWritten,
            node::ShareState::Missing => Self::Missing,
            node::ShareState::Changed => Self::Changed,
            node::ShareState::Unreadable => Self::Unreadable,
            node::ShareState::Excluded => Self::Excluded,
        }
    }
}

impl From<node::UnavailableShares> for types::UnavailableShares {
    fn from(from: node::UnavailableShares) -> Self {
        let place = |place: node::Unavailable| types::UnavailableShare {
            path: text(&place.path),
            state: place.state.into(),
            folder: place.folder.as_deref().map(text),
        };
        Self {
            count: from.count,
            places: from.places.into_iter().map(place).collect(),
        }
    }
}

impl From<node::Exclusion> for types::ExcludedPlace {
    fn from(from: node::Exclusion) -> Self {
        Self {
            path: text(&from.path),
            folder: text(&from.folder),
            state: types::ShareState::Excluded,
        }
    }
}

impl From<node::BeingWritten> for types::BeingWritten {
    fn from(from: node::BeingWritten) -> Self {
        Self {
            count: from.count,
            files: from.files.iter().map(Into::into).collect(),
        }
    }
}

impl From<&node::FileBeingWritten> for types::FileBeingWritten {
    fn from(from: &node::FileBeingWritten) -> Self {
        Self {
            path: text(&from.path),
            size: from.size,
        }
    }
}

/// A file that is no longer being written.
pub(super) fn file_written(from: &node::FileBeingWritten) -> types::FileWritten {
    types::FileWritten {
        path: text(&from.path),
    }
}

/// What others share, with what those who have it call themselves.
pub(super) fn offered(from: node::Listed, names: &HashMap<PeerId, String>) -> types::Listed {
    let is_told = from.peers == from.holders.len() as u64;
    let named = from.holders.iter().map(|peer| names.get(peer).cloned());
    let holders = named.collect::<Option<_>>().filter(|_| is_told);
    types::Listed {
        holders: holders.unwrap_or_default(),
        state: None,
        ..from.into()
    }
}

/// All downloads, in their order.
pub(super) fn in_order(downloads: &[node::DownloadStatus]) -> Vec<types::DownloadStatus> {
    let placed = |(place, download)| types::DownloadStatus {
        position: Some(place),
        ..types::DownloadStatus::from(download)
    };
    (0..).zip(downloads).map(placed).collect()
}

/// What a download waits for, why it failed, its notice, or what of it differs, in a sentence.
fn why(status: &node::DownloadStatus) -> Option<String> {
    let failed = || Some(status.failure.as_ref()?.message.clone());
    let waits = status.waits.as_ref().map(|waits| {
        // What nobody said yet is not repeated.
        let is_waiting = status.state == node::DownloadState::Waiting;
        match is_waiting {
            true => format!(
                "{waits}; it starts when a peer that has it connects, lists or announces it"
            ),
            false => waits.to_string(),
        }
    });
    let differences = || Some(status.differences.as_ref()?.to_string());
    let notice = || status.notice.clone();
    waits.or_else(failed).or_else(notice).or_else(differences)
}

impl From<&node::WaitReason> for types::Waiting {
    fn from(from: &node::WaitReason) -> Self {
        match from {
            node::WaitReason::Turn { ahead } => Self::Turn { ahead: *ahead },
            node::WaitReason::Source { since, tried } => Self::Source {
                seconds: since.elapsed().as_secs_f64(),
                tried: tried.clone(),
            },
            node::WaitReason::Limit { rate } => Self::Limit {
                bytes_per_second: rate.bytes(),
            },
        }
    }
}

impl From<&node::Failure> for ErrorInfo {
    fn from(from: &node::Failure) -> Self {
        Self {
            code: from.code.to_string(),
            message: from.message.clone(),
            hint: from.hint.clone(),
            choices: Vec::new(),
        }
    }
}

impl From<node::DownloadDetail> for types::DownloadDetail {
    fn from(from: node::DownloadDetail) -> Self {
        let cells = from.cells.iter();
        Self {
            hash: from.hash.to_string(),
            block_count: from.block_count,
            cells: cells.map(|cell| (cell.verified, cell.source)).collect(),
            sources: from.sources.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<node::DownloadSource> for types::DownloadSource {
    fn from(from: node::DownloadSource) -> Self {
        Self {
            peer_id: from.status.peer.to_string(),
            name: from.name,
            address: from.address.map(|address| address.to_string()),
            received_bytes: from.status.received_bytes,
            bytes_per_second: from.status.bytes_per_second,
            state: from.status.state.as_str().to_owned(),
        }
    }
}

impl From<node::Followers> for types::Followers {
    fn from(from: node::Followers) -> Self {
        Self {
            followers: from.count as u64,
            detached: from.is_detached,
        }
    }
}

impl From<types::Place> for node::NewPosition {
    fn from(from: types::Place) -> Self {
        match from {
            types::Place::First => Self::First,
            types::Place::Last => Self::Last,
            types::Place::Before(other) => Self::Before(other),
        }
    }
}

impl From<node::Finished> for types::Finished {
    fn from(from: node::Finished) -> Self {
        let nanoseconds = from.elapsed.as_nanos().max(1);
        let rate = u128::from(from.fetched_bytes) * 1_000_000_000 / nanoseconds;
        Self {
            hash: from.hash.to_string(),
            path: text(&from.path),
            size: from.size,
            seconds: from.elapsed.as_secs_f64(),
            bytes_per_second: u64::try_from(rate).unwrap_or(u64::MAX),
            sources: from.sources,
            resumed_bytes: from.resumed_bytes,
            fetched_bytes: from.fetched_bytes,
            differences: differences(&from.differences, usize::MAX),
        }
    }
}

impl From<node::ContentInfo> for types::Content {
    fn from(from: node::ContentInfo) -> Self {
        let holder = |holder: node::Holder| types::Holder {
            peer_id: holder.peer_id.to_string(),
            name: holder.name,
            bytes: holder.bytes,
        };
        Self {
            hash: from.hash.to_string(),
            name: from.name,
            kind: from.kind.into(),
            size: from.size,
            files: from.files,
            shared: from.shared,
            holders: from.holders.into_iter().map(holder).collect(),
        }
    }
}

impl From<node::Rates> for types::Limits {
    fn from(from: node::Rates) -> Self {
        Self {
            upload: from.upload.map(node::Rate::bytes),
            download: from.download.map(node::Rate::bytes),
            upload_per_peer: from.upload_per_peer.map(node::Rate::bytes),
            download_per_peer: from.download_per_peer.map(node::Rate::bytes),
        }
    }
}

/// The limits to change, as the settings that they are.
pub(super) fn limits_change(
    from: types::LimitsChange,
) -> Result<Vec<(String, Option<NewValue>)>, ApiError> {
    let limits = [
        ("upload", "upload_limit", from.upload),
        ("download", "download_limit", from.download),
        (
            "upload_per_peer",
            "upload_limit_per_peer",
            from.upload_per_peer,
        ),
        (
            "download_per_peer",
            "download_limit_per_peer",
            from.download_per_peer,
        ),
    ];
    let mut changes = Vec::new();
    for (name, key, limit) in limits {
        let Some(bytes) = limit else { continue };
        let wrong =
            |error| ApiError::bad("bad-limit", format!("{name}: {error}, or 0 for no limit"));
        let limit = node::Rate::limit(bytes.unwrap_or(0)).map_err(wrong)?;
        // A rate is at most a terabyte a second.
        let bytes = limit.map_or(0, |rate| rate.bytes().cast_signed());
        changes.push((format!("transfer.{key}"), Some(NewValue::Number(bytes))));
    }
    Ok(changes)
}

/// What to share, from JSON.
pub(super) fn share_request(from: types::ShareRequest) -> Result<node::ShareRequest, ApiError> {
    Ok(node::ShareRequest {
        path: absolute(from.path)?,
        name: from.name,
        unlisted: from.unlisted,
        rehash: from.rehash,
        skip_unsupported: from.skip_unsupported,
    })
}

/// What to download, from JSON.
pub(super) async fn download_request(
    node: &Node,
    from: types::DownloadRequest,
) -> Result<node::DownloadRequest, ApiError> {
    let wrong_target = |error: node::InvalidTarget| ApiError::bad("bad-target", error.to_string());
    let timeout = seconds::duration(from.timeout_seconds);
    Ok(node::DownloadRequest {
        target: from.target.parse().map_err(wrong_target)?,
        output: match from.output {
            types::Output::Default => node::Output::Into(download_folder(node).await?),
            types::Output::Into(folder) => node::Output::Into(absolute(folder)?),
            types::Output::At(path) => node::Output::At(absolute(path)?),
        },
        peers: addresses(&from.peers)?,
        from: from.from,
        bootstrap: addresses(&from.bootstrap)?,
        timeout: timeout.map_err(|error| ApiError::bad("bad-seconds", error.to_string()))?,
        waits: from.wait,
        only: from.only,
        overwrite: from.overwrite,
        links: from.links.into(),
        strict_names: from.strict_names,
        may_expand: from.may_expand,
        no_sync: from.no_sync,
        seed: from.seed,
        listed: from.listed,
    })
}

async fn download_folder(node: &Node) -> Result<PathBuf, ApiError> {
    node.download_folder().await.map_err(|error| {
        let message = format!("the node's folder for downloads cannot be used: {error}");
        let hint = "set storage.download_folder, or say where this download goes";
        ErrorInfo::new("no-download-folder", message)
            .with_hint(hint)
            .into()
    })
}

/// What to look at, from JSON.
pub(super) fn look_request(from: &types::LookRequest) -> Result<node::OpenRequest, ApiError> {
    let link = match from.target.parse() {
        Ok(node::Target::Hash(hash)) => hash.into(),
        Ok(node::Target::Link(link)) => link,
        Ok(node::Target::Name(name)) => {
            let message = format!("{name:?} is neither a hash nor a link");
            return Err(ApiError::bad("bad-target", message));
        }
        Err(error) => return Err(ApiError::bad("bad-target", error.to_string())),
    };
    let timeout = seconds::duration(from.timeout_seconds);
    Ok(node::OpenRequest {
        link,
        peers: addresses(&from.peers)?,
        bootstrap: addresses(&from.bootstrap)?,
        timeout: timeout.map_err(|error| ApiError::bad("bad-seconds", error.to_string()))?,
    })
}

/// A peer's address, from text.
pub(super) fn address(text: &str) -> Result<node::PeerAddress, ApiError> {
    let wrong = |error: node::InvalidAddress| ApiError::bad("bad-address", error.to_string());
    text.parse().map_err(wrong)
}

fn addresses(texts: &[String]) -> Result<Vec<node::PeerAddress>, ApiError> {
    texts.iter().map(|text| address(text)).collect()
}

/// The node's current folder is not the caller's, so a relative path would mean another file.
fn absolute(path: String) -> Result<PathBuf, ApiError> {
    let path = PathBuf::from(path);
    if path.is_absolute() {
        return Ok(path);
    }
    let message = format!(
        "{} is a relative path; the API takes absolute ones",
        path.display()
    );
    Err(ApiError::bad("relative-path", message))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl From<node::Choice> for types::Choice {
    fn from(from: node::Choice) -> Self {
        let sharer = |sharer: node::Sharer| types::Sharer {
            peer_id: sharer.peer_id.to_string(),
            name: sharer.name,
        };
        Self {
            listed: from.listed.into(),
            from: from.from.into_iter().map(sharer).collect(),
        }
    }
}

impl From<node::DownloadError> for ErrorInfo {
    fn from(error: node::DownloadError) -> Self {
        let (code, message, hint) = (error.code(), error.to_string(), error.hint());
        let choices = match error {
            node::DownloadError::Ambiguous { choices, .. } => choices,
            _ => Vec::new(),
        };
        Self {
            code: code.to_owned(),
            message,
            hint,
            choices: choices.into_iter().map(Into::into).collect(),
        }
    }
}

/// All the node's errors know their code, and what to do next.
macro_rules! to_error_info {
    ($($error:ident),*) => {$(
        impl From<node::$error> for ErrorInfo {
            fn from(error: node::$error) -> Self {
                Self {
                    code: error.code().to_owned(),
                    message: error.to_string(),
                    hint: error.hint(),
                    choices: Vec::new(),
                }
            }
        }
    )*};
}

to_error_info!(
    ListError,
    ManageError,
    OpenError,
    ShareError,
    StartError,
    UnshareError,
    UploadError
);
