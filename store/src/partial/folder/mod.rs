//! The download of a folder: its files, each proven by its own hash, in one staging directory.
//!
//! Owns which blocks of the folder's sequence are verified, and which files are open. A small file
//! is written whole and has no record: its hash shows after a crash whether it is whole. A large
//! file is a [`Partial`] with a record of its own. Content that occurs twice in the folder, or
//! anywhere else on this node, is fetched once or not at all.
//!
//! | file | owns |
//! |---|---|
//! | `download` | the folder while it is downloaded, for those who read it |
//! | `progress` | how far each file is |
//! | `begin` | the start: which folders are refused, and the earlier run |
//! | `selection` | which files are wanted |
//! | `files` | the files of the folder: which are wanted, which repeat others |
//! | `file_system`, `probe` | what a file system supports, and how that is found out |
//! | `local_names` | other names for those that a file system cannot hold |
//! | `links` | which symbolic links are created |
//! | `local_paths`, `differences` | the path of each entry on this disk; how paths differ |
//! | `staging` | the staging directory and the target, and every write to them |
//! | `prove` | content that is here already, from an earlier run or another share |
//! | `write` | verified chunks to files |
//! | `complete` | everything that needs no fetching |
//! | `finish`, `share` | the end: the folder at its target, shared |
//! | `cancel` | removes an unfinished download |
//! | `remove` | removes a finished one |
//! | `cleanup`, `executable` | empty directories, and files that may be run |

mod begin;
mod cancel;
mod cleanup;
mod complete;
mod differences;
mod download;
mod executable;
mod file_system;
mod files;
mod finish;
mod links;
mod local_names;
mod local_paths;
mod probe;
mod progress;
mod prove;
mod remove;
mod selection;
mod share;
mod staging;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use self::download::Held;
pub(super) use self::{cancel::remove_staged, file_system::FileSystem, remove::PlacedFolder};
pub use self::{
    differences::{Difference, Differences, MAX_LISTED_DIFFERENCES},
    download::PartialFolder,
    finish::FinishedFolder,
    links::{InvalidLinks, LinkOmission, Links},
    selection::{Selection, SelectionError},
};
