//! Errors, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Choice;

/// An error that is the whole response to a request: problem details (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `about:blank`, as `code` identifies the error.
    #[serde(rename = "type")]
    pub kind: String,
    /// The meaning of the status code.
    pub title: String,
    /// The status code.
    pub status: u16,
    /// What was tried, and what was wrong. For people.
    pub detail: String,
    /// The stable, kebab-case identifier of the error. For scripts.
    pub code: String,
    /// What to do next, if something helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// For an ambiguous name (`ambiguous-name`): the contents to choose from, if known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
}

impl From<Problem> for ErrorInfo {
    fn from(problem: Problem) -> Self {
        Self {
            code: problem.code,
            message: problem.detail,
            hint: problem.hint,
            choices: problem.choices,
        }
    }
}

/// The output of a failed command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// The error.
    pub error: ErrorInfo,
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, ToSchema)]
#[error("{message}")]
pub struct ErrorInfo {
    /// The stable, kebab-case identifier of the error. For scripts.
    pub code: String,
    /// What was tried, and what was wrong. For people.
    pub message: String,
    /// What to do next, if something helps.
    pub hint: Option<String>,
    /// For an ambiguous name (`ambiguous-name`): the contents to choose from, if known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
}

impl ErrorInfo {
    /// An error without a hint.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            hint: None,
            choices: Vec::new(),
        }
    }

    /// Adds a hint: what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
