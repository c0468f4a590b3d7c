//! Pelago: a fully decentralised file-sharing node.
//!
//! Every node is equal: it shares files from where they lie, finds others' by hash, and proves every
//! block before it keeps it. [`node::Node`] is the way in: start one over a [`store::Store`], share
//! files, download by hash. [`api`] and [`cli`] are features. The rooms, and who may call whom, are
//! drawn in `docs/ARCHITECTURE.md`.

pub mod access;
#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
mod durable;
pub mod duties;
#[cfg(all(feature = "api", any(test, feature = "fuzzing")))]
#[doc(hidden)]
pub mod fuzzing;
pub mod limits;
pub mod memory;
pub mod network;
pub mod node;
pub mod publish;
pub mod serve;
pub mod store;
pub mod transfer;

pub use pelago_content as content;

/// What `benches/` measures inside of the library.
#[cfg(feature = "benchmarks")]
#[doc(hidden)]
pub mod benchmarks {
    pub use crate::transfer::schedule;
}
