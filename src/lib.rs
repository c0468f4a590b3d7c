//! Pelago: a fully decentralised file-sharing node.
