//! Calls about groups. `group` is an id, at least 8 of its first digits, or a name; so are members.

use axum::http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    CallError, Client,
    transport::{request, with_query},
};
use crate::api::types::{
    DropOutcome, DropQuery, Group, GroupDetail, GroupInvite, GroupMember, GroupNameRequest,
    GroupRequest, GroupUser, InviteRequest, Join, JoinRequest, MembersRemoved, NewInvite,
    RemoveMembersQuery,
};

impl Client {
    /// The groups of the user of the node.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn groups(&self) -> Result<Vec<Group>, CallError> {
        self.list("/v1/groups").await
    }

    /// One group.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn group(&self, group: &str) -> Result<GroupDetail, CallError> {
        self.get(&of_group(group, &[])).await
    }

    /// Founds a group.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn create_group(&self, name: &str) -> Result<Group, CallError> {
        let name = name.to_owned();
        self.send(Method::POST, "/v1/groups", &GroupNameRequest { name })
            .await
    }

    /// Renames a group.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn rename_group(&self, group: &str, name: &str) -> Result<Group, CallError> {
        let name = name.to_owned();
        let path = of_group(group, &[]);
        self.send(Method::PATCH, &path, &GroupNameRequest { name })
            .await
    }

    /// Leaves a group.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn leave_group(&self, group: &str) -> Result<Group, CallError> {
        self.delete(&of_group(group, &[])).await
    }

    /// The members of a group.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn group_members(&self, group: &str) -> Result<Vec<GroupMember>, CallError> {
        self.list(&of_group(group, &["members"])).await
    }

    /// Admits a user, by the key.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn add_group_member(
        &self,
        group: &str,
        user: &str,
    ) -> Result<GroupMember, CallError> {
        let user = user.to_owned();
        let path = of_group(group, &["members"]);
        self.send(Method::POST, &path, &GroupUser { user }).await
    }

    /// Removes a member.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn remove_group_member(
        &self,
        group: &str,
        member: &str,
    ) -> Result<MembersRemoved, CallError> {
        self.delete(&of_group(group, &["members", member])).await
    }

    /// Removes all members who came by an invite.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn remove_group_members_by_invite(
        &self,
        group: &str,
        invite: &str,
    ) -> Result<MembersRemoved, CallError> {
        let invite = invite.to_owned();
        let path = of_group(group, &["members"]);
        self.delete(&with_query(&path, &RemoveMembersQuery { invite })?)
            .await
    }

    /// Makes a member an owner.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn add_group_owner(
        &self,
        group: &str,
        member: &str,
    ) -> Result<GroupMember, CallError> {
        let user = member.to_owned();
        let path = of_group(group, &["owners"]);
        self.send(Method::POST, &path, &GroupUser { user }).await
    }

    /// The members whose membership depends on decisions of an owner alone.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn group_owner_outcomes(
        &self,
        group: &str,
        member: &str,
    ) -> Result<Vec<DropOutcome>, CallError> {
        self.get(&of_group(group, &["owners", member, "outcomes"]))
            .await
    }

    /// Drops an owner. What the owner decided stays, except for the users `undo`.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn drop_group_owner(
        &self,
        group: &str,
        member: &str,
        undo: &[String],
    ) -> Result<GroupMember, CallError> {
        let undo = (!undo.is_empty()).then(|| undo.join(","));
        let path = of_group(group, &["owners", member]);
        self.delete(&with_query(&path, &DropQuery { undo })?).await
    }

    /// The invites to a group.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn group_invites(&self, group: &str) -> Result<Vec<GroupInvite>, CallError> {
        self.get(&of_group(group, &["invites"])).await
    }

    /// Makes a link that invites to a group.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn invite_to_group(
        &self,
        group: &str,
        request: &InviteRequest,
    ) -> Result<NewInvite, CallError> {
        self.send(Method::POST, &of_group(group, &["invites"]), request)
            .await
    }

    /// Revokes an invite: its key, or at least 8 of its first digits.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn revoke_group_invite(
        &self,
        group: &str,
        invite: &str,
    ) -> Result<GroupInvite, CallError> {
        self.delete(&of_group(group, &["invites", invite])).await
    }

    /// The requests to join a group that wait for an owner.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn group_requests(&self, group: &str) -> Result<Vec<GroupRequest>, CallError> {
        self.get(&of_group(group, &["requests"])).await
    }

    /// Accepts a request to join.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn accept_group_request(
        &self,
        group: &str,
        user: &str,
    ) -> Result<GroupMember, CallError> {
        self.post(&of_group(group, &["requests", user, "accept"]))
            .await
    }

    /// Rejects a request to join.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn reject_group_request(
        &self,
        group: &str,
        user: &str,
    ) -> Result<GroupRequest, CallError> {
        self.post(&of_group(group, &["requests", user, "reject"]))
            .await
    }

    /// The requests of the user of the node to join groups.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn joins(&self) -> Result<Vec<Join>, CallError> {
        self.get("/v1/joins").await
    }

    /// Asks to join the group of a link.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn join_group(&self, request: &JoinRequest) -> Result<Join, CallError> {
        self.send(Method::POST, "/v1/joins", request).await
    }

    /// Withdraws a request, or forgets one that was answered.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn withdraw_join(&self, group: &str) -> Result<Join, CallError> {
        self.delete(&under("/v1/joins", [group])).await
    }

    async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.answer(request(Method::DELETE, path, None)?).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        let body = serde_json::to_vec(body)?;
        self.answer(request(method, path, Some(body))?).await
    }
}

/// The path of the URL of a group, or of a part of it.
fn of_group(group: &str, parts: &[&str]) -> String {
    under(
        "/v1/groups",
        [group].into_iter().chain(parts.iter().copied()),
    )
}

/// The path of the URL of what is below `path`, by parts of any text.
fn under<'p>(path: &str, parts: impl IntoIterator<Item = &'p str>) -> String {
    parts.into_iter().fold(path.to_owned(), |mut path, part| {
        path.push('/');
        path.extend(utf8_percent_encode(part, NON_ALPHANUMERIC));
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_text_are_one_segment_of_a_path() {
        let path = of_group("a b/ü?", &["members", "..", "outcomes"]);
        assert_eq!(path, "/v1/groups/a%20b%2F%C3%BC%3F/members/%2E%2E/outcomes");
    }
}
