//! A download under way: verified blocks in `<target>.part`, and a record that proves them.
//!
//! Owns the `.part` file, the record in the data folder, and what is known to be verified. Never
//! fetches anything, never writes a byte that has not verified, and allocates nothing in
//! proportion to a claimed size. Each operation's failures leave as an enum of its own.
//!
//! The record is the tree itself, not rows of a database: a node is written after the data it
//! proves, so `kill -9` loses only what was not verified, and a download of one block costs no
//! fsync. On resume the recorded siblings are the proof of the data on disk, by the same function
//! that verifies a peer's; whatever a crash or a power loss has torn simply does not verify and is
//! missing.
//!
//! | file | owns |
//! |---|---|
//! | `spec` | what is downloaded and where to, and the page that says so |
//! | `record` | the page and the tree, on disk or in memory; which downloads exist |
//! | `part_file` | the file that grows: its name, and that it is ours |
//! | `mark` | the attribute by which our own are known |
//! | `foreign` | whether somebody else writes to it |
//! | `zeros` | content to a file, with holes for zeros |
//! | `opened` | the two files of a download, closed and opened again where there are many |
//! | `download` | a download: verify, write, serve |
//! | `resume` | proving again what an earlier run recorded |
//! | `write_out` | what was verified, made durable while the download goes on |
//! | `runs` | what is verified, for whoever reads it while it grows |
//! | `ending` | the point of no return between being stopped and being done |
//! | `finish` | the end: at the target |
//! | `abandon` | the other end: nothing is left |
//! | `remove` | removes what was put in place; the receipt that this needs |
//! | `folder` | the same of a folder: a tree of files |

mod cancel;
mod download;
mod ending;
mod finish;
mod folder;
mod holes;
mod mark;
mod open_parts;
mod part_file;
mod reading;
mod record;
mod removal;
mod resume;
mod spec;
mod tampering;
#[cfg(test)]
mod tests;
mod write_out;

pub use download::{Partial, PartialError, WriteError};
pub use ending::Ending;
pub use finish::{FinishError, FinishOptions, Finished};
pub(super) use folder::Held;
pub use folder::{
    Difference, Differences, FinishedFolder, InvalidLinks, LinkOmission, Links,
    MAX_LISTED_DIFFERENCES, PartialFolder, Selection, SelectionError,
};
#[cfg(any(target_os = "linux", target_os = "macos"))]
pub(super) use mark::ATTRIBUTE as MARK;
pub(super) use record::PARTIAL_FOLDER;
pub(super) use record::Partials;
pub use removal::{Receipt, RemoveError};
pub use spec::PartialSpec;
#[cfg(all(feature = "api", any(test, feature = "fuzzing")))]
pub(super) use spec::fuzz_record;
