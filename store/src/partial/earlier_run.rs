//! The state that an earlier run of a download left.

use std::path::{Path, PathBuf};

use super::{mark::Id, page::Recorded, part_name::default_part_path};

/// The state that an earlier run of a download left.
pub(super) enum EarlierRun {
    /// The download never ran.
    None,
    /// There was one, but its record is damaged.
    Damaged,
    Recorded(Box<Recorded>),
}

impl EarlierRun {
    /// Whether the earlier run had this target. A damaged record is assumed to.
    pub(super) fn had_target(&self, target: &Path) -> bool {
        match self {
            Self::None => false,
            Self::Damaged => true,
            Self::Recorded(recorded) => recorded.spec.target == target,
        }
    }

    /// Whether there was an earlier run.
    pub(super) const fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// The id that the earlier run marked its files with, if it is known.
    pub(super) fn id(&self) -> Option<Id> {
        match self {
            Self::Recorded(recorded) => recorded.part.as_ref().map(|part| part.id),
            Self::None | Self::Damaged => None,
        }
    }

    /// The path at which the earlier run had its part file or staging directory.
    pub(super) fn part_path(&self, target: &Path) -> Option<PathBuf> {
        match self {
            Self::Recorded(recorded) => Some(recorded.part_path()),
            Self::Damaged => Some(default_part_path(target)),
            Self::None => None,
        }
    }
}
