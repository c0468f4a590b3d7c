//! What content is, before it is downloaded.

use axum::{Json, extract::State};

use super::{
    convert::look_request,
    error::ApiError,
    extract::Body,
    openapi::Refused,
    types::{Content, LookRequest},
};
use crate::node::Node;

/// What content is, before it is downloaded.
#[utoipa::path(
    post, path = "/v1/look", operation_id = "look",
    request_body = LookRequest,
    responses((status = 200, description = "Done", body = Content), Refused),
)]
pub(super) async fn look(
    State(node): State<Node>,
    Body(request): Body<LookRequest>,
) -> Result<Json<Content>, ApiError> {
    let content = node.open(look_request(&request)?).await?;
    Ok(Json(content.into()))
}
