//! Requests of the user of this node to join groups.

use axum::{Json, extract::State};

use crate::{
    api::{
        convert::group_link,
        error::ApiError,
        extract::{JsonBody, PathParameter},
        openapi::Refused,
        types::{Join, JoinRequest},
    },
    node::Node,
};

/// The requests to join groups, and what became of each.
#[utoipa::path(
    get, path = "/v1/joins", operation_id = "joins",
    responses((status = 200, description = "Done", body = Vec<Join>), Refused),
)]
pub(in crate::api) async fn list(State(node): State<Node>) -> Result<Json<Vec<Join>>, ApiError> {
    let joins = node.group_joins()?.into_iter();
    Ok(Json(joins.map(Into::into).collect()))
}

/// Asks to join the group of a link. Responds when the first members have answered, after 15 s at
/// most. The node repeats the request until an owner has answered.
#[utoipa::path(
    post, path = "/v1/joins", operation_id = "join",
    request_body = JoinRequest,
    responses((status = 200, description = "Done", body = Join), Refused),
)]
pub(in crate::api) async fn join(
    State(node): State<Node>,
    JsonBody(request): JsonBody<JoinRequest>,
) -> Result<Json<Join>, ApiError> {
    let link = group_link(&request.link)?;
    let (group, hinted) = (link.group, link.name.clone());
    let status = node.group_join(link, request.message).await?;
    let (groups, joins) = (node.groups()?, node.group_joins()?);
    let joined = groups.into_iter().find(|info| info.id == group);
    let asked = joins.into_iter().find(|join| join.group == group);
    Ok(Json(Join {
        since_unix_ms: asked.and_then(|join| Join::from(join).since_unix_ms),
        group: group.to_string(),
        // The name in the link is a hint.
        name: joined.map(|info| info.name.to_string()).or(hinted),
        status: status.into(),
    }))
}

/// Withdraws a request, or forgets one that was answered; returns it as it was. Responds when members
/// that are reached know of it, after 15 s at most.
#[utoipa::path(
    delete, path = "/v1/joins/{group}", operation_id = "withdrawJoin",
    params((
        "group" = String, Path,
        description = "The id of the group, at least 8 of its first digits, or its name in the link"
    )),
    responses((status = 200, description = "Done", body = Join), Refused),
)]
pub(in crate::api) async fn withdraw(
    State(node): State<Node>,
    PathParameter(group): PathParameter,
) -> Result<Json<Join>, ApiError> {
    Ok(Json(node.group_join_withdraw(&group).await?.into()))
}
