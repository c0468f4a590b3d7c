//! Who belongs to a group: users, the statements that they sign, and the roster that follows.
//!
//! Everything here is pure: no I/O, no clock, no random numbers. Bytes, keys and seeds come in, and
//! values go out. Each operation that can fail has its own error enum; nothing panics on data from a
//! peer.
//!
//! | word | meaning |
//! |---|---|
//! | user | a person: an Ed25519 key, whose statement names the person's nodes |
//! | statement | what one author signs; it fills one slot, and the greatest in a slot wins |
//! | root | the user who founded a group; the group's id certifies that |
//! | owner | a user who decides with the root who is in |
//! | held | the statements of a group that a node keeps: a function of the root's entries |
//! | roster | who is in: a function of what is held |
//! | invite | a key whose seed is in a link; who has the seed may ask to join |
//!
//! There is no log and no order between statements of different authors. Two nodes that have seen the
//! same statements, in any order and any number of times, have the same roster:
//!
//! ```
//! use pelago_groups::{Held, Name, Roster, Secret, UserKey, acts};
//!
//! let anna = Secret::<UserKey>::from_seed([1; 32]);
//! let bert = Secret::<UserKey>::from_seed([2; 32]);
//! let founding = acts::found(&anna, &"family".parse::<Name>()?, [7; 16]);
//! let mut held = Held::new(founding.group().expect("the statement founds a group"));
//! held.merge([founding.clone()]);
//!
//! let admission = acts::admit(&held, &anna, bert.key(), None)?;
//! held.merge([admission.clone()]);
//! assert!(Roster::of(&held).is_in(&bert.key()));
//!
//! let mut other = Held::new(held.group());
//! other.merge([admission, founding]);
//! assert_eq!(other.digest(), held.digest());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod acts;
mod group_id;
mod held;
mod join;
mod keys;
mod link;
mod name;
mod rendezvous;
mod roster;
mod statement;

pub use group_id::GroupId;
pub use held::{Digest, Held, MAX_AUTHORS, MAX_ENTRIES, MAX_PROFILES, Merged};
pub use join::{InvalidJoin, JoinRequest, Judgement, Refusal, judge};
pub use keys::{InvalidKey, InviteKey, NodeKey, SIGNATURE_LEN, Secret, UserKey, consent_message};
pub use link::{GroupLink, GroupLinkError};
pub use name::{InvalidName, Name};
pub use rendezvous::{Neighbour, NodeSecret};
pub use roster::{Invite, MAX_MEMBERS, MAX_OWNERS, Member, Role, Roster};
pub use statement::{
    Body, Entry, Founding, InvalidStatement, InviteMode, Leave, MAX_MESSAGE, MAX_NODES, MAX_NUMBER,
    MAX_STATEMENT, MintedInvite, NodeConsent, Ownership, Request, Slot, Statement, StatementId,
    UserProfile,
};
