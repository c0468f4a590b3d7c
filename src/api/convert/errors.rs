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
            node::DownloadError::Ambiguous { choices, .. } => choices,
            _ => Vec::new(),
        };
        Self {
            code: code.to_owned(),
            message,
            hint,
            choices: choices.into_iter().map(Into::into).collect(),
        }
    }
}

/// Converts errors of the node, which all have a code and a hint.
macro_rules! to_error_info {
    ($($error:ident),*) => {$(
        impl From<node::$error> for ErrorInfo {
            fn from(error: node::$error) -> Self {
                Self {
                    code: error.code().to_owned(),
                    message: error.to_string(),
                    hint: error.hint(),
                    choices: Vec::new(),
                }
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
    UploadError,
    UserFileError
);

impl From<ChangeError> for ErrorInfo {
    fn from(error: ChangeError) -> Self {
        let info = Self::new(error.code(), error.to_string());
        match error.hint() {
            Some(hint) => info.with_hint(hint),
            None => info,
        }
    }
}
