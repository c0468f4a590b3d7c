//! Failures, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Choice;

/// A failure, as the whole answer to a request: problem details (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `about:blank`: the code says which failure it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the status code means.
    pub title: String,
    /// The status code.
    pub status: u16,
    /// What was tried, on what, and what happened: for people.
    pub detail: String,
    /// Kebab-case, stable: for scripts.
    pub code: String,
    /// What to do next, if there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Of a name that several things have (`ambiguous-name`): what to choose from, if that is known.
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

/// A failure of a command, as all that it prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// Which.
    pub error: ErrorInfo,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, ToSchema)]
#[error("{message}")]
pub struct ErrorInfo {
    /// Kebab-case, stable: for scripts.
    pub code: String,
    /// What was tried, on what, and what happened: for people.
    pub message: String,
    /// What to do next, if there is something.
    pub hint: Option<String>,
    /// Of a name that several things have (`ambiguous-name`): what to choose from, if that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
}

impl ErrorInfo {
    /// A failure without a hint.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            hint: None,
            choices: Vec::new(),
        }
    }

    /// The same failure, saying what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
