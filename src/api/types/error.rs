//! Errors, in JSON.

use pelago_groups::GroupLink;
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
    /// For an ambiguous name (`ambiguous-name`) or the beginning of a hash (`incomplete-hash`): the
    /// contents to choose from, if known.
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

/// What to do with a link to a group that was given in place of something else.
const INVITATION: &str = "this is an invitation to a group: join with `pelago group join`, which asks \
     for the link";

impl ErrorInfo {
    /// An error without a hint. If the message quotes a link to a group, its secret is left out, and
    /// the hint says what the link is for.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        let concealed = GroupLink::concealed(&message);
        let hint = concealed.is_some().then(|| INVITATION.to_owned());
        Self {
            code: code.into(),
            message: concealed.unwrap_or(message),
            hint,
            choices: Vec::new(),
        }
    }

    /// Sets the hint: what to do next. The hint about a link to a group stays.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        if self.hint.as_deref() != Some(INVITATION) {
            self.hint = Some(hint.into());
        }
        self
    }

    /// Sets the hint, if there is one.
    #[must_use]
    pub(crate) fn with_hint_if(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.with_hint(hint),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_does_not_echo_the_secret_of_a_link() {
        let link = format!(
            "pelago:group/{}?name=a&invite=5ec7e7&peer=b",
            "ab".repeat(32)
        );
        let error = ErrorInfo::new("not-shared", format!("nothing is called {link:?}"));
        let error = error.with_hint("`pelago list` shows all shares");
        assert!(!error.message.contains("5ec7e7"), "{error}");
        assert_eq!(error.hint.as_deref(), Some(INVITATION));
        let other = ErrorInfo::new("not-shared", "nothing is called \"a\"").with_hint("look");
        assert_eq!(other.message, "nothing is called \"a\"");
        assert_eq!(other.hint.as_deref(), Some("look"));
    }
}
