//! The invites to a group.

use axum::{Json, extract::State};

use crate::{
    api::{
        convert::{invite_options, new_invite},
        error::ApiError,
        extract::{JsonBody, PathParameter},
        openapi::Refused,
        types::{GroupInvite, InviteRequest, NewInvite},
    },
    node::{GroupError, Node},
};

/// The invites of all owners. Only the node that made an invite knows when it expires, and how often
/// it was used.
#[utoipa::path(
    get, path = "/v1/groups/{group}/invites", operation_id = "groupInvites",
    params(("group" = String, Path, description = "An id, at least 8 of its first digits, or a name")),
    responses((status = 200, description = "Done", body = Vec<GroupInvite>), Refused),
)]
pub(in crate::api) async fn list(
    State(node): State<Node>,
    PathParameter(group): PathParameter,
) -> Result<Json<Vec<GroupInvite>>, ApiError> {
    let invites = node.group_invites(&group)?.into_iter();
    Ok(Json(invites.map(Into::into).collect()))
}

/// Makes a link that invites to the group. The response alone has the link: the node does not keep
/// it. Owners may.
#[utoipa::path(
    post, path = "/v1/groups/{group}/invites", operation_id = "inviteToGroup",
    params(("group" = String, Path, description = "An id, at least 8 of its first digits, or a name")),
    request_body = InviteRequest,
    responses((status = 200, description = "Done", body = NewInvite), Refused),
)]
pub(in crate::api) async fn invite(
    State(node): State<Node>,
    PathParameter(group): PathParameter,
    JsonBody(request): JsonBody<InviteRequest>,
) -> Result<Json<NewInvite>, ApiError> {
    let id = node.group_id(&group)?.to_string();
    let link = node.group_invite(&id, invite_options(&request)).await?;
    let invites = node.group_invites(&id)?;
    Ok(Json(new_invite(&link, &invites)))
}

/// Revokes an invite. Owners may.
#[utoipa::path(
    delete, path = "/v1/groups/{group}/invites/{invite}", operation_id = "revokeGroupInvite",
    params(
        ("group" = String, Path, description = "An id, at least 8 of its first digits, or a name"),
        ("invite" = String, Path, description = "An invite, or at least 8 of its first digits"),
    ),
    responses((status = 200, description = "Done", body = GroupInvite), Refused),
)]
pub(in crate::api) async fn revoke(
    State(node): State<Node>,
    PathParameter((group, invite)): PathParameter<(String, String)>,
) -> Result<Json<GroupInvite>, ApiError> {
    let id = node.group_id(&group)?.to_string();
    let revoked = node.group_revoke(&id, &invite).await?;
    let mut invites = node.group_invites(&id)?.into_iter();
    let revoked = invites.find(|invite| invite.key == revoked);
    let revoked = revoked.ok_or_else(|| GroupError::UnknownInvite(invite.clone()))?;
    Ok(Json(revoked.into()))
}
