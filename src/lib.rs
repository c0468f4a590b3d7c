//! Pelago: a fully decentralised file-sharing node.
//!
//! All nodes are equal. A node shares files from where they are stored, finds the files of others
//! by hash, and verifies every block before it keeps it. Begin with [`Node`]: start one over a
//! [`Store`], share files, and download by hash. The local HTTP API is `api`, under its feature.
//!
//! This root names all that applications may use. The crates below it are not an interface: they change
//! without notice. Addresses, peer ids and keys are libp2p's, so an application that has libp2p itself
//! needs the same version.
//!
//! `docs/ARCHITECTURE.md` shows the modules and which of them may call which.

#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "cli")]
mod cli;
// Files, variables and flags are read by the command line alone.
#[cfg(feature = "api")]
#[cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]
mod config;
#[cfg(all(feature = "api", any(test, feature = "fuzzing")))]
#[doc(hidden)]
pub mod fuzzing;

#[doc(hidden)]
#[cfg(feature = "cli")]
pub use cli::main;
pub use libp2p::{Multiaddr, PeerId, identity::Keypair};
#[doc(inline)]
pub use pelago_behaviour::{
    InvalidNetworkKey, InvalidNetworkName, NetworkKey, NetworkKeys, TooManyKeys, TransportError,
};
#[doc(inline)]
pub use pelago_content::{
    BlockRanges, Chunk, Descriptor, DescriptorError, EntryKind, Geometry, Hash, HashError, Kind,
    Link, LinkError, Listing, ListingError, MAX_SIZE, Manifest, ManifestEntry, ManifestError,
    OutOfRange, ProofError, RangesError, Sequence, Totals,
};
#[doc(inline)]
pub use pelago_engine::node::{
    BeingWritten, Catalogue, CatalogueOf, Cell, CheckEvent, CheckedShare, Choice, Closed,
    CodedError, ContentInfo, Difference, Differences, DiskSpace, Download, DownloadDetail,
    DownloadError, DownloadRequest, DownloadSource, DownloadState, DownloadStatus, DropOutcome,
    Duty, DutyFailure, DutyState, Exclusion, Failure, FileBeingWritten, Finished, Follower,
    Followers, FoundFile, GroupDetail, GroupError, GroupInfo, Health, Holder, IncomingError,
    IncomingFile, InvalidAddress, InvalidLinks, InvalidPeerId, InvalidPeers, InvalidRate,
    InvalidTarget, InviteInfo, InviteOptions, JoinInfo, JoinStatus, LinkOmission, Links, ListError,
    Listed, LocalUser, ManageError, MemberInfo, Mode, MovedBytes, NewFileError, NewPath,
    NewPosition, Node, NotAMember, Notice, NoticeKind, OpenError, OpenRequest, Output, Peer,
    PeerAddress, PeerChoice, Rate, Rates, ReadError, ReadRequest, Reading, RelyOn, Removed,
    RequestInfo, Settings, ShareError, ShareRequest, ShareState, Shared, Sharer, SourceState,
    SourceStatus, StartError, Stat, Status, SystemLimits, Target, Unavailable, UnavailableShares,
    UnshareError, UnshareRequest, UploadContent, UploadState, UploadStatus, WaitReason,
    WaitingDownload, WatchedFolder, WatchedPart, WebError, WrongFile,
};
#[doc(inline)]
pub use pelago_engine::{
    duties::Duties,
    network::{
        ConnectError, NatKind, OwnAddress, ReachReport, ReachState, RelayService,
        StartError as NetworkStartError, TransportKind, UnreachedNode, Way,
    },
    transfer::{
        ChangeError, LoadError, NoHolder, NotKept, ReadError as TransferReadError, TransferError,
        UnfoldError,
    },
};
#[doc(inline)]
pub use pelago_groups::{
    GroupId, GroupLink, GroupLinkError, InvalidKey, InvalidName, InviteKey, InviteMode, Name, Role,
    Secret, UserKey,
};
#[doc(inline)]
pub use pelago_store::{
    ChunkRead, Collected, Comparison, Cursor, DataFolder, DatabaseError,
    DiskSpace as StoreDiskSpace, Ending, Fingerprint, FinishError, FinishOptions,
    Finished as StoreFinished, FinishedFolder, FolderError, FolderOptions,
    HashError as FileHashError, Hashed, Inspection, KnownPeer, LeftOut, LockError, LostShare,
    MAX_CHUNK_LEVEL, MAX_LISTED_DIFFERENCES, MadeFolder, ManifestsError, Member, MemberState,
    NewFolder, NewShare, OnDisk, OpenError as StoreOpenError, Origin, Page, Partial, PartialError,
    PartialFolder, PartialSpec, Presence, Proceed, Progress, ReadError as StoreReadError, Receipt,
    RecoveryError, RemoveError, Scope, Scopes, SelectionError, Share,
    ShareError as StoreShareError, ShareFeed, Shortage, Store, TakenChanges, TreeError,
    Unsupported, WriteError, Writer,
};

// Short names for the crates below.
#[cfg(feature = "cli")]
use pelago_engine::memory;
#[cfg(any(feature = "cli", feature = "fuzzing"))]
use pelago_store as store;
#[cfg(feature = "api")]
use {
    pelago_content as content,
    pelago_engine::{limits, node},
    pelago_store::durable,
};
