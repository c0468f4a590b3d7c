//! Extractors for requests. Their rejections are problem details.

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

/// How long a body may take. Callers are on this host and send it without delay.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON body. The content type has to be JSON, too, which a foreign page cannot send without a
/// CORS preflight.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        // A body with a declared size over the limit is rejected without reading it.
        if request.body().size_hint().lower() > MAX_BODY_LEN as u64 {
            let message = format!("the body is too long: it may have {MAX_BODY_LEN} bytes at most");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, CODE, message));
        }
        match timeout(BODY_TIMEOUT, Json::from_request(request, state)).await {
            Ok(Ok(Json(value))) => Ok(Self(value)),
            Ok(Err(refusal)) => {
                let message = without_value(&refusal.body_text());
                Err(ApiError::new(refusal.status(), CODE, message))
            }
            Err(_) => {
                let message = "the body did not arrive in time";
                Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, CODE, message))
            }
        }
    }
}

/// Why a body is invalid, without the value that is, which may be a passphrase.
fn without_value(reason: &str) -> String {
    for wrong in ["invalid type: ", "invalid value: "] {
        if let Some((field, rest)) = reason.split_once(wrong)
            && let Some((value, expected)) = rest.rsplit_once(", expected ")
        {
            let kind = value.split(['`', '"']).next().unwrap_or_default();
            return format!("{field}{wrong}{}, expected {expected}", kind.trim_end());
        }
    }
    reason.to_owned()
}

/// The parameter in the path of the URL, or a tuple of several.
pub(super) struct PathParameter<T = String>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParameter<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(refusal) => Err(ApiError::new(refusal.status(), CODE, refusal.body_text())),
        }
    }
}

/// The query of the URL.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Login {
        #[expect(dead_code, reason = "it is never valid")]
        passphrase: Vec<String>,
    }

    #[test]
    fn the_reason_does_not_have_the_value() {
        for secret in ["7134", "\"a `7134, expected b\"", "true"] {
            let body = format!("{{\"passphrase\": {secret}}}");
            let error = serde_json::from_str::<Login>(&body).unwrap_err();
            let reason = without_value(&error.to_string());
            assert!(!reason.contains("7134"), "{reason}");
            assert!(reason.contains("expected a sequence at line 1"), "{reason}");
        }
        assert_eq!(without_value("EOF at line 1"), "EOF at line 1");
    }
}
