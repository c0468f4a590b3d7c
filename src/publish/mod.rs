//! The publishing room: keeps the DHT told of what this node provides.
//!
//! A pure plan owns when each hash is due: at once when it is shared, again in time
//! before its records expire, sooner after a failure or when the network has grown, never after it
//! was unshared. A task carries the plan out, a bounded number of announcements at a time, and writes
//! it down so that a restart announces nothing early. The library's own republishing is off.

mod clock;
mod plan;
mod publisher;

pub use publisher::{Publisher, Settings};
