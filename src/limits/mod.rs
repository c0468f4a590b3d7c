//! The limits room: how many bytes of content may pass in a second, each way, in all and for one peer.
//!
//! | file | owns |
//! |---|---|
//! | `rate` | what a rate is: its bounds, and how people write it |
//! | `rates` | the four limits of a node |
//! | `bucket` | how many bytes may pass now: the arithmetic, which is the library `governor`'s |
//! | `gate` | one limit: who waits for it, in which order |
//! | `handle` | all limits of a node, changed while it runs |
//!
//! Bytes pass in granules of a tenth of a second or less, each waiter one at a time, first come, first
//! served. Only content is counted, not what its way over the wire adds. Nothing here knows who moves
//! the bytes, or fails.

mod bucket;
mod gate;
mod handle;
mod rate;
mod rates;

pub use handle::Limits;
pub use rate::{InvalidRate, Rate};
pub use rates::Rates;
