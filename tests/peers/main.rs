//! What peers can do to a node, and how the node reacts: tests with real nodes on loopback.
//!
//! Liars are real libp2p nodes that send the bytes that a test chooses ([`scripted`]). Honest peers
//! are [`pelago::Node`]s, or scripted nodes that answer correctly, where a test needs to see
//! the requests.

#![allow(clippy::unwrap_used, reason = "all of it is tests and their helpers")]

mod capture;
mod circuits;
mod content;
mod crowd;
mod dials;
mod dishonest;
mod distance;
mod folders;
mod group_known;
mod group_members;
mod group_partitions;
mod group_privacy;
mod group_scopes;
mod groups;
mod hoard;
mod hostile;
mod limits;
mod listing;
mod misnamer;
mod networks;
mod nodes;
mod printed;
mod providers;
mod raw;
mod relay;
mod scattered;
mod scopes;
mod scripted;
mod secrets;
mod serving;
mod silence;
mod slow;
mod sources;
mod tree;
mod verbs;
mod waiting;
mod wrong_files;
