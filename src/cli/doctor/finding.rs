//! The result of a check.

use serde::Serialize;

/// How bad the result of a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// All is well.
    Ok,
    /// The node works, but lacks something that may be wanted.
    Warning,
    /// Something does not work, or is not safe.
    Problem,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) state: Severity,
    pub(super) message: String,
    /// How to fix it.
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
