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
//! | `fetches` | content that is fetched for those who read it |
//! | `reader` | one who reads, whatever has to be fetched for that |
//! | `request` | what is to be downloaded, and how downloads run |
//! | `download` | one download, from finding sources to the finished file |
//! | `transfers` | all downloads of a node, in order |
//! | `run` | one run of a download: its turns, and the waiting for sources in between |
//! | `handle` | one run of a download, for those who wait for it |
//! | `changes` | what people do with one: pause, resume, cancel, remove, move |
//! | `followers` | who wants a download to go on |
//! | `metrics` | how many have ended, and how |
//! | `turns` | whose turn it is to fetch |
//! | `waiting` | a download without a source: what it asks, and when it begins again |
//! | `list_writer` | the list of downloads from one run to the next, and what cannot be kept of it |
//! | `kept` | the form of that list |
//! | `look` | what content is and who has it, before it is downloaded |
//! | `target` | where the file goes, and what its name may be |
//! | `block_sources` | where its blocks came from, for people |
//! | `status` | what is known of a download, for people |
//!
//! Nothing is kept that was not proven first. A source's failure is an event for the scheduler, never
//! the end of a download; what ends one is a [`DownloadError`].

mod batch;
mod block_sources;
mod candidates;
mod changes;
mod download;
mod error;
mod faults;
mod followers;
#[cfg(all(feature = "api", any(test, feature = "fuzzing")))]
pub(crate) mod fuzzing;
mod handle;
mod holding;
mod manifests;
mod metrics;
mod open;
mod patience;
mod persistence;
mod queue;
mod reading;
mod receiving;
mod recent_peers;
mod recheck;
mod request;
mod run;
mod saved_downloads;
mod scheduler;
mod sink;
mod source;
mod sources;
mod stage;
mod status;
mod subscription;
mod target;
mod transfers;
mod waiting;

pub use block_sources::{Cell, Detail, SourceState, SourceStatus};
pub use changes::{ChangeError, QueuePosition};
pub use error::DownloadError;
pub use followers::Followers;
pub use handle::Download;
pub use manifests::UnfoldError;
pub use open::{NoHolder, Opened, Totals, open};
pub use persistence::{LoadError, NotKept, SavedList};
pub use reading::{ReadError, ReadRequest, Reader};
pub use request::{Request, TransferSettings};
#[cfg(feature = "benchmarks")]
pub use scheduler::schedule;
pub use status::{DownloadState, DownloadStatus, Failure, Finished, WaitReason};
pub use target::{Output, sanitised};
pub use transfers::{Follower, Transfers};
