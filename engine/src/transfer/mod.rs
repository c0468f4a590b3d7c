//! Downloads: fetches content by its hash from every peer that has some of it.
//!
//! | file | owns |
//! |---|---|
//! | `request` | what a download is asked for, and what becomes of its content |
//! | `transfers` | all downloads of a node: starts, joins, lists and stops them |
//! | `listed`, `followers` | a download in the list, and the parties that want it to run |
//! | `changes`, `removal`, `removing`, `change_error` | pausing, resuming, reordering, cancelling, removing |
//! | `saved_downloads`, `list_file`, `persistence` | the list that outlasts the node |
//! | `queue` | which download has a turn to fetch, and the order of the others |
//! | `run`, `handle` | one run of a download, and the handle to it |
//! | `waiting` | a download without a source: what it asks, and when it resumes |
//! | `download` | one download, from the search for sources until its content is in place |
//! | `stage`, `manifests`, `sink` | what is fetched, how far it is, and where verified chunks go |
//! | `scheduler` | which chunk to request from which source: pure, driven by events and a clock |
//! | `roster`, `candidates` | which peers are sources, and which may become sources: pure |
//! | `sources`, `source`, `batch` | the tasks of the sources, their streams and arriving data |
//! | `subscription` | the question to a peer which blocks it has |
//! | `recheck`, `faults` | what follows when data fails its proof |
//! | `holding`, `recent_peers` | what is remembered of sources, with bounds |
//! | `patience`, `receiving` | how long nothing may arrive; reading within the limits |
//! | `reading` | readers of content that is here or must be fetched |
//! | `open` | what content is and which peers have it, before it is downloaded |
//! | `target` | where a file goes, and what its name may be |
//! | `services`, `metrics` | what all downloads share and count |
//! | `status`, `block_sources`, `outcomes`, `error` | what is shown of a download |
//!
//! Only verified data is kept. The failure of a source is an event for the scheduler, and never
//! ends a download. A download that fails ends with a [`TransferError`].

mod batch;
mod block_sources;
mod candidates;
mod change_error;
mod changes;
mod download;
mod error;
mod faults;
mod followers;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod holding;
mod list_file;
mod listed;
mod manifests;
mod metrics;
mod open;
mod outcomes;
mod patience;
mod persistence;
mod queue;
mod reading;
mod receiving;
mod recent_peers;
mod recheck;
mod removal;
mod removing;
mod request;
mod roster;
mod run;
mod saved_downloads;
mod scheduler;
mod services;
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
pub use change_error::ChangeError;
pub use changes::QueuePosition;
pub use error::TransferError;
pub use followers::Followers;
pub use handle::Download;
pub use list_file::{LoadError, NotKept, SavedList};
pub use manifests::UnfoldError;
pub use open::{NoHolder, OpenPatience, Opened, Totals, open};
pub use reading::{ReadError, ReadRequest, Reader};
pub use request::{Delivery, Request, Wanted};
#[cfg(feature = "benchmarks")]
pub use scheduler::schedule;
pub use services::TransferSettings;
pub use status::{DownloadState, DownloadStatus, Failure, Finished, WaitReason};
pub use subscription::{NotStated, listen};
pub use target::{Output, free_path_beside, numbered, sanitised};
pub use transfers::{Follower, Transfers};
