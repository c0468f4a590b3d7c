//! The groups that this node is in: for operations that name one, and for content that is known in
//! one.
//!
//! A hash that only members of a group know is a secret of the group: a search for it outside tells
//! others that it exists. So content that a link or a catalogue names in a group, or that this node
//! shares with groups alone, is fetched there.

use pelago_content::Hash;
use pelago_groups::GroupId;

use super::{blocking::blocking, core::NodeCore, not_a_member::NotAMember};
use crate::{network::Closed, store::Scope};

impl NodeCore {
    /// The group, if this node is in it.
    pub(super) fn own_group(&self, group: GroupId) -> Result<GroupId, NotAMember> {
        match self.memberships.own_groups().contains(&group) {
            true => Ok(group),
            false => Err(NotAMember { group }),
        }
    }

    /// The scope of what the watched folders share.
    pub(super) fn share_scope(&self) -> Scope {
        self.share_group.map_or(Scope::Everyone, Scope::Group)
    }

    /// The group whose catalogue listed content of this name last, if this node is in it.
    pub(super) fn group_of_name(&self, name: &str) -> Option<GroupId> {
        let known = self.known_groups.of_name(name);
        known.filter(|group| self.memberships.own_groups().contains(group))
    }

    /// The group in which content is known, if this node is in it.
    pub(super) async fn group_of(&self, hash: Hash) -> Result<Option<GroupId>, Closed> {
        let own = self.memberships.own_groups();
        let by_link = self.links.group_of(&hash);
        let known = by_link.or_else(|| self.known_groups.of_hash(&hash));
        if own.is_empty() || known.is_some() {
            return Ok(known.filter(|group| own.contains(group)));
        }
        let store = self.store.clone();
        let scopes = blocking(move || store.scopes(&hash)).await?;
        let scopes = scopes.ok().flatten().unwrap_or_default();
        let is_groups = !scopes.contains(Scope::Everyone) && !scopes.contains(Scope::Unlisted);
        let mut groups = scopes
            .groups()
            .filter(|group| is_groups && own.contains(group));
        Ok(groups.next())
    }
}
