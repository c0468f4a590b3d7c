//! Reading content while it is fetched.
//!
//! | file | owns |
//! |---|---|
//! | `reader` | one reader: it gets what is here, and waits for what must be fetched |
//! | `lookup` | what a reader looks for: a descriptor, a manifest, or a piece of a file |
//! | `fetch` | how content is fetched for a reader, and the cache that it goes to |
//! | `fetches` | the contents that are fetched for readers only |
//! | `windows` | which blocks the readers of one download want next |
//! | `read_ahead` | how far ahead of all readers content is fetched |

mod fetch;
mod fetches;
mod lookup;
mod read_ahead;
mod reader;
mod windows;

pub use self::fetch::ReadRequest;
pub(super) use self::fetches::Fetches;
pub use self::lookup::ReadError;
pub use self::reader::Reader;
pub(super) use self::windows::{ReadWindows, Window};
