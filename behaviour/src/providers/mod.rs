//! The store of provider records: the keys that this node provides, and those that other nodes
//! announced to it.
//!
//! The library's memory store counts both together, so that strangers could use up the space for
//! our own keys. Here they are separate: our own keys are a set of 32 bytes each, shared with the
//! publisher, and records are made of them on request. Strangers' records have quotas in bytes and
//! in number, by where they come from, so that no peer can fill the store or push others off a
//! key.
//!
//! Value records are not part of Pelago, and are always refused.

mod key_quotas;
mod own_keys;
mod packed;
mod records;
mod store;
#[cfg(test)]
mod tests;
mod usage;

pub use own_keys::{OwnKeys, record_key};
pub use records::{MAX_BYTES, MAX_PROVIDERS_PER_KEY, MAX_RECORDS, MAX_RECORDS_PER_HOST};
pub use store::{Announcer, ProviderStore};
