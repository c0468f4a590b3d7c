//! What a node keeps: shared files, their trees, downloads under way, known peers, publications.
//!
//! Owns everything below the data folder except the configuration, and the `.part` files beside
//! the targets of downloads. Never talks to the network, never decides who may know of what, and
//! never waits on a task: everything here blocks, and callers put it on `spawn_blocking`. Each
//! operation has one error enum of its own; nothing panics on what a disk may hold.
//!
//! | file | owns |
//! |---|---|
//! | `lock` | the data folder, and that one process at a time uses it |
//! | `format` | which version wrote the data folder |
//! | `identity` | the key by which others know this node |
//! | `database`, `sparse`, `catch_panic` | the embedded database: rows of those below |
//! | `share_log` | a second copy of shares, for when the database is damaged |
//! | `salvage`, `recovery` | rows of a damaged database; what is found again, and what is not |
//! | `share`, `shares` | what is shared, where it lies, in which scopes |
//! | `members` | what is in shared folders |
//! | `peers`, `publications` | known peers; when each hash is next announced |
//! | `provider_keys` | which hash belongs to the key that a peer names |
//! | `mounts` | whether a shared folder is there, or its disk is not |
//! | `share_states` | whether what is shared can be had, and why not |
//! | `exclusions` | what a person withdrew from watched folders |
//! | `permissions` | who may look into the data folder |
//! | `peer_names` | which peer a person means by a name |
//! | `saved_value` | small values with files of their own |
//! | `fingerprint` | how a file is known to be unchanged |
//! | `writers` | whether a program has a file open for writing |
//! | `hashing` | files to descriptors, on all cores |
//! | `ignores` | what `.pelagoignore` leaves out of what is shared |
//! | `folders` | directories to manifests: walked, hashed, shared |
//! | `side_files`, `collect` | files named by hashes: written, durable, collected when no row needs them |
//! | `trees`, `manifests` | the stored trees of shared files; the manifests of folders |
//! | `reading`, `open_files` | chunks with their proofs, from shared files, manifests and downloads |
//! | `pieces` | files piece by piece, whatever is here of them |
//! | `partial` | a download under way, and its end |
//! | `received` | folders that lie here other than their manifests say |
//! | `unfinished_downloads` | which files and directories are downloads under way |
//! | `cache` | content that is fetched to be read, and not to be kept |
//! | `downloads` | the list of downloads that the next run goes on with |
//! | `receipts` | what downloads put in place, so that it can be removed later |
//! | `set_aside` | which damaged files were set aside |
//! | `disk_space` | how much of a disk stays free, and who may still write |
//! | `write_failure`, `byte_size` | what a failed write means, and sizes, as people read them |
//! | `new_file` | a file that comes from elsewhere into a shared folder |
//! | `file_system` | what a file system can do |
//! | `dir` | a directory that is held open, and what is in it, never through a link |
//! | `files` | what differs between platforms |
//! | `escape` | names and paths as people may see them |

mod byte_size;
mod cache;
mod catch_panic;
mod chunk_source;
mod data_layout;
mod database;
mod dir;
mod disk_space;
mod downloads;
mod escape;
mod file_system;
mod files;
mod fingerprint;
mod folders;
mod format;
#[cfg(all(feature = "api", any(test, feature = "fuzzing")))]
pub(crate) mod fuzzing;
mod handle;
mod hashing;
mod identity;
mod ignores;
mod lock;
mod manifests;
mod members;
mod mounts;
mod name_index;
mod new_file;
mod open_files;
mod partial;
mod peers;
mod permissions;
mod provider_keys;
mod receipts;
mod received;
mod recovery;
mod salvage;
mod saved_value;
mod saved_values;
mod set_aside;
mod share;
mod share_log;
mod share_states;
mod share_tables;
mod side_files;
mod sparse;
#[cfg(test)]
mod testing;
mod trees;
mod unfinished_downloads;
mod verbs;
mod write_failure;
mod writers;

pub use byte_size::ByteSize;
pub use cache::{Cache, Discarded};
pub use chunk_source::{ChunkRead, MAX_CHUNK_LEVEL, ReadError};
pub use database::{DatabaseError, DatabaseState, examine_database};
pub use disk_space::{Disk, DiskSpace, OnDisk, Shortage, Writer};
pub use escape::{Printable, escaped, is_unsafe, shown};
pub use fingerprint::{Comparison, Fingerprint};
pub use folders::{
    FolderError, FolderOptions, LeftOut, MadeFolder, NewFolder, Unsupported, hash_folder,
};
pub use handle::{OpenError, Store};
pub use hashing::{HashError, Hashed, hash_file};
pub use identity::{IdentityError, key_file, load_or_create};
pub(crate) use ignores::{IGNORE_FILE, Ignores};
pub use lock::{DataFolder, LockError};
pub use manifests::ManifestsError;
pub use members::{Member, MemberState};
pub use mounts::Presence;
pub(crate) use mounts::device;
pub use new_file::{NewFile, NewFileError};
pub use partial::{
    Difference, Differences, Ending, FinishError, FinishOptions, Finished, FinishedFolder,
    InvalidLinks, LinkOmission, Links, MAX_LISTED_DIFFERENCES, Partial, PartialError,
    PartialFolder, PartialSpec, Receipt, RemoveError, Selection, SelectionError, WriteError,
};
pub use peers::KnownPeer;
pub use recovery::{Recovery, named};
pub use set_aside::files_set_aside;
pub use share::{NewShare, Origin, Scope, Scopes, Share};
pub(crate) use share_states::is_gone;
pub use share_states::{Inspection, ShareState};
pub use trees::TreeError;
pub use unfinished_downloads::UnfinishedDownloads;
pub use verbs::{
    Collected, Cursor, Exclusion, LostShare, PIECE_BLOCKS, Page, Progress, RecoveryError,
    ShareError, Unavailable,
};
pub(crate) use write_failure::cause as why_not_written;
pub use writers::Writers;
