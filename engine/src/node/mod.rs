//! The node: connects the modules below it, and offers what people do with a node as calls.
//!
//! [`Node`] is a handle. Every call on it ends, with a value or with an error ([`CodedError`]) that
//! says what was tried and what to do next. Calls that need no network take a store only
//! ([`shares`]).
//!
//! A part of the node (a field of `NodeCore`) is a type that knows neither `NodeCore` nor [`Node`].
//! What the node does with it is in a file of its own.

mod announce;
mod background;
mod being_written;
mod blocking;
mod catalogues;
mod check;
mod core;
mod downloads;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod gauges;
mod groups;
mod handle;
mod health;
mod incoming;
mod known_links;
mod known_peers;
mod limits;
mod link_peers;
mod local_user;
mod metrics;
mod not_a_member;
mod open;
mod own_groups;
mod peer_names;
mod peers;
mod poll_catalogues;
mod read;
mod recovery;
mod rehash;
mod return_memory;
mod scan;
mod selector;
mod settings;
mod settling;
pub mod share_states;
pub mod shares;
mod sharing;
mod start;
#[doc(hidden)]
pub mod testing;

mod uploads;
mod user_file;
mod watch;
mod web;

pub use being_written::{BeingWritten, FileBeingWritten};
pub use catalogues::{Catalogue, CatalogueOf, Choice, ListError, Listed, Sharer};
pub use check::{CheckEvent, CheckedShare, FoundFile, WrongFile, check_shares};
pub use downloads::{
    DownloadDetail, DownloadError, DownloadRequest, DownloadSource, InvalidTarget, ManageError,
    NewPath, NewPosition, Target,
};
pub use error::CodedError;
pub use groups::{
    DropOutcome, GroupDetail, GroupInfo, InviteInfo, InviteOptions, JoinInfo, JoinStatus,
    MemberInfo, Removed, RequestInfo,
};
pub use handle::{Node, Status};
pub use health::{DiskSpace, Health, Notice, NoticeKind, SystemLimits, WaitingDownload, clock_lag};
pub use incoming::{IncomingError, IncomingFile};
pub use link_peers::InvalidPeers;
pub use local_user::LocalUser;
pub use not_a_member::NotAMember;
pub use open::{ContentInfo, Holder, OpenError, OpenRequest};
pub use peer_names::{InvalidPeerId, PeerChoice};
pub use peers::Peer;
pub use read::{ReadError, ReadRequest, Reading, Stat};
pub use settings::{Mode, Settings};
pub use share_states::UnavailableShares;
pub use shares::{ShareError, ShareRequest, Shared, UnshareError, UnshareRequest};
pub use start::StartError;
pub use watch::{RelyOn, WatchedFolder, WatchedPart};
pub use web::WebError;

pub use crate::{
    duties::{Duty, DutyFailure, DutyState},
    groups::GroupError,
    limits::{InvalidRate, Rate, Rates},
    network::{Closed, InvalidAddress, MovedBytes, PeerAddress},
    serve::{UploadContent, UploadState, UploadStatus},
    store::{
        ByteSize, Difference, Differences, Exclusion, InvalidLinks, InvalidPassphrase,
        LinkOmission, Links, MAX_LISTED_DIFFERENCES, MemoryCost, NewFileError, Passphrase, Scope,
        Scopes, SealedUser, SealingKey, ShareState, Unavailable, UnlockedUser, UserFile,
        UserFileError, is_unsafe, unix_now_ms,
    },
    transfer::{
        Cell, Download, DownloadState, DownloadStatus, Failure, Finished, Follower, Followers,
        Output, SourceState, SourceStatus, WaitReason,
    },
};
