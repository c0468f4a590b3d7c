//! Pelago: a fully decentralised file-sharing node.
//!
//! [`node::Node`] is the way in: start one over a [`store::Store`], share files, download by hash. The
//! rooms and who may call whom are drawn in `docs/ARCHITECTURE.md`.

pub mod access;
pub mod network;
pub mod node;
pub mod publish;
pub mod serve;
pub mod store;
pub mod transfer;

pub use pelago_content as content;
