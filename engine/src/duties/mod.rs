//! The supervisor: runs background duties, and restarts a duty that fails or panics, with back-off.
//!
//! It owns the tasks of all duties and what is known of each. It does not decide what a duty does:
//! a duty is a function that makes a future. `Ok` ends the duty; an error or a panic restarts it.
//! `Backoff` is the pure decision of when to restart, which other retries use as well.

mod backoff;
mod handle;
mod registry;
mod supervise;

pub use backoff::Backoff;
pub use handle::Duties;
pub use registry::{Duty, DutyFailure, DutyState, Outcome};
