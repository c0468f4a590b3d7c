//! The serving room: answers what peers ask for, as much as is allowed and no more than can be borne.
//!
//! Each stream that a peer opens is one task here; chunks are read from the store on blocking
//! threads, under slots that are shared fairly among the peers. Nothing is decided here: Access says
//! who may have what, the store what is there. Errors end a stream, never the room.

mod answers;
mod metrics;
mod places;
mod rehash_queue;
mod sending;
mod server;
mod slots;
mod spread;
mod streams;
mod swarms;
mod told;

pub use rehash_queue::{Reason, RehashQueue, Waiting};
pub use server::{Notices, Server, Settings};
