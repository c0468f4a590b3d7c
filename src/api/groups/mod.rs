//! The groups of the user of this node. A path selects a group by its id, by at least 8 of its first
//! digits, or by its name.
//!
//! | file | owns |
//! |---|---|
//! | `members`, `owners` | who belongs to a group |
//! | `invites`, `requests` | how others come to it |
//! | `joins` | the user's own requests to join |

pub(super) mod invites;
pub(super) mod joins;
pub(super) mod members;
pub(super) mod owners;
pub(super) mod requests;

use axum::{Json, extract::State, http::Uri};
use pelago_groups::UserKey;

use super::{
    convert::name,
    error::ApiError,
    extract::{JsonBody, PathParameter, QueryParameters},
    openapi::Refused,
    paging::{ListPage, page},
    types::{Group, GroupDetail, GroupMember, GroupNameRequest, ListQuery},
};
use crate::node::{GroupError, Node};

/// The groups, ordered by name.
#[utoipa::path(
    get, path = "/v1/groups", operation_id = "groups",
    params(ListQuery),
    responses((status = 200, description = "Done", body = Vec<Group>), Refused),
)]
pub(super) async fn list(
    State(node): State<Node>,
    QueryParameters(query): QueryParameters<ListQuery>,
    uri: Uri,
) -> Result<ListPage<Group>, ApiError> {
    let groups = node.groups()?.into_iter().map(Group::from).collect();
    page(groups, query.page_query(), &uri, |group| group.id.clone())
}

/// Founds a group.
#[utoipa::path(
    post, path = "/v1/groups", operation_id = "createGroup",
    request_body = GroupNameRequest,
    responses((status = 200, description = "Done", body = Group), Refused),
)]
pub(super) async fn create(
    State(node): State<Node>,
    JsonBody(request): JsonBody<GroupNameRequest>,
) -> Result<Json<Group>, ApiError> {
    Ok(Json(node.group_create(name(&request.name)?).await?.into()))
}

/// A group.
#[utoipa::path(
    get, path = "/v1/groups/{group}", operation_id = "group",
    params(("group" = String, Path, description = "An id, at least 8 of its first digits, or a name")),
    responses((status = 200, description = "Done", body = GroupDetail), Refused),
)]
pub(super) async fn one(
    State(node): State<Node>,
    PathParameter(group): PathParameter,
) -> Result<Json<GroupDetail>, ApiError> {
    Ok(Json(node.group(&group).await?.into()))
}

/// Renames a group, which the user who founded it may.
#[utoipa::path(
    patch, path = "/v1/groups/{group}", operation_id = "renameGroup",
    params(("group" = String, Path, description = "An id, at least 8 of its first digits, or a name")),
    request_body = GroupNameRequest,
    responses((status = 200, description = "Done", body = Group), Refused),
)]
pub(super) async fn rename(
    State(node): State<Node>,
    PathParameter(group): PathParameter,
    JsonBody(request): JsonBody<GroupNameRequest>,
) -> Result<Json<Group>, ApiError> {
    let id = node.group_id(&group)?.to_string();
    node.group_rename(&id, name(&request.name)?).await?;
    Ok(Json(node.group(&id).await?.info.into()))
}

/// Leaves a group, and returns it as it was. If the user founded it, it has no new owners until the
/// user comes back: by a link, or by adding the user's own key to the members.
#[utoipa::path(
    delete, path = "/v1/groups/{group}", operation_id = "leaveGroup",
    params(("group" = String, Path, description = "An id, at least 8 of its first digits, or a name")),
    responses((status = 200, description = "Done", body = Group), Refused),
)]
pub(super) async fn leave(
    State(node): State<Node>,
    PathParameter(group): PathParameter,
) -> Result<Json<Group>, ApiError> {
    let group = node.group(&group).await?.info;
    node.group_leave(&group.id.to_string()).await?;
    Ok(Json(group.into()))
}

/// The member `user` of a group.
async fn member(node: &Node, group: &str, user: UserKey) -> Result<Json<GroupMember>, ApiError> {
    let members = node.group_members(group).await?;
    let member = members.into_iter().find(|member| member.user == user);
    // Another owner may have removed the member in the meantime.
    let member = member.ok_or_else(|| GroupError::UnknownUser(user.to_string()))?;
    Ok(Json(member.into()))
}
