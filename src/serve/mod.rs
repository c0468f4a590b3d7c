//! The serving room: answers what peers ask for, as much as is allowed and no more than can be borne.
//!
//! Each stream that a peer opens is one task here. What blocks goes through one queue, and what is handed
//! over and unsent is bounded; both are shared fairly by network, host and peer. Nothing is decided here: Access
//! says who may have what, the store what is there. Errors end a stream, never the room.

mod answers;
mod buffers;
mod listing;
mod metrics;
mod news;
mod places;
mod rehash_queue;
mod requester;
mod sending;
mod server;
mod spread;
mod streams;
mod swarms;
mod told;
mod waiting;
mod work;

pub use rehash_queue::{Reason, RehashQueue, Waiting};
pub use server::{Notices, Server, Settings};
