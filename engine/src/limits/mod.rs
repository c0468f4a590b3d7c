//! The limits module: how many bytes of content may pass in a second, in each direction, in total
//! and for each peer; and how often anything else may happen.
//!
//! | file | owns |
//! |---|---|
//! | `rate` | a rate: its range, and its text form |
//! | `rates` | the four limits of a node |
//! | `bucket` | how many bytes may pass now; the arithmetic is that of the library `governor` |
//! | `gate` | one limit, with its queue of waiters |
//! | `handle` | all limits of a node, which can change while it runs |
//! | `throttle` | how often something may happen, by what causes it |
//!
//! Bytes pass in granules of a tenth of a second or less, one granule for each waiter in turn,
//! first come, first served. Only content counts, without protocol overhead. This module does not
//! know who moves the bytes, and its operations do not fail.

mod bucket;
mod gate;
mod handle;
mod rate;
mod rates;
mod throttle;

pub use handle::Limits;
pub use rate::{InvalidRate, Rate};
pub use rates::Rates;
pub use throttle::Throttle;
