//! Reading content while it is fetched.
//!
//! | file | owns |
//! |---|---|
//! | `reader` | one reader, and the order in which it is given what is here and what is fetched |
//! | `fetches` | content that is fetched for readers only |
//! | `windows` | which blocks the readers of one download want next |
//! | `read_ahead` | how far ahead of all readers content is fetched |

mod fetches;
mod read_ahead;
mod reader;
mod windows;

pub(super) use self::fetches::Fetches;
pub use self::fetches::ReadRequest;
pub use self::reader::{ReadError, Reader};
pub(super) use self::windows::{ReadWindows, Window};
