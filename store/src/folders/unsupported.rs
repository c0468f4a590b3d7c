//! Entries with content that cannot be carried in a folder.

use std::{fmt, io, path::PathBuf};

use pelago_content::{MAX_DEPTH, NameError, TargetError};

use crate::escape::shown;

/// An entry that cannot be carried in a folder.
#[derive(Debug)]
pub struct Unsupported {
    pub(super) path: PathBuf,
    pub(super) why: UnsupportedReason,
}

/// Why an entry cannot be carried.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnsupportedReason {
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("its name is not valid UTF-8")]
    Name,
    #[error("it is a link whose target is not valid UTF-8")]
    Target,
    #[error("its name cannot be carried: {0}")]
    InvalidName(NameError),
    #[error("it is a link that cannot be carried: {0}")]
    InvalidTarget(TargetError),
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("it changes while it is read")]
    Changing,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", shown(&self.path), self.why)
    }
}

/// The number of entries, as text.
pub(super) fn count_of(count: u64) -> String {
    match count {
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    }
}

/// The first entries, on lines of their own, and the number of the others.
pub(super) fn lines_of(first: &[Unsupported], count: u64) -> String {
    let mut lines: String = first.iter().map(|entry| format!("\n  {entry}")).collect();
    let others = count - first.len() as u64;
    if others > 0 {
        lines += &format!("\n  and {others} more");
    }
    lines
}
