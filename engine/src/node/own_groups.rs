//! The groups that this node is in: for operations that name one, and for content that is known from
//! one.
//!
//! A hash that only members of a group know is a secret of the group: a search for it outside tells
//! others that it exists. So content that a link, a catalogue, a folder or an earlier request names in
//! a group, or that this node shares with groups alone, is looked for there; and nowhere once this
//! node is not in the group any more, until a person says otherwise. The store keeps what is known
//! from groups, also after they are left.

use pelago_content::{Hash, Link};
use pelago_groups::{GroupId, Name};
use thiserror::Error;

use super::{blocking::blocking, core::NodeCore, not_a_member::NotAMember};
use crate::{
    access::{Action, permits},
    network::Closed,
    store::{DatabaseError, Known, Scope},
};

/// Where this node looks for content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At all peers.
    Public,
    /// At the members of a group of this node.
    Group(GroupId),
    /// Nowhere: the content is known from a group that this node is not in. What is here already is
    /// here.
    Lost(GroupId),
}

/// Why it is not known where to look.
#[derive(Debug, Error)]
pub(super) enum PlaceError {
    #[error(transparent)]
    NotAMember(#[from] NotAMember),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl NodeCore {
    /// The group, if this node is in it.
    pub(super) fn own_group(&self, group: GroupId) -> Result<GroupId, NotAMember> {
        match self.memberships.own_groups().contains(&group) {
            true => Ok(group),
            false => Err(self.not_a_member(group, None)),
        }
    }

    /// That this node is not in a group, from which `content` is known.
    pub(super) fn not_a_member(&self, group: GroupId, content: Option<Hash>) -> NotAMember {
        NotAMember {
            group,
            name: self.group_name(&group),
            content,
        }
    }

    /// The name of a group, if this node knows it.
    pub(super) fn group_name(&self, group: &GroupId) -> Option<Name> {
        self.groups.get(group)?.roster().name().cloned()
    }

    /// The scope of what the watched folders share.
    pub(super) fn share_scope(&self) -> Scope {
        self.share_group.map_or(Scope::Everyone, Scope::Group)
    }

    /// Where to look for the content of a link, or of a hash, by what a person asked for.
    pub(super) async fn place_of(
        &self,
        link: &Link,
        group: Option<GroupId>,
        is_public: bool,
    ) -> Result<Place, PlaceError> {
        if is_public {
            return Ok(Place::Public);
        }
        let place = match group {
            Some(group) => Place::Group(self.own_group(group)?),
            None => {
                let of_link = link.group.map(GroupId::from_bytes);
                self.known_place(link.hash, of_link).await?
            }
        };
        if let Place::Group(group) = place {
            self.note_known(group, [Known::Content(link.hash)]).await;
        }
        Ok(place)
    }

    async fn known_place(&self, hash: Hash, of_link: Option<GroupId>) -> Result<Place, PlaceError> {
        let (store, own) = (self.store.clone(), self.memberships.own_groups());
        let find = move || {
            let scopes = store.scopes(&hash)?.unwrap_or_default();
            let is_public = permits(&scopes, Action::Fetch);
            let mut known: Vec<_> = of_link.into_iter().collect();
            if !is_public {
                known.extend(scopes.groups());
            }
            // Peers know already of content that this node shows to everyone.
            if !scopes.contains(Scope::Everyone) {
                known.extend(store.groups_that_know(&Known::Content(hash))?);
            }
            let in_group = known.iter().find(|group| own.contains(group));
            Ok::<_, DatabaseError>(match (in_group, known.first()) {
                (Some(group), _) => Place::Group(*group),
                (None, Some(group)) if of_link.is_some() || !is_public => Place::Lost(*group),
                (None, _) => Place::Public,
            })
        };
        Ok(blocking(find).await??)
    }

    /// Whether content of this name is known from a group, also from one that was left. If that cannot
    /// be read, it counts as known.
    pub(super) async fn is_name_known(&self, name: &str) -> bool {
        let (store, name) = (self.store.clone(), Known::name(name));
        let groups = blocking(move || store.groups_that_know(&name)).await;
        groups.is_ok_and(|groups| groups.map_or(true, |groups| !groups.is_empty()))
    }

    /// Notes what is known from a group. A failure is logged.
    pub(super) async fn note_known(
        &self,
        group: GroupId,
        what: impl IntoIterator<Item = Known, IntoIter: Send> + Send + 'static,
    ) {
        let store = self.store.clone();
        if let Ok(Err(error)) = blocking(move || store.note_known(group, what)).await {
            tracing::warn!(
                %group, %error,
                "cannot record what is known from a group: without --group, it is looked for outside"
            );
        }
    }
}
