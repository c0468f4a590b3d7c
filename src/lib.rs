//! Pelago: a fully decentralised file-sharing node.
//!
//! Every node is equal: it shares files from where they lie, finds others' by hash, and proves
//! every block before it keeps it. Embed one with [`node`]; [`api`] and [`cli`] are features.

#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod node;
pub mod store;
