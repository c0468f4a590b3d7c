//! Errors as responses: problem details (RFC 9457).

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};

use super::types::{ErrorInfo, Problem};

/// An error that is the whole response to a request.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    error: ErrorInfo,
    retry_after: Option<u64>,
}

impl ApiError {
    /// An error with the given status code.
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            error: ErrorInfo::new(code, message),
            retry_after: None,
        }
    }

    /// An error with the given status code and all details.
    pub(super) const fn with(status: StatusCode, error: ErrorInfo) -> Self {
        Self {
            status,
            error,
            retry_after: None,
        }
    }

    /// Adds a hint: what to do next.
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.error = self.error.with_hint(hint);
        self
    }

    /// Asks the client to retry after `seconds`.
    pub(super) const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The error of an invalid request.
    pub(super) fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }
}

/// The error of the node for a valid request: it conflicts with the state of the node (409), or its
/// result could not be saved (507).
impl<E: Into<ErrorInfo>> From<E> for ApiError {
    fn from(error: E) -> Self {
        let error = error.into();
        let status = match &*error.code {
            "not-kept" => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::CONFLICT,
        };
        Self {
            status,
            error,
            retry_after: None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: self
                .status
                .canonical_reason()
                .unwrap_or_default()
                .to_owned(),
            status: self.status.as_u16(),
            detail: self.error.message,
            code: self.error.code,
            hint: self.error.hint,
            choices: self.error.choices,
        };
        // The message may quote a hostile value, so browsers must not take it for HTML.
        let kind = [(CONTENT_TYPE, "application/problem+json")];
        let mut answer = (self.status, kind, Json(problem)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2. Browsers open no dialog for this scheme.
            let headers = answer.headers_mut();
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        match self.retry_after {
            // A client that waits needs no connection meanwhile.
            Some(seconds) => {
                let close = [(CONNECTION, "close")];
                ([(RETRY_AFTER, seconds)], close, answer).into_response()
            }
            None => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unauthorized_response_names_the_scheme() {
        for (status, challenge) in [
            (StatusCode::UNAUTHORIZED, Some("Bearer")),
            (StatusCode::FORBIDDEN, None),
        ] {
            let answer = ApiError::new(status, "code", "message").into_response();
            let headers = answer.headers();
            let named = headers.get(WWW_AUTHENTICATE).map(HeaderValue::as_bytes);
            assert_eq!(named, challenge.map(str::as_bytes), "{status}");
        }
    }
}
