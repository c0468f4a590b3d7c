//! What set a setting.

use std::{fmt, path::PathBuf};

/// What set a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// Nothing: it has its default.
    Default,
    /// A configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line of the value, counted from 1.
        line: usize,
    },
    /// A person or a program, while a node ran; it was saved in the data folder.
    Saved {
        /// The file there; none if it holds for this run only.
        path: Option<PathBuf>,
    },
    /// The environment variable with this name.
    Variable(String),
    /// The flag with this name.
    Flag(&'static str),
}

impl SetBy {
    /// The order of layers: the highest takes precedence.
    pub(super) const fn precedence(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Saved { .. } => 2,
            Self::Variable(_) => 3,
            Self::Flag(_) => 4,
        }
    }

    /// Whether it takes precedence over what is set while a node runs.
    pub(super) const fn overrides_saved(&self) -> bool {
        self.precedence() > 2
    }
}

impl fmt::Display for SetBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Saved { path: Some(path) } => write!(f, "{}", path.display()),
            Self::Saved { path: None } => f.write_str("set while the node runs"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}
