//! The connections of a listener: how many are open, and which one is evicted at the limit.
//!
//! Owns the sockets of the API, the metrics and the gateway. At the limit, a new connection evicts
//! one that is idle or whose client reads too slowly (`activity`). Knows nothing of the requests
//! themselves. An error ends one connection and is logged.

mod activity;
mod body;
mod listener;
mod shared_activity;
mod stream;

pub(super) use self::{
    body::GuardedBody,
    listener::{Bounds, accept_all},
};
