//! The groups module: what this node knows of groups, kept equal to what their members know.
//!
//! Each group is one set of signed statements; `pelago_groups` says which are held and who follows to
//! be a member. This module keeps them, exchanges them with peers, holds requests to join, and grants
//! the nodes of members their access. It never decides what a member may do with content: `access`
//! does. Errors of a peer end a stream and nothing else; those of the database reach the caller.

mod answer;
mod ask;
mod batches;
mod error;
mod expected;
mod feed;
mod group;
mod handle;
mod identity;
mod joining;
mod mailbox;
mod metrics;
mod outbox;
mod own_invite;
mod own_join;
mod pace;
mod pass_on;
mod rendezvous;
mod reports;
mod rows;
mod run;
mod syncs;

pub use answer::Answers;
pub use error::{Candidate, GroupError};
pub use group::Group;
pub use handle::Groups;
pub use identity::Identity;
pub use mailbox::HeldRequest;
pub use own_invite::OwnInvite;
pub use own_join::{JoinStatus, OwnJoin};
pub use rendezvous::{KnownNeighbours, Meeting};
pub use run::run;
