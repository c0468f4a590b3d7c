//! Decides who may do what with which content. Every request of a peer passes this module.
//!
//! A request comes with the authenticated id of the peer. The answer is yes or no, and a peer
//! cannot tell a no from content that is not here. The store keeps a set of scopes for all content;
//! this module alone decides what a scope allows.

use libp2p::PeerId;
use pelago_content::Hash;

use crate::store::{DatabaseError, Scope, Scopes, Share, Store};

/// What a peer wants to do with content, or what this node wants to do with it for the whole
/// network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Receive chunks.
    Fetch,
    /// Learn which blocks are here, after proving knowledge of the hash.
    Availability,
    /// Learn which blocks are here, without that proof.
    ListedAvailability,
    /// See it in the catalogue.
    List,
    /// Publish a provider record.
    Announce,
}

/// Decides what peers may do with content.
#[derive(Clone)]
pub struct Access {
    store: Store,
}

impl Access {
    /// Decides by the scopes in `store`.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Whether `requester` may do `action` with the content `hash`. Blocks on the database.
    ///
    /// # Errors
    /// The database cannot be read. Callers treat that as a no.
    pub fn decide(
        &self,
        _requester: &PeerId,
        action: Action,
        hash: &Hash,
    ) -> Result<bool, DatabaseError> {
        let scopes = self.store.scopes(hash)?;
        Ok(scopes.is_some_and(|scopes| permits(&scopes, action)))
    }

    /// Whether `requester`, which does `action` with content, may learn the name that the content
    /// has in `scopes`.
    #[must_use]
    pub fn tells(&self, _requester: &PeerId, action: Action, scopes: &Scopes) -> bool {
        permits(scopes, action)
    }

    /// Whether `requester` may see `share` in a catalogue. Only the scopes of this share count:
    /// another share of the same content reveals its own name, not this one.
    #[must_use]
    pub fn lists(&self, _requester: &PeerId, share: &Share) -> bool {
        permits(&share.scopes, Action::List)
    }
}

/// Whether one of the scopes allows `action` to every peer.
#[must_use]
pub fn permits(scopes: &Scopes, action: Action) -> bool {
    scopes.iter().any(|scope| allows(scope, action))
}

/// Whether a scope allows `action` to every peer.
fn allows(scope: Scope, action: Action) -> bool {
    match scope {
        Scope::Everyone => true,
        // A peer that knows the hash may have the content. This node reveals the hash to none.
        Scope::Unlisted => matches!(action, Action::Fetch | Action::Availability),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlisted_content_is_served_by_hash_and_never_listed_or_announced() {
        assert!(allows(Scope::Unlisted, Action::Fetch));
        assert!(allows(Scope::Unlisted, Action::Availability));
        assert!(!allows(Scope::Unlisted, Action::ListedAvailability));
        assert!(!allows(Scope::Unlisted, Action::List));
        assert!(!allows(Scope::Unlisted, Action::Announce));
    }
}
