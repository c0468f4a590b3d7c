//! Answers to requests that no route takes.

use axum::http::{Method, StatusCode, Uri};

use super::error::ApiError;

pub(super) async fn unknown(uri: Uri) -> ApiError {
    let message = format!("there is no {}", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "unknown-path", message)
}

pub(super) async fn not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("{method} is not possible on {}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "unknown-method", message)
}
