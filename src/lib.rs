//! Pelago: a fully decentralised file-sharing node.
//!
//! All nodes are equal. A node shares files from where they are stored, finds the files of others
//! by hash, and verifies every block before it keeps it. Begin with [`node::Node`]: start one over
//! a [`store::Store`], share files, and download by hash. [`api`] and [`cli`] are features.
//! `docs/ARCHITECTURE.md` shows the modules and which of them may call which.

#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
#[cfg(all(feature = "api", any(test, feature = "fuzzing")))]
#[doc(hidden)]
pub mod fuzzing;

pub use pelago_content as content;
pub use pelago_engine::{duties, limits, memory, network, node, transfer};
pub use pelago_store as store;
pub(crate) use pelago_store::durable;
