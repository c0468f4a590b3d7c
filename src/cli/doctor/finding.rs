//! What came of looking at one thing.

use serde::Serialize;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// As it should be.
    Ok,
    /// It works, but for something that may be wanted.
    Warning,
    /// It does not work, or is not safe.
    Problem,
}

/// What came of looking at one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) state: Severity,
    pub(super) message: String,
    /// How to mend it.
    pub(super) hint: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            state: Severity::Ok,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn warning(
        check: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            state: Severity::Warning,
            hint: Some(hint.into()),
            ..Self::ok(check, message)
        }
    }

    pub(super) fn problem(
        check: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            state: Severity::Problem,
            ..Self::warning(check, message, hint)
        }
    }
}
