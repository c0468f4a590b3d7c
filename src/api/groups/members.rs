//! The members of a group.

use axum::{Json, extract::State, http::Uri};

use super::member;
use crate::{
    api::{
        convert::{members_removed, user_key},
        error::ApiError,
        extract::{JsonBody, PathParameter, QueryParameters},
        openapi::Refused,
        paging::{ListPage, page},
        types::{GroupMember, GroupUser, ListQuery, MembersRemoved, RemoveMembersQuery},
    },
    node::Node,
};

/// The members of a group, ordered by name.
#[utoipa::path(
    get, path = "/v1/groups/{group}/members", operation_id = "groupMembers",
    params(
        ("group" = String, Path, description = "An id, at least 8 of its first digits, or a name"),
        ListQuery,
    ),
    responses((status = 200, description = "Done", body = Vec<GroupMember>), Refused),
)]
pub(in crate::api) async fn list(
    State(node): State<Node>,
    PathParameter(group): PathParameter,
    QueryParameters(query): QueryParameters<ListQuery>,
    uri: Uri,
) -> Result<ListPage<GroupMember>, ApiError> {
    let members = node.group_members(&group).await?.into_iter();
    let members = members.map(GroupMember::from).collect();
    page(members, query.page_query(), &uri, |member| {
        member.user.clone()
    })
}

/// Admits a user, who still has to join by a link, unless the user's node knows the group from before.
/// Owners may; the user who founded the group and left it takes it back by the user's own key.
#[utoipa::path(
    post, path = "/v1/groups/{group}/members", operation_id = "addGroupMember",
    params(("group" = String, Path, description = "An id, at least 8 of its first digits, or a name")),
    request_body = GroupUser,
    responses((status = 200, description = "Done", body = GroupMember), Refused),
)]
pub(in crate::api) async fn add(
    State(node): State<Node>,
    PathParameter(group): PathParameter,
    JsonBody(request): JsonBody<GroupUser>,
) -> Result<Json<GroupMember>, ApiError> {
    let user = user_key(&request.user)?;
    let id = node.group_add(&group, user).await?;
    member(&node, &id.to_string(), user).await
}

/// Removes a member, and revokes the invite that brought the member. Owners may.
#[utoipa::path(
    delete, path = "/v1/groups/{group}/members/{member}", operation_id = "removeGroupMember",
    params(
        ("group" = String, Path, description = "An id, at least 8 of its first digits, or a name"),
        ("member" = String, Path, description = "A user's key, at least 8 of its first digits, or a name"),
    ),
    responses((status = 200, description = "Done", body = MembersRemoved), Refused),
)]
pub(in crate::api) async fn remove(
    State(node): State<Node>,
    PathParameter((group, member)): PathParameter<(String, String)>,
) -> Result<Json<MembersRemoved>, ApiError> {
    let id = node.group_id(&group)?.to_string();
    let members = node.group_members(&id).await?;
    let removed = node.group_remove(&id, &member).await?;
    Ok(Json(members_removed(&removed, members)))
}

/// Removes all members who came by an invite, and revokes it. Owners may.
#[utoipa::path(
    delete, path = "/v1/groups/{group}/members", operation_id = "removeGroupMembersByInvite",
    params(
        ("group" = String, Path, description = "An id, at least 8 of its first digits, or a name"),
        RemoveMembersQuery,
    ),
    responses((status = 200, description = "Done", body = MembersRemoved), Refused),
)]
pub(in crate::api) async fn remove_by_invite(
    State(node): State<Node>,
    PathParameter(group): PathParameter,
    QueryParameters(query): QueryParameters<RemoveMembersQuery>,
) -> Result<Json<MembersRemoved>, ApiError> {
    let id = node.group_id(&group)?.to_string();
    let members = node.group_members(&id).await?;
    let removed = node.group_remove_by_invite(&id, &query.invite).await?;
    Ok(Json(members_removed(&removed, members)))
}
