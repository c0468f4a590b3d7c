//! What others share: one peer's catalogue, everyone's in reach, and who has something of a name.

mod cache;
mod fetch;
mod find;
mod listed;
mod merge;

pub(super) use cache::CatalogueCache;
pub(super) use find::{find_name, of_connected, of_network, of_peer};
pub use listed::{Catalogue, Choice, ListError, Listed, Sharer};
