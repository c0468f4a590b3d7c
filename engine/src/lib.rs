//! The node of Pelago without its faces: the swarm and its event loop, downloads, answers to peers,
//! announcements, limits, and [`node`], which connects them.
//!
//! The package `pelago` is what others depend on. `docs/ARCHITECTURE.md` shows the modules and
//! which of them may call which.

pub mod access;
pub mod duties;
pub mod groups;
pub mod limits;
pub mod memory;
pub mod network;
pub mod node;
pub mod publish;
pub mod serve;
pub mod transfer;

pub(crate) use pelago_content as content;
pub(crate) use pelago_store as store;
