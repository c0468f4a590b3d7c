//! Requests as the JSON types they should be; what is none is refused in our own form.

use std::time::Duration;

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::error::ApiError;

const CODE: &str = "bad-request";

/// Bytes of the longest request body: a download with the longest link (8 KiB) and as many peers.
pub(super) const MAX_BODY_LEN: usize = 64 * 1024;

/// How long a body may take: callers are on this host, and send what they have at once.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The body, which has to be JSON and say so: a foreign page cannot send that unasked.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        // What says that it is too large need not be read to be believed.
        if request.body().size_hint().lower() > MAX_BODY_LEN as u64 {
            let message = format!("a body has at most {MAX_BODY_LEN} bytes");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, CODE, message));
        }
        match timeout(BODY_TIMEOUT, Json::from_request(request, state)).await {
            Ok(Ok(Json(value))) => Ok(Self(value)),
            Ok(Err(refusal)) => Err(ApiError::new(refusal.status(), CODE, refusal.body_text())),
            Err(_) => {
                let message = "the body did not come in time";
                Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, CODE, message))
            }
        }
    }
}

/// The part of the path that says what it is about.
pub(super) struct PathParameter(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PathParameter {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(refusal) => Err(ApiError::new(refusal.status(), CODE, refusal.body_text())),
        }
    }
}

/// What follows the `?`.
pub(super) struct QueryParameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(refusal) => Err(ApiError::new(refusal.status(), CODE, refusal.body_text())),
        }
    }
}
