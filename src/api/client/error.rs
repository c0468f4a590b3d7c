//! Why a call gave no answer.

use std::io;

use axum::http::StatusCode;

use crate::api::types::ErrorInfo;

/// Bytes of the longest line: an error that lists choices, or a link (8 KiB).
pub(super) const MAX_LINE_LEN: usize = 64 * 1024;

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The node said no, and why.
    #[error(transparent)]
    Refused(ErrorInfo),
    /// Nobody listens there any more.
    #[error("the node cannot be reached: {0}")]
    Connect(io::Error),
    /// The connection ended before the answer did.
    #[error("the connection to the node broke: {0}")]
    Broken(String),
    /// An answer in another form than the API's.
    #[error("the answer is not a node's: status {0}")]
    Foreign(StatusCode),
    /// An answer that is not what was asked for.
    #[error("the node's answer cannot be read: {0}; is it of the same version?")]
    Garbled(#[from] serde_json::Error),
    /// A line of a stream that does not end.
    #[error("a line of the node's answer is over {} bytes", MAX_LINE_LEN)]
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
