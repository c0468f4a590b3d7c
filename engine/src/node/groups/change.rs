//! What owners and members change in groups.

use std::time::Duration;

use pelago_groups::{GroupId, GroupLink, InviteKey, InviteMode, Name, Role, Secret, UserKey, acts};

use super::{
    DropOutcome, GroupInfo, InviteOptions, Removed, known, select, selected,
    show::{info, name_of},
};
use crate::{
    groups::{Candidate, Group, GroupError, Groups, OwnInvite},
    node::Node,
};

/// For how long an invite that admits by itself is valid, unless its owner says otherwise.
const AUTO_VALID: Duration = Duration::from_secs(7 * 24 * 3600);

/// How many users it admits, unless its owner says otherwise.
const AUTO_USES: u32 = 1;

impl Node {
    /// Founds a group.
    ///
    /// # Errors
    /// The node has no user, or belongs to too many groups.
    pub async fn group_create(&self, name: Name) -> Result<GroupInfo, GroupError> {
        let create = move |groups: &Groups| {
            let user = groups.identity()?.user();
            groups.make_space()?;
            let founding = acts::found(user, &name, rand::random());
            let id = founding
                .group()
                .ok_or_else(|| GroupError::UnknownGroup(name.to_string()))?;
            groups.change(id, None, |group| {
                group.merge([founding]);
                Ok::<_, GroupError>(())
            })?;
            let group = groups.get(&id);
            let created = group.and_then(|group| info(&group, &user.key()));
            created.ok_or_else(|| GroupError::UnknownGroup(id.to_string()))
        };
        self.with_groups(create).await
    }

    /// Changes the name of the user of this node, also in groups.
    ///
    /// # Errors
    /// The node has no user, or its database failed.
    pub async fn rename_user(&self, name: Name) -> Result<(), GroupError> {
        self.with_groups(move |groups| groups.rename_user(name))
            .await
    }

    /// Renames a group. Only the user who founded it may.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn group_rename(&self, selector: &str, name: Name) -> Result<(), GroupError> {
        self.change_group(selector, move |group, identity| {
            let renamed = acts::rename(group.held(), identity.user(), name)?;
            group.merge([renamed]);
            Ok(())
        })
        .await
    }

    /// Mints an invite, and returns the link that has its secret: it is stored nowhere.
    ///
    /// # Errors
    /// The user of this node is not an owner, or has too many open invites.
    pub async fn group_invite(
        &self,
        selector: &str,
        options: InviteOptions,
    ) -> Result<GroupLink, GroupError> {
        let group = selected(&self.core.groups, selector)?;
        let mut peers = self.link_peers().await?;
        // When this node is off, other members take requests.
        let others = self.addresses_of_members(&group).await?;
        peers.extend(others);
        peers.truncate(GroupLink::MAX_PEERS);
        self.change_group(selector, move |group, identity| {
            let invite = Secret::<InviteKey>::from_seed(rand::random());
            let mode = match options.auto {
                true => InviteMode::Auto,
                false => InviteMode::Ask,
            };
            let minted = acts::mint(group.held(), identity.user(), invite.key(), mode)?;
            group.merge([minted]);
            group.keep_invite(invite.key(), limits(&options));
            Ok(GroupLink {
                group: group.id(),
                name: group.roster().name().map(ToString::to_string),
                mode,
                invite,
                peers,
            })
        })
        .await
    }

    /// Revokes an invite, which is selected by its key or the first eight digits or more of it.
    ///
    /// # Errors
    /// The user of this node is not an owner, or there is no such invite.
    pub async fn group_revoke(
        &self,
        selector: &str,
        invite: &str,
    ) -> Result<InviteKey, GroupError> {
        let invite = invite.to_owned();
        self.change_group(selector, move |group, identity| {
            let invite = invite_of(group, &invite)?;
            let revoked = acts::revoke(group.held(), identity.user(), invite)?;
            group.merge([revoked]);
            Ok(invite)
        })
        .await
    }

    /// Admits a user ahead of time, and returns the group. The user still needs a link to join, unless
    /// his node knows the group from before. The user who founded the group and left it takes it back
    /// by his own key.
    ///
    /// # Errors
    /// The user of this node is not an owner, the other one is a member, or the group is full.
    pub async fn group_add(&self, selector: &str, user: UserKey) -> Result<GroupId, GroupError> {
        let selector = selector.to_owned();
        let add = move |groups: &Groups| {
            let secret = groups.identity()?.user();
            let group = match user == secret.key() {
                true => known(groups, &selector)?.0,
                false => selected(groups, &selector)?,
            };
            groups.change(group.id(), None, |group| {
                let admitted = acts::admit(group.held(), secret, user, None)?;
                group.merge([admitted]);
                Ok(group.id())
            })
        };
        self.with_groups(add).await
    }

    /// Accepts the request of a user.
    ///
    /// # Errors
    /// The user of this node is not an owner, there is no such request, or the group is full.
    pub async fn group_accept(&self, selector: &str, user: &str) -> Result<UserKey, GroupError> {
        self.decide(selector, user, true).await
    }

    /// Rejects the request of a user, whose link serves that user no longer.
    ///
    /// # Errors
    /// The user of this node is not an owner, or there is no such request.
    pub async fn group_reject(&self, selector: &str, user: &str) -> Result<UserKey, GroupError> {
        self.decide(selector, user, false).await
    }

    async fn decide(
        &self,
        selector: &str,
        user: &str,
        is_accepted: bool,
    ) -> Result<UserKey, GroupError> {
        let text = user.to_owned();
        self.change_group(selector, move |group, identity| {
            let asking = group.requests().map(|request| Candidate {
                id: request.join.asked().user,
                name: name_of(request.join.profile()),
                role: None,
            });
            let asking: Vec<_> = asking.collect();
            let unknown = || GroupError::UnknownRequest(text.clone());
            let user = match select::user(&asking, &text) {
                Err(GroupError::UnknownUser(_)) => return Err(unknown()),
                selected => selected?,
            };
            let request = group.request(&user).ok_or_else(unknown)?;
            let (profile, via) = (request.join.profile().clone(), request.join.asked().invite);
            let secret = identity.user();
            let decided = match is_accepted {
                true => acts::admit(group.held(), secret, user, Some(via))?,
                false => acts::remove(group.held(), secret, user, Some(via))?,
            };
            group.merge([decided, profile]);
            if is_accepted {
                group.use_invite(Some(&via));
            }
            Ok(user)
        })
        .await
    }

    /// Removes a member, and revokes the invite by which the member came.
    ///
    /// # Errors
    /// The user of this node is not an owner, or the other one is.
    pub async fn group_remove(&self, selector: &str, member: &str) -> Result<Removed, GroupError> {
        let member = member.to_owned();
        self.change_group(selector, move |group, identity| {
            let user = member_of(group, &member)?;
            let via = group.roster().member(&user).and_then(|member| member.via);
            let removed = acts::remove(group.held(), identity.user(), user, None)?;
            group.merge([removed]);
            after_removal(group, identity.user(), vec![user], via)
        })
        .await
    }

    /// Removes all members who came by an invite, owners excepted, and revokes it.
    ///
    /// # Errors
    /// The user of this node is not an owner, or there is no such invite.
    pub async fn group_remove_by_invite(
        &self,
        selector: &str,
        invite: &str,
    ) -> Result<Removed, GroupError> {
        let invite = invite.to_owned();
        self.change_group(selector, move |group, identity| {
            let invite = invite_of(group, &invite)?;
            let members = group.roster().members().iter();
            let came = members
                .filter(|(_, member)| member.via == Some(invite) && member.role == Role::Member);
            let users: Vec<_> = came.map(|(user, _)| *user).collect();
            for user in &users {
                let removed = acts::remove(group.held(), identity.user(), *user, None)?;
                group.merge([removed]);
            }
            after_removal(group, identity.user(), users, Some(invite))
        })
        .await
    }

    /// Makes a member an owner. Only the user who founded the group may.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn group_owner_add(
        &self,
        selector: &str,
        member: &str,
    ) -> Result<UserKey, GroupError> {
        let member = member.to_owned();
        self.change_group(selector, move |group, identity| {
            let user = member_of(group, &member)?;
            let marked = acts::make_owner(group.held(), identity.user(), user)?;
            group.merge([marked]);
            Ok(user)
        })
        .await
    }

    /// Who would be in or out in place of the other if an owner were dropped.
    ///
    /// # Errors
    /// The user of this node did not found the group, or the other one is not an owner.
    pub async fn group_owner_drop_preview(
        &self,
        selector: &str,
        member: &str,
    ) -> Result<Vec<DropOutcome>, GroupError> {
        let (selector, member) = (selector.to_owned(), member.to_owned());
        let preview = move |groups: &Groups| {
            let group = selected(groups, &selector)?;
            let (secret, owner) = (groups.identity()?.user(), member_of(&group, &member)?);
            let outcomes = acts::outcomes_of_drop(group.held(), secret, owner)?;
            let outcomes = outcomes.into_iter().map(|(user, is_in)| DropOutcome {
                user,
                name: group
                    .held()
                    .profile(user)
                    .map(|profile| profile.name.clone()),
                is_in,
            });
            Ok(outcomes.collect())
        };
        self.with_groups(preview).await
    }

    /// Drops an owner, who stays a member. Of the users who would be in or out in place of the other
    /// by that, those in `keeps` stay as they are; without `keeps`, all.
    ///
    /// # Errors
    /// The user of this node did not found the group, or the other one is not an owner.
    pub async fn group_owner_drop(
        &self,
        selector: &str,
        member: &str,
        keeps: Option<Vec<UserKey>>,
    ) -> Result<UserKey, GroupError> {
        let member = member.to_owned();
        self.change_group(selector, move |group, identity| {
            let owner = member_of(group, &member)?;
            let keeps = |user: &UserKey| keeps.as_ref().is_none_or(|keeps| keeps.contains(user));
            let dropped = acts::drop_owner(group.held(), identity.user(), owner, keeps)?;
            group.merge(dropped);
            Ok(owner)
        })
        .await
    }

    /// Leaves a group.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn group_leave(&self, selector: &str) -> Result<(), GroupError> {
        self.change_group(selector, |group, identity| {
            group.merge([acts::leave(group.held(), identity.user())]);
            group.withdraw();
            Ok(())
        })
        .await
    }
}

/// What this node enforces of an invite.
fn limits(options: &InviteOptions) -> OwnInvite {
    let valid = options.expires_in.or(options.auto.then_some(AUTO_VALID));
    OwnInvite {
        expires: valid.map(|valid| crate::store::unix_now().saturating_add(valid.as_secs())),
        uses_left: options.uses.or(options.auto.then_some(AUTO_USES)),
    }
}

/// Revokes the invite by which removed users came.
fn after_removal(
    group: &mut Group,
    secret: &Secret<UserKey>,
    users: Vec<UserKey>,
    via: Option<InviteKey>,
) -> Result<Removed, GroupError> {
    let is_open = |group: &Group, invite: &InviteKey| {
        group
            .roster()
            .invites()
            .get(invite)
            .is_some_and(|invite| invite.is_open)
    };
    let mut revoked = Vec::new();
    if let Some(via) = via.filter(|via| is_open(group, via)) {
        let revocation = acts::revoke(group.held(), secret, via)?;
        group.merge([revocation]);
        revoked.push(via);
    }
    let invites = group.roster().invites().iter();
    let open = invites
        .filter(|(_, invite)| invite.is_open)
        .map(|(key, _)| *key)
        .collect();
    Ok(Removed {
        users,
        revoked,
        open,
    })
}

fn member_of(group: &Group, text: &str) -> Result<UserKey, GroupError> {
    let members = group.roster().members().iter();
    let members = members.map(|(user, member)| Candidate {
        id: *user,
        name: member.profile.as_ref().map(|(name, _)| name.clone()),
        role: Some(member.role),
    });
    select::user(&members.collect::<Vec<_>>(), text)
}

fn invite_of(group: &Group, text: &str) -> Result<InviteKey, GroupError> {
    let invites = group.roster().invites().keys();
    let found = select::by_digits(invites.copied(), text);
    found.ok_or_else(|| GroupError::UnknownInvite(text.to_owned()))
}
