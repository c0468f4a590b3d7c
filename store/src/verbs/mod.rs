//! The operations of a store: `impl Store`, one subject a file.
//!
//! The parts that a store holds (`handle`) name neither the store nor these files, so that each
//! part can be read and tested alone. An operation that changes several parts, and keeps them
//! consistent, is here.

mod collect;
mod confirm;
mod downloads;
mod exclusions;
mod groups;
mod hashing;
mod known;
mod locations;
mod manifests;
mod members;
mod mounts;
mod offered;
mod peer_names;
mod peers;
mod pieces;
mod provider_keys;
mod publications;
mod reading;
mod receipts;
mod received;
mod recovery;
mod search;
mod share_states;
mod shares;
mod unlisted;
mod uploads;

pub use self::{
    collect::Collected,
    exclusions::Exclusion,
    groups::GroupChange,
    offered::WholeContent,
    pieces::PIECE_BLOCKS,
    reading::Progress,
    recovery::{LostShare, RecoveryError},
    share_states::Unavailable,
    shares::{Cursor, Page, ShareError},
};
