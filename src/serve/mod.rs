//! The serving room: answers what peers ask for, as much as is allowed and no more than can be borne.
//!
//! Each stream that a peer opens is one task here. What blocks goes through one queue, and what is handed
//! over and unsent is bounded; both are shared fairly by network, host and peer. Nothing is decided here: Access
//! says who may have what, the store what is there. Errors end a stream, never the room.

mod answers;
mod buffers;
mod catalogue_cursor;
mod changes;
mod log_throttle;
mod metrics;
mod rehash_queue;
mod request_queue;
mod requester;
mod sending;
mod server;
mod streams;
mod subscribers;
mod suggest;
mod work;

pub use rehash_queue::{QueuedFile, RehashQueue, RehashReason};
pub use server::{Notices, ServeSettings, Server};
