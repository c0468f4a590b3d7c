//! How fast content may pass.

use axum::{Json, extract::State};

use super::{convert::limits_change, error::ApiError, extract::Body, types};
use crate::node::Node;

pub(super) async fn limits(State(node): State<Node>) -> Json<types::Limits> {
    Json(node.limits().into())
}

pub(super) async fn change(
    State(node): State<Node>,
    Body(change): Body<types::LimitsChange>,
) -> Result<Json<types::Limits>, ApiError> {
    let change = limits_change(change)?;
    Ok(Json(node.set_limits(change).into()))
}
