//! Who may know of what: the one place that every request is taken to.
//!
//! A request comes with the authenticated id of the peer; the answer is yes or no, and no looks
//! exactly as if the content were not there. Content carries a set of scopes (kept by the store);
//! what a scope allows is decided here and nowhere else.

use libp2p::PeerId;
use pelago_content::Hash;

use crate::store::{DatabaseError, Scope, Scopes, Share, Store};

/// What a peer, or this node for the network at large, wants to do with content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Be sent chunks.
    Fetch,
    /// Be told which blocks are here, having shown that it knows the hash.
    Availability,
    /// The same, having shown nothing.
    ListedAvailability,
    /// See it in the catalogue.
    List,
    /// Have a provider record published.
    Announce,
}

/// Decides what may be done with content.
#[derive(Clone)]
pub struct Access {
    store: Store,
}

impl Access {
    /// Decides by the scopes that `store` holds.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Whether `requester` may do `action` with the content `hash`. Blocks on the database.
    ///
    /// # Errors
    /// The database cannot be read: to be treated as no.
    pub fn decide(
        &self,
        _requester: &PeerId,
        action: Action,
        hash: &Hash,
    ) -> Result<bool, DatabaseError> {
        let scopes = self.store.scopes(hash)?;
        Ok(scopes.is_some_and(|scopes| scopes.iter().any(|scope| allows(scope, action))))
    }

    /// Whether `requester`, who does `action` with the content, is told what it is called where it is in
    /// `scopes`.
    #[must_use]
    pub fn tells(&self, _requester: &PeerId, action: Action, scopes: &Scopes) -> bool {
        scopes.iter().any(|scope| allows(scope, action))
    }

    /// Whether `requester` may see `share` in a catalogue: its name is told by the scopes of this
    /// share alone, whoever else may know the content under another.
    #[must_use]
    pub fn lists(&self, _requester: &PeerId, share: &Share) -> bool {
        share.scopes.iter().any(|scope| allows(scope, Action::List))
    }
}

/// What a scope allows to everyone.
#[must_use]
pub fn allows(scope: Scope, action: Action) -> bool {
    match scope {
        Scope::Everyone => true,
        // Those who know the hash may have it; nobody learns of it from us.
        Scope::Unlisted => matches!(action, Action::Fetch | Action::Availability),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlisted_content_is_given_to_who_knows_it_and_told_to_nobody() {
        assert!(allows(Scope::Unlisted, Action::Fetch));
        assert!(allows(Scope::Unlisted, Action::Availability));
        assert!(!allows(Scope::Unlisted, Action::ListedAvailability));
        assert!(!allows(Scope::Unlisted, Action::List));
        assert!(!allows(Scope::Unlisted, Action::Announce));
    }
}
