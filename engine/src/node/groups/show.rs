//! What people see of groups.

use std::collections::{BTreeSet, HashSet};

use libp2p::PeerId;
use pelago_groups::{GroupId, Name, Roster, Statement, UserKey};
use tokio::sync::watch;

use super::{
    GroupDetail, GroupInfo, InviteInfo, JoinInfo, JoinStatus, MemberInfo, RequestInfo, known,
    select, selected,
};
use crate::{
    access::peer_of,
    groups::{Group, GroupError, Groups},
    node::{Node, shares::each_page},
};

impl Node {
    /// The groups of the user of this node, by name.
    ///
    /// # Errors
    /// The node has no user.
    pub fn groups(&self) -> Result<Vec<GroupInfo>, GroupError> {
        let own = self.core.groups.identity()?.user().key();
        let groups = self.core.groups.all();
        let mut infos: Vec<_> = groups
            .iter()
            .filter_map(|group| info(group, &own))
            .collect();
        infos.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(infos)
    }

    /// A number that changes with each change of a group, a request or an invite.
    #[must_use]
    pub fn groups_revision(&self) -> watch::Receiver<u64> {
        self.core.groups.revision()
    }

    /// The id of the group that `selector` selects.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub fn group_id(&self, selector: &str) -> Result<GroupId, GroupError> {
        Ok(selected(&self.core.groups, selector)?.id())
    }

    /// The id of a group with which this node shares something, or that it knows otherwise: also if
    /// the user left it or was removed.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn group_id_of_shares(&self, selector: &str) -> Result<GroupId, GroupError> {
        let (selector, store) = (selector.to_owned(), self.core.store.clone());
        let find = move |groups: &Groups| {
            let unknown = match known(groups, &selector) {
                Ok((group, _)) => return Ok(group.id()),
                Err(
                    error @ (GroupError::UnknownGroup(_) | GroupError::NoUser | GroupError::Locked),
                ) => error,
                Err(error) => return Err(error),
            };
            let mut ids = BTreeSet::new();
            each_page(&store, |page| {
                ids.extend(page.iter().flat_map(|share| share.scopes.groups()));
                Ok(())
            })?;
            select::by_digits(ids, &selector).ok_or(unknown)
        };
        self.with_groups(find).await
    }

    /// A group with its members.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn group(&self, selector: &str) -> Result<GroupDetail, GroupError> {
        let groups = &self.core.groups;
        let (group, own) = (selected(groups, selector)?, groups.identity()?.user().key());
        let unknown = || GroupError::NotAMember(selector.to_owned());
        let info = info(&group, &own).ok_or_else(unknown)?;
        let members = self.members_of(&group, &own).await?;
        let peers = members.iter().flat_map(|member| &member.peers);
        let has_all = |peer: &&PeerId| {
            **peer == self.peer_id() || groups.confirmed(&group.id(), peer) == Some(group.digest())
        };
        let others = groups.all();
        let looks_alike = |other: &Group| {
            let name = other.roster().name();
            other.id() != group.id()
                && other.roster().is_in(&own)
                && name.is_some_and(|name| name.looks_like(&info.name))
        };
        Ok(GroupDetail {
            is_alike: others.iter().any(|other| looks_alike(other)),
            founded_by: group.roster().root().ok_or_else(unknown)?,
            nodes: peers.clone().count(),
            confirmed: peers.filter(has_all).count(),
            info,
            members,
        })
    }

    /// The members of a group, by name.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn group_members(&self, selector: &str) -> Result<Vec<MemberInfo>, GroupError> {
        let groups = &self.core.groups;
        let (group, own) = (selected(groups, selector)?, groups.identity()?.user().key());
        self.members_of(&group, &own).await
    }

    async fn members_of(
        &self,
        group: &Group,
        own: &UserKey,
    ) -> Result<Vec<MemberInfo>, GroupError> {
        let connected = self.core.network.peers().await?;
        let mut online: HashSet<_> = connected.iter().map(|peer| peer.peer_id).collect();
        online.insert(self.peer_id());
        let roster = group.roster();
        let members = roster.members().iter().map(|(user, member)| {
            let (name, nodes) = member.profile.clone().unzip();
            let nodes = nodes.into_iter().flatten();
            let peers: Vec<_> = nodes.filter_map(|node| peer_of(&node)).collect();
            MemberInfo {
                user: *user,
                is_alike: name
                    .as_ref()
                    .is_some_and(|name| is_alike(roster, user, name)),
                name,
                role: member.role,
                is_online: peers.iter().any(|peer| online.contains(peer)),
                peers,
                is_you: user == own,
                joined_by: member.by,
                via: member.via,
            }
        });
        let mut members: Vec<_> = members.collect();
        members.sort_by(|a, b| (&a.name, a.user).cmp(&(&b.name, b.user)));
        Ok(members)
    }

    /// The invites of a group: the open ones, and those that were revoked.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub fn group_invites(&self, selector: &str) -> Result<Vec<InviteInfo>, GroupError> {
        let groups = &self.core.groups;
        let (group, own) = (selected(groups, selector)?, groups.identity()?.user().key());
        let invites = group.roster().invites().iter().map(|(key, invite)| {
            let limits = group.own_invites().get(key);
            InviteInfo {
                key: *key,
                mode: invite.mode,
                is_open: invite.is_open,
                expires: limits.and_then(|limits| limits.expires),
                uses_left: limits.and_then(|limits| limits.uses_left),
                by: invite.by,
                is_yours: invite.by == own,
            }
        });
        Ok(invites.collect())
    }

    /// The requests to join a group that wait for an owner, the oldest first.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub fn group_requests(&self, selector: &str) -> Result<Vec<RequestInfo>, GroupError> {
        let group = selected(&self.core.groups, selector)?;
        let mut requests: Vec<_> = group
            .requests()
            .filter_map(|request| {
                let asked = request.join.asked();
                let name = name_of(request.join.profile())?;
                Some(RequestInfo {
                    user: asked.user,
                    is_alike: is_alike(group.roster(), &asked.user, &name),
                    name,
                    message: asked.message.clone(),
                    invite: asked.invite,
                    received: request.received,
                })
            })
            .collect();
        requests.sort_by_key(|request| (request.received, request.user));
        Ok(requests)
    }

    /// The requests of the user of this node to join groups, the oldest first.
    ///
    /// # Errors
    /// The node has no user.
    pub fn group_joins(&self) -> Result<Vec<JoinInfo>, GroupError> {
        self.core.groups.identity()?;
        let groups = self.core.groups.all();
        let joins = groups.iter().filter_map(|group| {
            let own = group.own_join()?;
            (own.status != JoinStatus::Withdrawn).then(|| JoinInfo::of(group, own))
        });
        let mut joins: Vec<_> = joins.collect();
        joins.sort_by_key(|join| (join.since, join.group));
        Ok(joins)
    }
}

/// What `own` sees of a group; none if the user is not a member.
pub(super) fn info(group: &Group, own: &UserKey) -> Option<GroupInfo> {
    let roster = group.roster();
    let member = roster.member(own)?;
    Some(GroupInfo {
        id: group.id(),
        name: roster.name()?.clone(),
        role: member.role,
        members: roster.members().len(),
        owners: roster.owners().count(),
        pending_requests: group.requests().count(),
        last_heard_from_owner: group.heard(),
        moved: roster.moved(),
    })
}

/// Whether a member other than `user` has a name that looks like `name`.
fn is_alike(roster: &Roster, user: &UserKey, name: &Name) -> bool {
    roster.members().iter().any(|(other, member)| {
        let theirs = member.profile.as_ref().map(|(name, _)| name);
        other != user && theirs.is_some_and(|theirs| theirs.looks_like(name))
    })
}

/// What the author of `profile` calls himself.
pub(super) fn name_of(profile: &Statement) -> Option<Name> {
    Some(profile.profile()?.name.clone())
}
