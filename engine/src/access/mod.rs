//! Decides who may do what with which content. Every request of a peer passes this module.
//!
//! A request comes with the authenticated id of the peer. The answer is yes or no, and a peer
//! cannot tell a no from content that is not here. The store keeps a set of scopes for all content,
//! and [`Memberships`] knows which peers are in which groups; this module alone decides what a scope
//! allows.

mod completed;
mod memberships;

use libp2p::PeerId;
use pelago_content::Hash;
use pelago_groups::GroupId;

pub use self::{
    completed::{Completed, CompletedDownloads, Listener},
    memberships::{Circle, Memberships, key_of, peer_of},
};
use crate::store::{DatabaseError, Scope, Scopes, Share, Store};

/// What a peer wants to do with content, or what this node wants to do with it for the whole
/// network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Receive chunks, by any scope that the peer is in.
    Fetch,
    /// Learn which blocks are here, after proving knowledge of the hash.
    Availability,
    /// The same, as a member of this group: by the scope of the group alone.
    AvailabilityIn(GroupId),
    /// Learn which blocks are here, without that proof.
    ListedAvailability,
    /// See it in the catalogue.
    List,
    /// See it in the catalogue of this group.
    ListIn(GroupId),
    /// Publish a provider record.
    Announce,
}

/// Decides what peers may do with content.
#[derive(Clone)]
pub struct Access {
    store: Store,
    memberships: Memberships,
    completed: CompletedDownloads,
}

impl Access {
    /// Decides by the scopes in `store` and the groups of peers.
    #[must_use]
    pub fn new(store: Store, memberships: Memberships) -> Self {
        Self {
            store,
            memberships,
            completed: CompletedDownloads::default(),
        }
    }

    /// The same, with the completed downloads of the node.
    #[must_use]
    pub fn with_completed(self, completed: CompletedDownloads) -> Self {
        Self { completed, ..self }
    }

    /// The completed downloads, of which their sources may know.
    #[must_use]
    pub const fn completed(&self) -> &CompletedDownloads {
        &self.completed
    }

    /// Whether `requester` may do `action` with the content `hash`. Blocks on the database.
    ///
    /// # Errors
    /// The database cannot be read. Callers treat that as a no.
    pub fn decide(
        &self,
        requester: &PeerId,
        action: Action,
        hash: &Hash,
    ) -> Result<bool, DatabaseError> {
        let scopes = self.store.scopes(hash)?;
        Ok(scopes.is_some_and(|scopes| self.tells(requester, action, &scopes)))
    }

    /// Whether `requester` may do `action` with content in `scopes`, and learn the name that it has
    /// there.
    #[must_use]
    pub fn tells(&self, requester: &PeerId, action: Action, scopes: &Scopes) -> bool {
        let is_member = |group: &GroupId| self.memberships.is_member(requester, group);
        scopes.iter().any(|scope| allows(scope, action, is_member))
    }

    /// The scope whose catalogue `requester` may read, of `group` or of what everyone may list;
    /// `None` if it is not a member.
    #[must_use]
    pub fn catalogue(&self, requester: &PeerId, group: Option<GroupId>) -> Option<Scope> {
        match group {
            None => Some(Scope::Everyone),
            Some(group) => {
                let is_member = self.memberships.is_member(requester, &group);
                is_member.then_some(Scope::Group(group))
            }
        }
    }

    /// Whether `requester` may see `share` in the catalogue of `scope`. Only the scopes of this share
    /// count: another share of the same content reveals its own name, not this one.
    #[must_use]
    pub fn lists(&self, requester: &PeerId, scope: Scope, share: &Share) -> bool {
        let action = match scope {
            Scope::Group(group) => Action::ListIn(group),
            Scope::Everyone | Scope::Unlisted => Action::List,
        };
        self.tells(requester, action, &share.scopes)
    }

    /// Waits until `peer` may do less than at some time since this call, because it has left a group.
    pub async fn loss(&self, peer: PeerId) {
        self.memberships.loss(peer).await;
    }
}

/// Whether one of the scopes allows `action` to every peer.
#[must_use]
pub fn permits(scopes: &Scopes, action: Action) -> bool {
    scopes.iter().any(|scope| allows(scope, action, |_| false))
}

/// Whether a scope allows `action` to a peer that is in the groups that `is_member` says.
fn allows(scope: Scope, action: Action, is_member: impl Fn(&GroupId) -> bool) -> bool {
    match (scope, action) {
        (Scope::Group(group), Action::Fetch) => is_member(&group),
        (Scope::Group(group), Action::AvailabilityIn(of) | Action::ListIn(of)) => {
            group == of && is_member(&group)
        }
        (_, Action::AvailabilityIn(_) | Action::ListIn(_)) | (Scope::Group(_), _) => false,
        (Scope::Everyone, _) => true,
        // A peer that knows the hash may have the content. This node reveals the hash to none.
        (Scope::Unlisted, action) => matches!(action, Action::Fetch | Action::Availability),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{NewShare, Origin};

    const OURS: GroupId = GroupId::from_bytes([1; 32]);
    const OTHER: GroupId = GroupId::from_bytes([2; 32]);

    /// The actions that a scope allows to a peer that is in `OURS`, or in no group.
    fn allowed(scope: Scope, is_member: bool) -> Vec<Action> {
        let actions = [
            Action::Fetch,
            Action::Availability,
            Action::AvailabilityIn(OURS),
            Action::AvailabilityIn(OTHER),
            Action::ListedAvailability,
            Action::List,
            Action::ListIn(OURS),
            Action::ListIn(OTHER),
            Action::Announce,
        ];
        let is_member = |group: &GroupId| is_member && *group == OURS;
        let is_allowed = |action: &Action| allows(scope, *action, is_member);
        actions.into_iter().filter(is_allowed).collect()
    }

    #[test]
    fn each_scope_allows_what_it_says_and_a_group_nothing_to_others() {
        let everyone = [
            Action::Fetch,
            Action::Availability,
            Action::ListedAvailability,
            Action::List,
            Action::Announce,
        ];
        let group = [
            Action::Fetch,
            Action::AvailabilityIn(OURS),
            Action::ListIn(OURS),
        ];
        for is_member in [true, false] {
            assert_eq!(allowed(Scope::Everyone, is_member), everyone);
            // Served by hash, never listed or announced.
            let unlisted = [Action::Fetch, Action::Availability];
            assert_eq!(allowed(Scope::Unlisted, is_member), unlisted);
            assert_eq!(allowed(Scope::Group(OTHER), is_member), []);
        }
        assert_eq!(allowed(Scope::Group(OURS), true), group);
        assert_eq!(allowed(Scope::Group(OURS), false), []);
    }

    #[test]
    fn content_in_several_scopes_is_for_the_peers_of_each() {
        let memberships = Memberships::default();
        let [member, other] = [(); 2].map(|()| PeerId::random());
        memberships.replace([(member, [OURS].into())].into());
        let access = Access::new(Store::in_memory(), memberships);
        let mut scopes = Scopes::from(Scope::Group(OURS));
        let fetches = |peer: &PeerId, scopes: &Scopes| access.tells(peer, Action::Fetch, scopes);
        assert!(fetches(&member, &scopes) && !fetches(&other, &scopes));
        scopes.insert(Scope::Unlisted);
        assert!(fetches(&other, &scopes));
        let by = |peer: &PeerId, action| access.tells(peer, action, &scopes);
        assert!(by(&member, Action::AvailabilityIn(OURS)));
        assert!(
            !by(&other, Action::AvailabilityIn(OURS)),
            "it is not asked for in public"
        );
        assert_eq!(
            access.catalogue(&member, Some(OURS)),
            Some(Scope::Group(OURS))
        );
        assert_eq!(access.catalogue(&other, Some(OURS)), None);
        assert_eq!(access.catalogue(&other, None), Some(Scope::Everyone));
    }

    /// Prints the figure.
    #[test]
    fn a_decision_costs_as_much_in_a_group_as_outside() {
        const DECISIONS: u32 = 10_000;
        let (folder, store) = (tempfile::tempdir().unwrap(), Store::in_memory());
        let memberships = Memberships::default();
        let members: Vec<_> = (0..1024).map(|_| PeerId::random()).collect();
        let table = members.iter().map(|peer| (*peer, [OURS].into()));
        memberships.replace(table.collect());
        let access = Access::new(store.clone(), memberships);
        let mut took = Vec::new();
        for (name, scope) in [("public", Scope::Everyone), ("ours", Scope::Group(OURS))] {
            let path = folder.path().join(name);
            std::fs::write(&path, name).unwrap();
            let hashed = store
                .hash_file(&path, &|_| std::ops::ControlFlow::Continue(()))
                .unwrap();
            let share = NewShare {
                descriptor: hashed.descriptor,
                fingerprint: hashed.fingerprint,
                path,
                name: name.to_owned(),
                scopes: scope.into(),
                origin: Origin::Explicit,
            };
            store.add_shares(std::slice::from_ref(&share)).unwrap();
            let hash = share.descriptor.hash();
            let begun = std::time::Instant::now();
            for at in 0..DECISIONS {
                let peer = &members[at as usize % members.len()];
                assert!(access.decide(peer, Action::Fetch, &hash).unwrap());
            }
            took.push(begun.elapsed() / DECISIONS);
        }
        println!(
            "a decision takes {:?} for everyone, {:?} in a group of 1,024",
            took[0], took[1]
        );
    }
}
