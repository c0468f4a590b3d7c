//! The shares of a node: calls that need a store and no network. All of them block.

mod error;
mod list;
mod select;
mod share;
mod shared;
mod unshare;

pub use error::{ShareError, UnshareError};
pub(super) use list::each_page;
pub use list::list;
pub use select::links;
pub(super) use select::select_hash;
pub use share::{ShareRequest, follow, share};
pub(super) use share::{hash, hash_unless_known, share_name};
pub use shared::{Shared, group_of};
pub use unshare::{UnshareRequest, unshare};
