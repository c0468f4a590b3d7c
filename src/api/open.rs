//! Describes content before it is downloaded.

use axum::{Json, extract::State};

use super::{
    convert::open_request,
    error::ApiError,
    extract::JsonBody,
    openapi::Refused,
    types::{ContentInfo, OpenRequest},
};
use crate::node::Node;

/// Describes content before it is downloaded: its kind, its size and its holders.
#[utoipa::path(
    post, path = "/v1/look", operation_id = "look",
    request_body = OpenRequest,
    responses((status = 200, description = "Done", body = ContentInfo), Refused),
)]
pub(super) async fn open(
    State(node): State<Node>,
    JsonBody(request): JsonBody<OpenRequest>,
) -> Result<Json<ContentInfo>, ApiError> {
    let content = node.open(open_request(&node, &request)?).await?;
    Ok(Json(content.into()))
}
