//! The store of provider records: which keys we provide, and who else told us that it provides some.
//!
//! The library's memory store counts both together, so that strangers could use up the room for our
//! own keys. Here they are apart: our own keys are a set of 32 bytes each, shared with whoever
//! publishes, out of which records are made when somebody asks. Strangers' records have quotas in bytes and
//! in number, by where they come from, so that nobody can fill the store or push others off a key.
//!
//! Value records are not part of Pelago and always refused.

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
