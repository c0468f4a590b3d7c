//! Errors, as JSON types.

use crate::{
    api::types::ErrorInfo,
    config::ChangeError,
    node::{self, CodedError as _},
};

impl From<node::DownloadError> for ErrorInfo {
    fn from(error: node::DownloadError) -> Self {
        let (code, message, hint) = (error.code(), error.to_string(), error.hint());
        let choices = match error {
            node::DownloadError::Ambiguous { choices, .. }
            | node::DownloadError::IncompleteHash { choices, .. } => choices,
            _ => Vec::new(),
        };
        Self {
            choices: choices.into_iter().map(Into::into).collect(),
            ..Self::new(code, message).with_hint_if(hint)
        }
    }
}

/// Converts errors of the node, which all have a code and a hint.
macro_rules! to_error_info {
    ($($error:ident),*) => {$(
        impl From<node::$error> for ErrorInfo {
            fn from(error: node::$error) -> Self {
                Self::new(error.code(), error.to_string()).with_hint_if(error.hint())
            }
        }
    )*};
}

to_error_info!(
    GroupError,
    InvalidPassphrase,
    ListError,
    ManageError,
    OpenError,
    ShareError,
    StartError,
    UnshareError,
    IncomingError,
    UserFileError,
    WebError
);

impl From<ChangeError> for ErrorInfo {
    fn from(error: ChangeError) -> Self {
        let hint = error.hint().map(Into::into);
        Self::new(error.code(), error.to_string()).with_hint_if(hint)
    }
}
