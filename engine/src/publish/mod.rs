//! Announces to the DHT which content this node provides.
//!
//! A pure plan decides when each hash is due: immediately when it is shared, again before its
//! records expire, sooner after a failure or when the network has grown, and never after it was
//! unshared. A task carries the plan out with a bounded number of announcements at a time, and
//! records it, so that a restart announces nothing early. The DHT library's own republishing is
//! off.

mod clock;
mod plan;
mod publisher;

pub use publisher::{PublishSettings, Publisher};
