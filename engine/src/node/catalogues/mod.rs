//! The catalogues of other nodes: of one peer, of all peers in reach, and which peers share a given
//! name.

mod cache;
mod fetch;
mod find;
mod listed;
mod merge;
mod remembered;

pub(super) use cache::CatalogueCache;
pub use cache::CatalogueOf;
pub(super) use find::{NameSearch, find_name, of_connected, of_group, of_network, of_peer};
pub use listed::{Catalogue, Choice, ListError, Listed, Sharer};
pub(super) use remembered::{of as remembered, remember};
