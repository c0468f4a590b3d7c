//! Failures as answers: a status code and `{"error":{"code","message","hint"}}`.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::types::{ErrorInfo, Failure};

/// A failure that is the whole answer to a request.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    error: ErrorInfo,
}

impl ApiError {
    /// With a status code of its own.
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            error: ErrorInfo::new(code, message),
        }
    }

    /// The request makes no sense.
    pub(super) fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }
}

/// What the node refused: the request was well-formed, but cannot be done as things are.
impl<E: Into<ErrorInfo>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            error: error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(Failure { error: self.error })).into_response()
    }
}
