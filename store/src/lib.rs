//! Everything that a node stores: shares, trees, manifests, downloads under way, known peers and
//! publications.
//!
//! Owns everything in the data folder except the configuration, and the `.part` files beside the
//! targets of downloads. Never uses the network, and never decides who may know about content. All
//! functions block, so callers use `spawn_blocking`. Each operation has its own error enum; damaged
//! files never cause a panic.
//!
//! Later files in this table build on earlier ones; there is no circle among them.
//!
//! | file | contents |
//! |---|---|
//! | `byte_size`, `time_span`, `escape` | sizes, times, names and paths as they are shown to people |
//! | `clock` | the time of the system's clock |
//! | `files`, `dir`, `file_system` | files, directories and file systems, by platform |
//! | `disk_space`, `write_failure` | the reserve on each disk; remedies of failed writes |
//! | `fingerprint`, `writers` | whether a file has changed, and whether a program writes to it |
//! | `data_layout`, `lock`, `format` | the data folder: its names, its lock, its version |
//! | `permissions`, `set_aside`, `identity` | its privacy, its damaged files, the key of the node |
//! | `network_keys` | the keys of a private network |
//! | `user_file` | the user, and the keys that a passphrase seals |
//! | `database`, `sparse`, `catch_panic` | the embedded database, in a file or in memory |
//! | `share`, `members`, `share_states` | shares, members of shared folders, their states |
//! | `share_tables`, `share_log` | the rows of shares, and their second copy |
//! | `share_feed` | what changed in what is shared, until it is announced or withdrawn |
//! | `salvage`, `recovery` | what can be recovered from a damaged database |
//! | `side_files`, `trees`, `manifests` | files named by hashes: stored trees and manifests |
//! | `hashing`, `chunk_source`, `open_files` | files to hashes, chunks with proofs, open files |
//! | `name_index`, `provider_keys`, `peers` | indexes of names and keys; known peers |
//! | `mounts`, `saved_value`, `saved_values` | devices of watched folders, and other small values |
//! | `mount_table`, `remote_disks` | mounted file systems, and calls to those that may hang |
//! | `downloads`, `receipts`, `received` | the list of downloads, and what they put in place |
//! | `handle` | [`Store`]: all of these parts together |
//! | `verbs` | the operations of a store, one subject a file |
//! | `partial`, `unfinished_downloads` | downloads under way, and how their files are recognised |
//! | `folders`, `ignores`, `new_file` | sharing folders; files dropped on the page |
//! | `cache` | the cache of the gateway |

mod byte_size;
mod cache;
mod catch_panic;
mod chunk_source;
mod clock;
mod data_layout;
mod database;
mod dir;
mod disk_space;
mod downloads;
pub mod durable;
mod escape;
mod file_system;
mod files;
mod fingerprint;
mod folders;
mod format;
#[doc(hidden)]
pub mod fuzzing;
mod group_rows;
mod handle;
mod hashing;
mod identity;
mod ignores;
mod lock;
mod manifests;
mod members;
mod mount_table;
mod mounts;
mod name_index;
mod network_keys;
mod new_file;
mod open_files;
mod partial;
mod peers;
mod permissions;
mod provider_keys;
mod receipts;
mod received;
mod recovery;
mod remote_disks;
mod salvage;
mod saved_uploads;
mod saved_value;
mod saved_values;
mod set_aside;
mod share;
mod share_feed;
mod share_log;
mod share_states;
mod share_tables;
mod side_files;
mod sparse;
#[cfg(test)]
mod testing;
mod time_span;
mod trees;
mod unfinished_downloads;
mod unlisted;
mod user_file;
mod verbs;
mod write_failure;
mod writers;

pub use byte_size::ByteSize;
pub use cache::{Cache, Discarded};
pub use chunk_source::{ChunkRead, MAX_CHUNK_LEVEL, ReadError};
pub use clock::{unix_now, unix_now_ms};
pub use database::{DatabaseError, DatabaseState, decode_row, examine_database};
pub use disk_space::{Disk, DiskSpace, OnDisk, Shortage, Writer};
pub use escape::{Printable, escaped, is_unsafe, quoted, shown};
pub use fingerprint::{Comparison, Fingerprint};
pub use folders::{
    FolderError, FolderOptions, LeftOut, MadeFolder, NewFolder, Unsupported, hash_folder,
};
pub use group_rows::{GroupRow, Known};
pub use handle::{OpenError, Store};
pub use hashing::{HashError, Hashed, hash_file};
pub use identity::{IdentityError, load_existing, load_or_create};
pub use ignores::{IGNORE_FILE, Ignores};
pub use lock::{DataFolder, LockError};
pub use manifests::ManifestsError;
pub use members::{Member, MemberState};
pub use mount_table::{MountPoint, MountTable};
pub use mounts::{FileSystemAt, Presence};
pub use network_keys::{
    network_key_file, read_network_keys, remove_network_keys, write_network_keys,
};
pub use new_file::{NewFile, NewFileError};
pub use partial::{
    Difference, Differences, Ending, FinishError, FinishOptions, Finished, FinishedFolder,
    InvalidLinks, LinkOmission, Links, MAX_LISTED_DIFFERENCES, Partial, PartialError,
    PartialFolder, PartialSpec, Proceed, Receipt, RemoveError, Selection, SelectionError,
    WriteError,
};
pub use peers::KnownPeer;
pub use recovery::{Recovery, named};
pub use saved_uploads::{SavedUpload, SavedUploads};
pub use set_aside::files_set_aside;
pub use share::{NewShare, Origin, Scope, Scopes, Share};
pub use share_feed::{ShareChanges, ShareFeed, TakenChanges};
pub use share_states::{Inspection, ShareState};
pub use share_states::{is_gone, is_missing};
pub use time_span::TimeSpan;
pub use trees::TreeError;
pub use unfinished_downloads::UnfinishedDownloads;
pub use user_file::{
    InvalidPassphrase, MAX_PASSPHRASE_LEN, MemoryCost, Passphrase, SealedUser, SealingKey,
    UnlockedUser, UserFile, UserFileError, key_files,
};
pub use verbs::{
    Collected, Cursor, Exclusion, GroupChange, LostShare, PIECE_BLOCKS, Page, Progress,
    RecoveryError, ShareError, Unavailable, WholeContent,
};
pub use write_failure::cause as why_not_written;
pub use writers::Writers;
