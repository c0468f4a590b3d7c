//! The connections of a listener: how many there are at once, and who yields a place to whom.
//!
//! Owns the sockets of the API, the metrics and the gateway. Where all places are taken, a caller that
//! waits takes that of a connection that is idle, or that reads too little of its answer
//! (`activity`). Knows nothing of what is asked for. A failure ends one connection, and is logged.

mod activity;
mod body;
mod listener;
mod shared_activity;
mod stream;

pub(super) use self::{
    body::GuardedBody,
    listener::{Bounds, accept_all},
};
