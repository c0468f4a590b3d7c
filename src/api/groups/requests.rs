//! Requests of others to join a group.

use axum::{Json, extract::State};

use super::member;
use crate::{
    api::{
        error::ApiError,
        extract::PathParameter,
        openapi::Refused,
        types::{GroupMember, GroupRequest},
    },
    node::{GroupError, Node},
};

/// The requests that wait for an owner.
#[utoipa::path(
    get, path = "/v1/groups/{group}/requests", operation_id = "groupRequests",
    params(("group" = String, Path, description = "An id, at least 8 of its first digits, or a name")),
    responses((status = 200, description = "Done", body = Vec<GroupRequest>), Refused),
)]
pub(in crate::api) async fn list(
    State(node): State<Node>,
    PathParameter(group): PathParameter,
) -> Result<Json<Vec<GroupRequest>>, ApiError> {
    let requests = node.group_requests(&group)?.into_iter();
    Ok(Json(requests.map(Into::into).collect()))
}

/// Accepts a request. Owners may.
#[utoipa::path(
    post, path = "/v1/groups/{group}/requests/{user}/accept", operation_id = "acceptGroupRequest",
    params(
        ("group" = String, Path, description = "An id, at least 8 of its first digits, or a name"),
        ("user" = String, Path, description = "A user's key, at least 8 of its first digits, or a name"),
    ),
    responses((status = 200, description = "Done", body = GroupMember), Refused),
)]
pub(in crate::api) async fn accept(
    State(node): State<Node>,
    PathParameter((group, user)): PathParameter<(String, String)>,
) -> Result<Json<GroupMember>, ApiError> {
    let id = node.group_id(&group)?.to_string();
    let accepted = node.group_accept(&id, &user).await?;
    member(&node, &id, accepted).await
}

/// Rejects a request, and returns it. Owners may.
#[utoipa::path(
    post, path = "/v1/groups/{group}/requests/{user}/reject", operation_id = "rejectGroupRequest",
    params(
        ("group" = String, Path, description = "An id, at least 8 of its first digits, or a name"),
        ("user" = String, Path, description = "A user's key, at least 8 of its first digits, or a name"),
    ),
    responses((status = 200, description = "Done", body = GroupRequest), Refused),
)]
pub(in crate::api) async fn reject(
    State(node): State<Node>,
    PathParameter((group, user)): PathParameter<(String, String)>,
) -> Result<Json<GroupRequest>, ApiError> {
    let id = node.group_id(&group)?.to_string();
    let requests = node.group_requests(&id)?;
    let rejected = node.group_reject(&id, &user).await?;
    let rejected = requests
        .into_iter()
        .find(|request| request.user == rejected);
    let rejected = rejected.ok_or_else(|| GroupError::UnknownRequest(user.clone()))?;
    Ok(Json(rejected.into()))
}
