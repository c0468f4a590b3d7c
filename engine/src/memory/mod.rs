//! How much memory this process may use, and the budgets that follow from it.
//!
//! The limit is the smallest of the machine's memory and the limits of all cgroups that contain the
//! process (version 1 or 2, from its own group up to the root of the mounted hierarchy). Each
//! budget is the setting, but at most a fixed part of the limit, so that a node in a small
//! container is slower and is not killed. This module holds no state. Values that the system does
//! not report are `None`.

mod budgets;
mod cgroup;
mod proc;
mod trim;

pub use budgets::Memory;
pub use cgroup::Cgroup;
pub use proc::{anonymous_bytes, resident_bytes};
pub use trim::{bound_free_memory, return_free_memory};
