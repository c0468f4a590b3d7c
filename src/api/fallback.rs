//! Responses to requests that no route handles.

use axum::http::{Method, StatusCode, Uri};

use super::{error::ApiError, users};

pub(super) async fn unknown(uri: Uri) -> ApiError {
    let message = format!("the API has no path {}", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "unknown-path", message)
}

pub(super) async fn not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("the method {method} is not allowed for {}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "unknown-method", message)
}

/// The response to all requests but status and login while the user is logged out.
pub(super) async fn locked() -> ApiError {
    ApiError::with(StatusCode::LOCKED, users::locked())
}
