//! The transfer room: gets content by its hash from everyone who has any of it.
//!
//! | file | owns |
//! |---|---|
//! | `scheduler` | which chunk is asked of whom: pure, driven by events and a clock |
//! | `sources` | who is asked, who is used, who lied |
//! | `candidates` | who waits to be asked, and who is tried again later |
//! | `source` | one peer's streams: asks, reads, hands on |
//! | `subscription` | the question to one peer, what it has |
//! | `recheck` | the question to a source whose data failed its proof |
//! | `faults` | which files a source was wrong about, and when that makes it a liar |
//! | `content` | what is being fetched: a file, a folder's manifests, or its files |
//! | `manifests` | the manifests of a folder, until it is known what is in it |
//! | `batch` | what has come, on its way to be verified and written |
//! | `sink` | where verified chunks go |
//! | `patience` | how long a download goes on without anything that arrives |
//! | `receiving` | data read no faster than the limits allow |
//! | `reads` | who reads what while it is fetched, and when more has come |
//! | `readings` | content that is fetched for those who read it |
//! | `reader` | one who reads, whatever has to be fetched for that |
//! | `request` | what is to be downloaded, and how downloads run |
//! | `download` | one download, from finding sources to the finished file |
//! | `transfers` | all downloads of a node, in order |
//! | `run` | one run of a download: its turns, and the waiting for sources in between |
//! | `handle` | one run of a download, for those who wait for it |
//! | `changes` | what people do with one: pause, resume, cancel, remove, move |
//! | `interest` | who wants a download to go on |
//! | `metrics` | how many have ended, and how |
//! | `turns` | whose turn it is to fetch |
//! | `waiting` | a download without a source: what it asks, and when it begins again |
//! | `keeping` | the list of downloads from one run to the next, and what cannot be kept of it |
//! | `kept` | the form of that list |
//! | `look` | what content is and who has it, before it is downloaded |
//! | `target` | where the file goes, and what its name may be |
//! | `origins` | where its blocks came from, for people |
//! | `status` | what is known of a download, for people |
//!
//! Nothing is kept that was not proven first. A source's failure is an event for the scheduler, never
//! the end of a download; what ends one is a [`DownloadError`].

mod banned;
mod batch;
mod candidates;
mod changes;
mod content;
mod download;
mod error;
mod faults;
#[cfg(all(feature = "api", any(test, feature = "fuzzing")))]
pub(crate) mod fuzzing;
mod handle;
mod interest;
mod keeping;
mod kept;
mod look;
mod manifests;
mod metrics;
mod origins;
mod patience;
mod read_ahead;
mod reader;
mod readings;
mod reads;
mod receiving;
mod recheck;
mod request;
mod run;
mod scheduler;
mod sink;
mod source;
mod sources;
mod status;
mod subscription;
mod target;
mod transfers;
mod turns;
mod waiting;

pub use changes::{ChangeError, Place};
pub use error::DownloadError;
pub use handle::Download;
pub use interest::Interest;
pub use keeping::{LoadError, NotKept, Saved};
pub use look::{Looked, Nobody, Weight, look};
pub use manifests::UnfoldError;
pub use origins::{Cell, Detail, SourceState, SourceStatus};
pub use reader::{ReadError, Reader};
pub use readings::ReadRequest;
pub use request::{Request, Settings};
#[cfg(feature = "benchmarks")]
pub use scheduler::schedule;
pub use status::{DownloadState, DownloadStatus, Failure, Finished, Waiting};
pub use target::{Output, sanitised};
pub use transfers::{Followed, Transfers};
use waiting::Kind as InquiryKind;
