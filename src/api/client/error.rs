//! The errors of calls.

use std::io;

use axum::http::StatusCode;

use crate::api::types::ErrorInfo;

/// Bytes of the longest line: an error that lists choices, or a link (8 KiB).
pub(super) const MAX_LINE_LEN: usize = 64 * 1024;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The node rejected the request.
    #[error(transparent)]
    Refused(ErrorInfo),
    /// Nothing listens at the address of the node.
    #[error("the node cannot be reached: {0}")]
    Connect(io::Error),
    /// The connection ended before the response was complete.
    #[error("the connection to the node broke: {0}")]
    Broken(String),
    /// The response does not come from this API.
    #[error(
        "the response with status {0} does not come from a node: another program may use its port"
    )]
    Foreign(StatusCode),
    /// The response does not have the expected form.
    #[error("the response of the node is invalid: {0}; is the node of the same version?")]
    Garbled(#[from] serde_json::Error),
    /// A line of a stream is too long.
    #[error("a line of the node's response is over {MAX_LINE_LEN} bytes")]
    Line,
}

impl From<hyper::Error> for CallError {
    fn from(error: hyper::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<CallError> for ErrorInfo {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(error) => error,
            error => Self::new("node-unreachable", error.to_string()),
        }
    }
}
