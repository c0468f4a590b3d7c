//! Failures as answers: problem details (RFC 9457).

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};

use super::types::{ErrorInfo, Problem};

/// A failure that is the whole answer to a request.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    error: ErrorInfo,
    retry_after: Option<u64>,
}

impl ApiError {
    /// With a status code of its own.
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            error: ErrorInfo::new(code, message),
            retry_after: None,
        }
    }

    /// With a status code of its own, and all that is to be said.
    pub(super) const fn with(status: StatusCode, error: ErrorInfo) -> Self {
        Self {
            status,
            error,
            retry_after: None,
        }
    }

    /// The same, saying what to do next.
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.error.hint = Some(hint.into());
        self
    }

    /// The same, to be tried again after so many seconds.
    pub(super) const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The request makes no sense.
    pub(super) fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }
}

/// What the node refused: the request was well-formed, but cannot be done as things are; or it was done,
/// and cannot be kept.
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
        // A value that had to be refused may be shown again: never as anything but JSON.
        let kind = [(CONTENT_TYPE, "application/problem+json")];
        let mut answer = (self.status, kind, Json(problem)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2; browsers ask nobody for this.
            let headers = answer.headers_mut();
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        match self.retry_after {
            // Whoever has to wait does not need to keep a connection for that.
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
    fn whoever_is_not_known_is_told_what_to_show() {
        for (status, challenge) in [
            (StatusCode::UNAUTHORIZED, Some("Bearer")),
            (StatusCode::FORBIDDEN, None),
        ] {
            let answer = ApiError::new(status, "code", "message").into_response();
            let headers = answer.headers();
            let told = headers.get(WWW_AUTHENTICATE).map(HeaderValue::as_bytes);
            assert_eq!(told, challenge.map(str::as_bytes), "{status}");
        }
    }
}
