//! Downloads, as JSON types.

use super::{health::unix_ms, path_text};
use crate::{
    api::types::{self, ErrorInfo},
    node,
};

/// Differences of a download that a list shows, at most. Lists are sent often.
const SHOWN_DIFFERENCES: usize = 20;

impl From<&node::DownloadStatus> for types::DownloadStatus {
    fn from(from: &node::DownloadStatus) -> Self {
        Self {
            hash: from.hash.to_string(),
            name: from.name.clone(),
            path: from.path.as_deref().map(path_text),
            position: None,
            group: from.group.map(|group| group.to_string()),
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

/// The differences between a folder and its copy on disk, of which `listed` are listed; `None` if
/// there are none.
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

impl From<types::LinkPolicy> for node::Links {
    fn from(from: types::LinkPolicy) -> Self {
        match from {
            types::LinkPolicy::Inside => Self::Inside,
            types::LinkPolicy::All => Self::All,
            types::LinkPolicy::None => Self::None,
        }
    }
}

impl From<node::Links> for types::LinkPolicy {
    fn from(from: node::Links) -> Self {
        match from {
            node::Links::Inside => Self::Inside,
            node::Links::All => Self::All,
            node::Links::None => Self::None,
        }
    }
}

/// All downloads, in queue order.
pub(in crate::api) fn in_order(downloads: &[node::DownloadStatus]) -> Vec<types::DownloadStatus> {
    let positioned = |(position, download)| types::DownloadStatus {
        position: Some(position),
        ..types::DownloadStatus::from(download)
    };
    (0..).zip(downloads).map(positioned).collect()
}

/// What a download waits for, why it failed, its notice, or its differences, in a sentence. The
/// lists that follow the first line of some errors are in the error only.
fn why(status: &node::DownloadStatus) -> Option<String> {
    let failed = || {
        let message = &status.failure.as_ref()?.message;
        Some(message.lines().next()?.to_owned())
    };
    let waits = status.waits.as_ref().map(|waits| {
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
            node::WaitReason::Data { since, from } => Self::Data {
                seconds: since.elapsed().as_secs_f64(),
                from: from.iter().map(ToString::to_string).collect(),
            },
            node::WaitReason::Limit { rate } => Self::Limit {
                bytes_per_second: rate.bytes(),
            },
            node::WaitReason::Pause { until } => Self::Pause {
                until_unix_ms: unix_ms(*until),
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

impl From<types::QueuePosition> for node::NewPosition {
    fn from(from: types::QueuePosition) -> Self {
        match from {
            types::QueuePosition::First => Self::First,
            types::QueuePosition::Last => Self::Last,
            types::QueuePosition::Before(other) => Self::Before(other),
        }
    }
}

impl From<node::Finished> for types::Finished {
    fn from(from: node::Finished) -> Self {
        let nanoseconds = from.elapsed.as_nanos().max(1);
        let rate = u128::from(from.fetched_bytes) * 1_000_000_000 / nanoseconds;
        Self {
            hash: from.hash.to_string(),
            path: path_text(&from.path),
            size: from.size,
            seconds: from.elapsed.as_secs_f64(),
            bytes_per_second: u64::try_from(rate).unwrap_or(u64::MAX),
            sources: from.sources,
            resumed_bytes: from.resumed_bytes,
            copied_bytes: from.copied_bytes,
            fetched_bytes: from.fetched_bytes,
            differences: differences(&from.differences, usize::MAX),
        }
    }
}
