//! What is known of a download while it runs, and when it is done.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use pelago_content::Hash;
use serde::{Deserialize, Serialize};

use super::DownloadError;
use crate::{limits::Rate, store::Differences};

/// A rate is the mean over this long.
const RATE_PERIOD: Duration = Duration::from_secs(3);

/// What a download is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadState {
    /// Waiting until one of those that fetch is done.
    Queued,
    /// Asking for the content and who has it.
    FindingSources,
    /// Nobody has it, or the rest of it: waiting until somebody does.
    Waiting,
    /// Finding out what is in a folder.
    Listing,
    /// Proving again what an earlier run left.
    Checking,
    /// Fetching chunks.
    Downloading,
    /// Every block is verified: the file is being put in its place.
    Finishing,
    /// The file is there.
    Done,
    /// Stopped; what was verified is kept.
    Paused,
    /// Ended with an error; what was verified is kept.
    Failed,
}

impl DownloadState {
    /// All there are, in the order of a download's life.
    pub const ALL: [Self; 10] = [
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
        }
    }

    /// Whether nothing more will happen by itself.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Paused | Self::Failed)
    }
}

/// A download as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadStatus {
    /// What is downloaded.
    pub hash: Hash,
    /// What it is called; the hash until a name is known.
    pub name: String,
    /// Where it will lie, once that is known.
    pub path: Option<PathBuf>,
    /// What is being done.
    pub state: DownloadState,
    /// Bytes of the content, once known.
    pub size: Option<u64>,
    /// Bytes that are verified and on the disk; none if an earlier run left some and they were not
    /// looked at yet.
    pub verified_bytes: Option<u64>,
    /// Bytes a second, of the last seconds.
    pub bytes_per_second: u64,
    /// Peers that are being asked.
    pub sources: u64,
    /// Why it is not faster, or not fetching at all.
    pub waits: Option<WaitReason>,
    /// Something to know, in a sentence: the disk has no room for all of it, or what stays after it was
    /// cancelled or removed.
    pub notice: Option<String>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Of a folder: what of it lies here other than its manifests say; none if nothing does.
    pub differences: Option<Arc<Differences>>,
}

impl DownloadStatus {
    /// A download of which nothing else is known yet.
    pub(super) fn new(hash: Hash, name: Option<String>) -> Self {
        Self {
            hash,
            name: name.unwrap_or_else(|| hash.to_string()),
            path: None,
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

    /// Whether it has not begun where it is listed: something else is there, or nothing can be.
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
        // A run that goes on is listed there from the start.
        let has_begun = !matches!(
            self.state,
            DownloadState::Queued | DownloadState::FindingSources
        );
        is_refused || !has_begun
    }

    /// What is known at the start of a run that goes on with it.
    pub(super) fn resumed(self) -> Self {
        Self {
            state: DownloadState::Queued,
            notice: None,
            failure: None,
            ..self
        }
    }
}

/// What a download waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Its turn: only so many fetch at a time.
    Turn {
        /// How many come before it, with those that fetch.
        ahead: u64,
    },
    /// A peer that has it, or the rest of it.
    Source {
        /// Since when there is none.
        since: Instant,
        /// Who was asked, and what came of it.
        tried: String,
    },
    /// Our own limit.
    Limit {
        /// What it lets in.
        rate: Rate,
    },
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn { ahead: 1 } => write!(f, "waits for its turn behind 1 other"),
            Self::Turn { ahead } => write!(f, "waits for its turn behind {ahead} others"),
            Self::Source { since, tried } => {
                let seconds = since.elapsed().as_secs();
                write!(f, "no source for {seconds} s: {tried}")
            }
            Self::Limit { rate } => write!(f, "held back by our own limit of {rate}"),
        }
    }
}

/// Why a download failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A word for programs: it stays the same between versions.
    #[serde(rename = "c")]
    pub code: Cow<'static, str>,
    /// What was tried, and what came of it.
    #[serde(rename = "m")]
    pub message: String,
    /// What a person can do about it.
    #[serde(rename = "h")]
    pub hint: Option<String>,
}

impl From<&DownloadError> for Failure {
    fn from(error: &DownloadError) -> Self {
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
    /// What was downloaded.
    pub hash: Hash,
    /// What it is called.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes.
    pub size: u64,
    /// From the request to the file in its place.
    pub elapsed: Duration,
    /// Peers that sent at least one chunk.
    pub sources: u64,
    /// Bytes that were there from an earlier run, or already at the target.
    pub resumed_bytes: u64,
    /// Bytes that were fetched.
    pub fetched_bytes: u64,
    /// Whether it is shared on from there.
    pub is_shared: bool,
    /// Of a folder: what of it lies here other than its manifests say.
    pub differences: Differences,
}

/// Measures a rate over the last [`RATE_PERIOD`].
#[derive(Debug, Default)]
pub(super) struct Meter(VecDeque<(Instant, u64)>);

impl Meter {
    /// Takes a reading of a total, and gives the rate in units a second.
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
