//! The serving module: answers the requests of peers, as far as access and capacity allow.
//!
//! Each stream that a peer opens is one task here. Blocking work goes through one queue, and
//! unsent bytes are bounded; both are shared fairly by network, host and peer. This module makes
//! no decisions on content: `Access` says which peer may have what, the store says what is there.
//! An error ends its stream and nothing else.

mod absences;
mod answers;
mod buffers;
mod catalogue_cursor;
mod changes;
mod findings;
mod metrics;
mod rehash_queue;
mod request_queue;
mod requester;
mod requests;
mod sending;
mod server;
mod streams;
mod subscribers;
mod suggest;
mod uploads;
mod work;

pub use rehash_queue::{QueuedFile, RehashQueue, RehashReason};
pub use server::{GroupService, Reports, ServeSettings, Server};
pub use uploads::{FollowedUpload, UploadContent, UploadState, UploadStatus, Uploads};
