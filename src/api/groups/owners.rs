//! The owners of a group, which the user who founded it makes and drops.

use axum::{Json, extract::State};

use super::member;
use crate::{
    api::{
        convert::user_key,
        error::ApiError,
        extract::{JsonBody, PathParameter, QueryParameters},
        openapi::Refused,
        types::{DropOutcome, DropQuery, GroupMember, GroupUser},
    },
    node::Node,
};

/// Makes a member an owner.
#[utoipa::path(
    post, path = "/v1/groups/{group}/owners", operation_id = "addGroupOwner",
    params(("group" = String, Path, description = "An id, at least 8 of its first digits, or a name")),
    request_body = GroupUser,
    responses((status = 200, description = "Done", body = GroupMember), Refused),
)]
pub(in crate::api) async fn add(
    State(node): State<Node>,
    PathParameter(group): PathParameter,
    JsonBody(request): JsonBody<GroupUser>,
) -> Result<Json<GroupMember>, ApiError> {
    let id = node.group_id(&group)?.to_string();
    let owner = node.group_owner_add(&id, &request.user).await?;
    member(&node, &id, owner).await
}

/// The members whose membership depends on decisions of an owner alone.
#[utoipa::path(
    get, path = "/v1/groups/{group}/owners/{member}/outcomes", operation_id = "groupOwnerOutcomes",
    params(
        ("group" = String, Path, description = "An id, at least 8 of its first digits, or a name"),
        ("member" = String, Path, description = "A user's key, at least 8 of its first digits, or a name"),
    ),
    responses((status = 200, description = "Done", body = Vec<DropOutcome>), Refused),
)]
pub(in crate::api) async fn outcomes(
    State(node): State<Node>,
    PathParameter((group, member)): PathParameter<(String, String)>,
) -> Result<Json<Vec<DropOutcome>>, ApiError> {
    let outcomes = node.group_owner_drop_preview(&group, &member).await?;
    Ok(Json(outcomes.into_iter().map(Into::into).collect()))
}

/// Drops an owner, who stays a member. What the owner decided stays, except for the users in `undo`.
#[utoipa::path(
    delete, path = "/v1/groups/{group}/owners/{member}", operation_id = "dropGroupOwner",
    params(
        ("group" = String, Path, description = "An id, at least 8 of its first digits, or a name"),
        ("member" = String, Path, description = "A user's key, at least 8 of its first digits, or a name"),
        DropQuery,
    ),
    responses((status = 200, description = "Done", body = GroupMember), Refused),
)]
pub(in crate::api) async fn remove(
    State(node): State<Node>,
    PathParameter((group, owner)): PathParameter<(String, String)>,
    QueryParameters(query): QueryParameters<DropQuery>,
) -> Result<Json<GroupMember>, ApiError> {
    let id = node.group_id(&group)?.to_string();
    let keeps = match &query.undo {
        None => None,
        Some(list) => {
            let undone: Vec<_> = list.split(',').map(user_key).collect::<Result<_, _>>()?;
            let outcomes = node.group_owner_drop_preview(&id, &owner).await?;
            let users = outcomes.into_iter().map(|outcome| outcome.user);
            Some(users.filter(|user| !undone.contains(user)).collect())
        }
    };
    let dropped = node.group_owner_drop(&id, &owner, keeps).await?;
    member(&node, &id, dropped).await
}
