//! What content is, before it is downloaded.

use axum::{Json, extract::State};

use super::{
    convert::look_request,
    error::ApiError,
    extract::Body,
    types::{Content, LookRequest},
};
use crate::node::Node;

pub(super) async fn look(
    State(node): State<Node>,
    Body(request): Body<LookRequest>,
) -> Result<Json<Content>, ApiError> {
    let content = node.look(look_request(&request)?).await?;
    Ok(Json(content.into()))
}
