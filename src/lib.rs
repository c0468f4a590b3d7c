//! Pelago: a fully decentralised file-sharing node.
//!
//! All nodes are equal. A node shares files from where they are stored, finds the files of others
//! by hash, and verifies every block before it keeps it. Begin with [`node::Node`]: start one over
//! a [`store::Store`], share files, and download by hash. [`api`] and [`cli`] are features.
//! `docs/ARCHITECTURE.md` shows the modules and which of them may call which.

pub mod access;
#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
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
pub mod transfer;

pub use pelago_content as content;
pub use pelago_store as store;
pub(crate) use pelago_store::durable;

/// The parts of the library that `benches/` measures.
#[cfg(feature = "benchmarks")]
#[doc(hidden)]
pub mod benchmarks {
    pub use crate::transfer::schedule;
}
