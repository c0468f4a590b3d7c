//! Why settings are refused.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::SetBy;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{}:{line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// There is no such section, or no such setting in it.
    #[error("{set_by}: there is no {found}; there are {allowed}")]
    Unknown {
        /// Where it was found.
        set_by: SetBy,
        /// `section [NAME]` or `setting SECTION.KEY`.
        found: String,
        /// The names that exist.
        allowed: String,
    },
    /// The value is not allowed.
    #[error("{set_by}: {setting}: {reason}")]
    Value {
        /// Where it was found.
        set_by: SetBy,
        /// `section.key`.
        setting: String,
        /// What was found and what is expected.
        reason: String,
    },
}

impl ConfigError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        let missing = io::ErrorKind::NotFound;
        matches!(self, Self::Unreadable { source, .. } if source.kind() == missing)
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { .. } => Some("make the file readable, or move it away"),
            Self::Syntax { .. } => Some("mend the file, or move it away"),
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
pub enum ChangeError {
    /// There is no such setting.
    #[error("there is no setting {name:?}; `pelago settings` lists them")]
    Unknown {
        /// What was named.
        name: String,
    },
    /// The value is not allowed.
    #[error("{name}: {found} is not allowed; expected {allowed}")]
    Value {
        /// The setting.
        name: String,
        /// The value, as it was given.
        found: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// It cannot be changed while the program runs.
    #[error("{name} cannot be changed: {why}")]
    Locked {
        /// The setting.
        name: String,
        /// Who rules, or why not at all.
        why: String,
    },
    /// It cannot be kept.
    #[error("nothing is changed: {} cannot be written: {source}", path.display())]
    NotSaved {
        /// The file.
        path: PathBuf,
        /// What the system said.
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

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotSaved { .. } => Some(
                "make room in the data folder, or make it writable, then give the command again",
            ),
            _ => None,
        }
    }
}

/// The line of the byte at `offset`, counted from 1.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    1 + before.filter(|byte| *byte == b'\n').count()
}
