//! Pelago: a fully decentralised file-sharing node.

pub mod store;
