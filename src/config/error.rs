//! Why settings are refused.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::SetBy;

/// Why settings cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file is not valid TOML.
    #[error("{}:{line}: not valid TOML: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The error of the parser.
        reason: String,
    },
    /// The section, or the setting in it, does not exist.
    #[error("{set_by}: unknown {found}: use one of {known}")]
    Unknown {
        /// The line, variable or flag that sets it.
        set_by: SetBy,
        /// `section [NAME]` or `setting SECTION.KEY`.
        found: String,
        /// The names that exist.
        known: String,
    },
    /// The value is not allowed.
    #[error("{set_by}: {setting} = {found} is not allowed: use {expected}")]
    Value {
        /// The line, variable or flag that sets it.
        set_by: SetBy,
        /// `section.key`.
        setting: String,
        /// The value, as TOML.
        found: String,
        /// The allowed values.
        expected: String,
    },
}

impl ConfigError {
    /// Whether the file does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        let missing = io::ErrorKind::NotFound;
        matches!(self, Self::Unreadable { source, .. } if source.kind() == missing)
    }

    /// A remedy, for people.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { .. } => Some("make the file readable, or move it away"),
            Self::Syntax { .. } => Some("correct the file, or move it away"),
            Self::Unknown { .. } | Self::Value { .. } => None,
        }
    }

    pub(super) fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        Self::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_at(text, span.start)),
            reason: error.message().to_owned(),
        }
    }
}

/// Why settings were not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The setting does not exist.
    #[error("unknown setting {name:?}: `pelago settings` lists all")]
    Unknown {
        /// The name, as it was given.
        name: String,
    },
    /// The value is not allowed.
    #[error("{name} = {found} is not allowed: use {allowed}")]
    Value {
        /// The setting.
        name: String,
        /// The value, as it was given.
        found: String,
        /// The allowed values.
        allowed: String,
    },
    /// The setting cannot be changed while the program runs.
    #[error("{name} cannot be changed now: {why}")]
    Locked {
        /// The setting.
        name: String,
        /// What takes precedence, or why no change is possible.
        why: String,
    },
    /// The change cannot be saved.
    #[error("nothing was changed: {} cannot be written: {source}", path.display())]
    NotSaved {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl ChangeError {
    /// A word for programs: it stays the same between versions.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } | Self::Value { .. } => "bad-setting",
            Self::Locked { .. } => "setting-locked",
            Self::NotSaved { .. } => "settings-not-kept",
        }
    }

    /// A remedy, for people.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotSaved { .. } => {
                Some("free space in the data folder, or make it writable; then repeat the command")
            }
            _ => None,
        }
    }
}

/// The line of the byte at `offset`, counted from 1.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    1 + before.filter(|byte| *byte == b'\n').count()
}
