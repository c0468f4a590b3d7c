//! Ending and restarting the process of the node.

use axum::{extract::State, http::StatusCode};

use super::{Users, error::ApiError, openapi::Refused};

/// Ends the node. The response comes before the end.
#[utoipa::path(
    post, path = "/v1/stop", operation_id = "stop",
    responses((status = 204, description = "The node ends"), Refused),
)]
pub(super) async fn stop(State(users): State<Users>) -> Result<StatusCode, ApiError> {
    users.stop()?;
    Ok(StatusCode::NO_CONTENT)
}

/// Restarts the node, which then reads its settings again. Its user stays logged in or out, and its
/// process keeps its id, arguments and environment.
#[utoipa::path(
    post, path = "/v1/restart", operation_id = "restart",
    responses((status = 204, description = "The node restarts"), Refused),
)]
pub(super) async fn restart(State(users): State<Users>) -> Result<StatusCode, ApiError> {
    users.restart().await?;
    Ok(StatusCode::NO_CONTENT)
}
