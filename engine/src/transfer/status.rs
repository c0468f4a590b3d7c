//! The status of a download while it runs, and its result when it is done.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use libp2p::PeerId;
use pelago_content::Hash;
use pelago_groups::GroupId;
use serde::{Deserialize, Serialize};

use super::TransferError;
use crate::{
    limits::Rate,
    store::{Differences, TimeSpan},
};

/// The period over which a rate is averaged.
const RATE_PERIOD: Duration = Duration::from_secs(3);

/// The state of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadState {
    /// Waiting for its turn, until a download that fetches is done.
    Queued,
    /// Asking peers what the content is and which blocks they have.
    FindingSources,
    /// No peer that was asked has the content, or the rest of it. Waiting until one has.
    Waiting,
    /// Finding out the entries of a folder.
    Listing,
    /// Verifying again what an earlier run left.
    Checking,
    /// Fetching chunks.
    Downloading,
    /// Every block is verified; the file is being moved into its place.
    Finishing,
    /// The file is in its place.
    Done,
    /// Stopped. Verified data is kept.
    Paused,
    /// Ended with an error. Verified data is kept.
    Failed,
    /// Its data is being removed, and it will not be listed any more.
    Removing,
}

impl DownloadState {
    /// All states, in the order of a download's life.
    pub const ALL: [Self; 11] = [
        Self::Queued,
        Self::FindingSources,
        Self::Waiting,
        Self::Listing,
        Self::Checking,
        Self::Downloading,
        Self::Finishing,
        Self::Done,
        Self::Paused,
        Self::Failed,
        Self::Removing,
    ];

    /// The state as one word, or two with a hyphen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::FindingSources => "finding-sources",
            Self::Waiting => "waiting",
            Self::Listing => "listing",
            Self::Checking => "checking",
            Self::Downloading => "downloading",
            Self::Finishing => "finishing",
            Self::Done => "done",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Removing => "removing",
        }
    }

    /// Whether nothing more happens without a request.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Paused | Self::Failed)
    }
}

/// The status of a download, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadStatus {
    /// The hash of the content.
    pub hash: Hash,
    /// The name of the content; its hash until a name is known.
    pub name: String,
    /// The path of the file or folder, once it is known.
    pub path: Option<PathBuf>,
    /// The group in which it is fetched; `None` outside groups.
    pub group: Option<GroupId>,
    /// The current state.
    pub state: DownloadState,
    /// The size of the content in bytes, once it is known.
    pub size: Option<u64>,
    /// Bytes that are verified and on the disk; `None` if an earlier run left some and they were
    /// not verified again yet.
    pub verified_bytes: Option<u64>,
    /// Bytes per second, over the last few seconds.
    pub bytes_per_second: u64,
    /// The number of sources in use.
    pub sources: u64,
    /// Why the download is slow, or does not fetch.
    pub waits: Option<WaitReason>,
    /// A notice of one sentence, such as: the disk may be too small for all of it, or which files
    /// stayed after it was cancelled or removed.
    pub notice: Option<String>,
    /// Why the download failed.
    pub failure: Option<Failure>,
    /// Of a folder: the differences between its entries on the disk and in its manifests, if there
    /// are any.
    pub differences: Option<Arc<Differences>>,
}

impl DownloadStatus {
    /// The status of a download before anything else is known.
    pub(crate) fn new(hash: Hash, name: Option<String>) -> Self {
        Self {
            hash,
            name: name.unwrap_or_else(|| hash.to_string()),
            path: None,
            group: None,
            state: DownloadState::Queued,
            size: None,
            verified_bytes: Some(0),
            bytes_per_second: 0,
            sources: 0,
            waits: None,
            notice: None,
            failure: None,
            differences: None,
        }
    }

    /// Whether the download has not begun at the path where it is listed: other content is there,
    /// or the path cannot be used.
    pub(super) fn is_refused_its_place(&self) -> bool {
        let failure = self.failure.as_ref();
        let is_refused = failure.is_some_and(|failure| {
            let code = &*failure.code;
            matches!(
                code,
                "target-exists"
                    | "target-not-writable"
                    | "target-not-readable"
                    | "download-not-started"
            )
        });
        // A run that resumes a download is listed at its path from the start.
        let has_begun = !matches!(
            self.state,
            DownloadState::Queued | DownloadState::FindingSources
        );
        is_refused || !has_begun
    }

    /// The status at the start of a run that resumes the download.
    pub(super) fn resumed(self) -> Self {
        Self {
            state: DownloadState::Queued,
            notice: None,
            failure: None,
            ..self
        }
    }
}

/// The reason why a download waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// It waits for its turn: only a limited number of downloads fetch at a time.
    Turn {
        /// The number of downloads before it, including those that fetch.
        ahead: u64,
    },
    /// It waits for a peer that has the content, or the rest of it.
    Source {
        /// Since when it has had no source.
        since: Instant,
        /// Which peers were asked, with the outcomes.
        tried: String,
    },
    /// It waits for data that was requested.
    Data {
        /// Since when nothing has arrived.
        since: Instant,
        /// The peers that owe it.
        from: Vec<PeerId>,
    },
    /// Our own rate limit holds it back.
    Limit {
        /// The limit.
        rate: Rate,
    },
    /// It is paused for some time, and resumes then.
    Pause {
        /// Until when.
        until: SystemTime,
    },
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn { ahead: 0 } => write!(f, "waits for its turn"),
            Self::Turn { ahead: 1 } => write!(f, "waits for its turn behind 1 other"),
            Self::Turn { ahead } => write!(f, "waits for its turn behind {ahead} others"),
            Self::Source { since, tried } => {
                write!(f, "no source for {}: {tried}", TimeSpan(since.elapsed()))
            }
            Self::Data { since, from } => {
                let seconds = since.elapsed().as_secs();
                write!(f, "nothing has arrived for {seconds} s")?;
                match &from[..] {
                    [] => Ok(()),
                    [one] => write!(f, " from {one}"),
                    [one, others @ ..] => write!(f, " from {one} and {} more", others.len()),
                }
            }
            Self::Limit { rate } => write!(f, "held back by our own limit of {rate}"),
            Self::Pause { until } => {
                let left = until.duration_since(SystemTime::now()).unwrap_or_default();
                write!(
                    f,
                    "paused for another {}: it resumes by itself",
                    TimeSpan(left)
                )
            }
        }
    }
}

/// Why a download failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A code for programs. It stays the same between versions.
    #[serde(rename = "c")]
    pub code: Cow<'static, str>,
    /// What was tried, and what went wrong.
    #[serde(rename = "m")]
    pub message: String,
    /// What the user can do about it.
    #[serde(rename = "h")]
    pub hint: Option<String>,
}

impl From<&TransferError> for Failure {
    fn from(error: &TransferError) -> Self {
        Self {
            code: error.code().into(),
            message: error.to_string(),
            hint: error.hint(),
        }
    }
}

/// A download that is done.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The hash of the content.
    pub hash: Hash,
    /// The name of the content.
    pub name: String,
    /// The path of the file or folder.
    pub path: PathBuf,
    /// The size in bytes.
    pub size: u64,
    /// The time from the request until the file was in its place.
    pub elapsed: Duration,
    /// The number of peers that sent at least one chunk.
    pub sources: u64,
    /// Bytes that were there from an earlier run, or at the target already.
    pub resumed_bytes: u64,
    /// Bytes that were copied from shares of this node.
    pub copied_bytes: u64,
    /// Bytes that were fetched.
    pub fetched_bytes: u64,
    /// Whether this node shares it from its place.
    pub is_shared: bool,
    /// Of a folder: the differences between its entries on the disk and in its manifests.
    pub differences: Differences,
}

/// Measures a rate over the last [`RATE_PERIOD`].
#[derive(Debug, Default)]
pub(super) struct Meter(VecDeque<(Instant, u64)>);

impl Meter {
    /// Records a total, and returns the rate in units per second.
    pub(super) fn read(&mut self, now: Instant, total: u64) -> u64 {
        self.0.push_back((now, total));
        while self.0.len() > 2
            && self
                .0
                .get(1)
                .is_some_and(|(at, _)| now - *at >= RATE_PERIOD)
        {
            self.0.pop_front();
        }
        let Some((since, before)) = self.0.front() else {
            return 0;
        };
        let seconds = now.duration_since(*since).as_secs_f64();
        if seconds > 0.0 {
            ((total.saturating_sub(*before)) as f64 / seconds) as u64
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_source_is_named() {
        let peers = [PeerId::random(), PeerId::random()];
        let since = Instant::now();
        let waits = |from: &[PeerId]| WaitReason::Data {
            since,
            from: from.to_vec(),
        };
        let one = format!("nothing has arrived for 0 s from {}", peers[0]);
        assert_eq!(waits(&peers[..1]).to_string(), one);
        assert_eq!(waits(&peers).to_string(), format!("{one} and 1 more"));
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        for second in 0..10 {
            meter.read(start + Duration::from_secs(second), 1000 * second);
        }
        let rate = meter.read(start + Duration::from_secs(10), 10_000);
        assert_eq!(rate, 1000);
        let stopped = (11..20).map(|s| meter.read(start + Duration::from_secs(s), 10_000));
        assert_eq!(stopped.last(), Some(0));
    }
}
