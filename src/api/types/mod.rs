//! The JSON types of the API and of `--json`.
//!
//! Counts, bytes and seconds are numbers. Hashes, peer ids and addresses are text. "Any text" marks
//! text that another peer chose: it can be hostile, so escape it before you show it.

/// `Debug` of types with a secret, which shows nothing of it.
macro_rules! hidden {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

mod being_written;
mod check;
mod content;
mod download;
mod downloads;
mod error;
mod events;
mod gateway;
mod groups;
mod health;
mod limits;
mod lists;
mod log;
mod node;
mod open;
mod settings;
mod share_states;
mod shares;
mod sign_in;
mod uploads;
mod user;
mod web;

pub use being_written::{BeingWritten, FileBeingWritten, FileWritten};
pub use check::{CheckEvent, CheckedShare, FoundFile, WrongFile};
pub use content::{Choice, Hashed, Kind, Listed, Shared, Sharer};
pub use download::{DownloadEvent, DownloadRequest, DownloadStatus, Finished, Output};
pub use downloads::{
    Difference, Differences, DownloadDetail, DownloadSource, Followers, LinkPolicy, OrderChange,
    PauseQuery, QueuePosition, RemoveQuery, ResumeQuery, Waiting,
};
pub use error::{ErrorInfo, Failure, Problem};
pub use events::{DownloadRemoved, EventsQuery, Hello, PeerRemoved, Ready, ShareRemoved};
pub use gateway::{Gateway, GatewayQuery};
pub use groups::{
    DropOutcome, DropQuery, Group, GroupDetail, GroupInvite, GroupMember, GroupNameRequest,
    GroupRemoved, GroupRequest, GroupRole, GroupUser, InviteMode, InviteRequest, Join, JoinRemoved,
    JoinRequest, JoinStatus, MembersRemoved, NewInvite, QrRequest, RemoveMembersQuery,
};
pub use health::{
    DiskSpace, Duty, Health, Notice, SystemLimits, UnreadFile, WaitingDownload, WatchedFolder,
    WatchedPart,
};
pub use limits::{Limits, LimitsChange};
pub use lists::{CatalogueQuery, ListQuery};
pub use log::{LogLevel, LogLine, LogQuery};
pub use node::{NatKind, OwnAddress, Peer, Reach, ReachState, Status, Way};
pub use open::{ContentInfo, Holder, OpenRequest};
pub use settings::{OriginKind, Setting, SettingKind, SettingOrigin, SettingsChange};
pub use share_states::{ExcludedPath, ShareState, UnavailableShare, UnavailableShares};
pub use shares::{Added, LinksQuery, QrQuery, ShareEvent, ShareRequest, UnshareQuery};
pub use sign_in::{Code, CodeQuery, Run, Session, SignIn};
pub use uploads::{Upload, UploadRemoved};
pub use user::{
    ExportedUser, Login, NewUser, PassphraseChange, User, UserImport, UserName, UserState,
    UserStatus,
};
pub use web::{ReceivedFile, WebLink, WebLinkRequest};
