//! Downloads on disk: verified blocks in a part file, and a record that proves them.
//!
//! Owns part files and staging directories, the records in the data folder, and which blocks are
//! verified. Never fetches anything, never writes a byte that does not verify, and allocates
//! nothing in proportion to a claimed size. The failures of each operation are an enum of its own.
//!
//! # A file on disk
//!
//! The download of a file to `NAME` has two files:
//!
//! | path | content |
//! |---|---|
//! | `NAME.part` | the content, locked, of its final length from the start, with holes |
//! | `partial/<hash>` in the data folder | the record: a page, then proven nodes of the tree |
//!
//! The *page* (`page`) holds target, name, scopes and options, the id of the download, and the path
//! of the part file. The *nodes* (`record`) are at the offsets of the full tree; a node that is not
//! proven yet is a hole. A node is written after the data that it proves, so the record is never
//! ahead of the data. When a download resumes, the recorded siblings prove the data, by the
//! function that verifies chunks of peers. Progress is stored nowhere else, and no recorded state
//! is trusted unproven.
//!
//! The *mark* (`mark`) is the extended attribute `user.pelago.part` on everything that a download
//! creates: the id of the download and the hash of the content. A file without the mark is never
//! touched: if it is in the way, the part file becomes `NAME.2.part`. Without extended attributes,
//! the record and one block that it proves decide.
//!
//! # A folder on disk
//!
//! The download of a folder to `NAME` is assembled in the *staging directory* `NAME.part/`, which
//! is marked and locked. Each file has its own path in it from the start:
//!
//! | file | written | record |
//! |---|---|---|
//! | up to 256 KiB | whole, or chunk by chunk with a mark | none: its hash proves it |
//! | larger | as a part file without a suffix, marked | `partial/<folder>-<file>` |
//!
//! `partial/<folder>` has a page and no nodes. The manifests of the folder are in `manifests/`.
//!
//! # The end
//!
//! | step | a file | a folder |
//! |---|---|---|
//! | 1 | sync the data | create empty files, repeats and links, then sync |
//! | 2 | prove what another program may have changed | the same, and unmark the files |
//! | 3 | keep the tree in `trees/`, to share the file | |
//! | 4 | pass the point of no return ([`Ending`]) | the same |
//! | 5 | keep a receipt in `receipts/` | the same, and the changed names in `received/` |
//! | 6 | rename it to `NAME`, remove the mark | the same, or move its files into `NAME` |
//! | 7 | share it and remove the record | the same |
//!
//! # What a crash leaves
//!
//! | the process ends | on disk | the next run |
//! |---|---|---|
//! | before a chunk's nodes are written | data without nodes | fetches the chunk again |
//! | after that | data and nodes | proves the chunk and keeps it |
//! | while a small file is written | a short or wrong file, marked if over 4 KiB | replaces it |
//! | before step 6 | everything under `NAME.part` | proves it, and repeats the end |
//! | during step 6, moving files | some files at the target | finds them there by their hashes |
//! | after step 6 | `NAME`, and a record or a mark | finds `NAME` whole, and removes the record |
//!
//! After a power cut, data or nodes since the last sync (`write_out`) may be lost as well. They do
//! not verify, so they are fetched again. If a sync fails, the record notes it, and the next run
//! writes everything that it proves once more.
//!
//! # Inside
//!
//! The module is part of `store` because both need each other: the store serves chunks from running
//! downloads, and a finished download becomes a share. The line between them runs inside: no type
//! here holds a [`Store`](crate::Store). Downloads hold a `Workspace`, and the verbs that
//! need a store (`begin`, `finish`, `cancel`, `lookup`) take it as an argument.
//!
//! | file | owns |
//! |---|---|
//! | `partials` | the running downloads of one store |
//! | `workspace` | what all downloads of one store share |
//! | `reservations` | that a download runs once |
//! | `spec` | what is downloaded, and where to |
//! | `page`, `record`, `records` | the page of a record; its nodes; all records |
//! | `earlier_run` | the state that an earlier run left |
//! | `part_name`, `part_file`, `part_opener` | part files: names, marks, and which one is used |
//! | `mark` | the attribute on everything that a download creates |
//! | `open_parts` | part file and record, closed and opened again where there are many |
//! | `tampering` | whether another program writes to a part file |
//! | `holes` | writes content, with holes for zeros |
//! | `begin` | the start of a download |
//! | `copy` | copies what a share of this node has |
//! | `proof`, `resume` | proves data by recorded nodes; does so for an earlier run |
//! | `download` | a running download: verifies and writes chunks |
//! | `reading` | reads verified blocks |
//! | `write_out` | makes verified content durable meanwhile |
//! | `ending` | the point of no return between stopping and being done |
//! | `finish` | the end of a download |
//! | `cancel` | removes what a download left |
//! | `removal`, `receipt` | removes what a download put in place; what that needs |
//! | `lookup` | which downloads the store knows |
//! | `error` | why a download fails |
//! | `folder` | the download of a folder |

mod begin;
mod cancel;
mod copy;
mod download;
mod earlier_run;
mod ending;
mod error;
mod finish;
mod folder;
mod holes;
mod lookup;
mod mark;
mod open_parts;
mod page;
mod part_file;
mod part_name;
mod part_opener;
mod partials;
mod proof;
mod reading;
mod receipt;
mod record;
mod records;
mod removal;
mod reservations;
mod resume;
mod spec;
mod tampering;
#[cfg(test)]
mod tests;
mod workspace;
mod write_out;

pub use download::Partial;
pub use ending::Ending;
pub use error::{FinishError, PartialError, WriteError};
pub use finish::{FinishOptions, Finished};
pub(super) use folder::Held;
pub use folder::{
    Difference, Differences, FinishedFolder, InvalidLinks, LinkOmission, Links,
    MAX_LISTED_DIFFERENCES, PartialFolder, Selection, SelectionError,
};
#[cfg(any(target_os = "linux", target_os = "macos"))]
pub(super) use mark::ATTRIBUTE as MARK;
pub(super) use page::fuzz_record;
pub(super) use partials::Partials;
pub use receipt::Receipt;
pub use removal::{Proceed, RemoveError};
pub use spec::PartialSpec;
pub(super) use spec::cache_owner;
