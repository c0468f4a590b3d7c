//! The entries of a directory that are left out of its folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    FolderError,
    unsupported::{Unsupported, UnsupportedReason, count_of, lines_of},
};

/// How many entries that cannot be carried are named; the others are counted.
const MAX_NAMED: usize = 20;

/// What is left out of a folder.
#[derive(Debug, Default)]
pub struct LeftOut {
    /// Sockets, fifos and devices, by type. They have no content.
    special: BTreeMap<&'static str, u64>,
    /// The paths that a person excluded from watched folders.
    pub(super) excluded: u64,
    /// Whether the directory contains the data folder of this node.
    pub(super) holds_data: bool,
    /// The first of the entries whose content cannot be carried.
    unsupported: Vec<Unsupported>,
    unsupported_count: u64,
}

impl LeftOut {
    pub(super) fn add_special(&mut self, what: &'static str) {
        *self.special.entry(what).or_default() += 1;
    }

    pub(super) fn add_unsupported(&mut self, path: PathBuf, why: UnsupportedReason) {
        self.unsupported_count += 1;
        if self.unsupported.len() < MAX_NAMED {
            self.unsupported.push(Unsupported { path, why });
        }
    }

    /// Fails if any entry cannot be carried, unless such entries may be left out.
    pub(super) fn check(&mut self, path: &Path, skip_unsupported: bool) -> Result<(), FolderError> {
        if skip_unsupported || self.unsupported_count == 0 {
            return Ok(());
        }
        Err(FolderError::Unsupported {
            path: path.to_owned(),
            named: std::mem::take(&mut self.unsupported),
            count: self.unsupported_count,
        })
    }

    /// Describes what is left out: one line for all entries without content, and the names of those
    /// that cannot be carried.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.special.is_empty() {
            let counted = self
                .special
                .iter()
                .map(|(what, count)| counted(what, *count));
            let counted: Vec<_> = counted.collect();
            lines.push(format!(
                "left out, as it has no content: {}",
                counted.join(", ")
            ));
        }
        if self.holds_data {
            lines.push("left out: the data folder of this node".to_owned());
        }
        if self.excluded > 0 {
            let paths = match self.excluded {
                1 => "1 path".to_owned(),
                count => format!("{count} paths"),
            };
            lines.push(format!(
                "left out, as you unshared it: {paths}; `pelago list --excluded` lists them, and \
                 `pelago share PATH` includes one again"
            ));
        }
        if self.unsupported_count > 0 {
            let (first, count) = (&self.unsupported, self.unsupported_count);
            lines.push(format!(
                "left out, as it cannot be carried: {}{}",
                count_of(count),
                lines_of(first, count)
            ));
        }
        lines
    }
}

/// `1 socket`, `2 fifos`.
fn counted(what: &str, count: u64) -> String {
    let what = what.trim_start_matches("a ");
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_without_content_take_one_line_and_others_are_named() {
        let mut left_out = LeftOut::default();
        assert!(left_out.lines().is_empty() && left_out.check(Path::new("/a"), false).is_ok());
        for what in ["a socket", "a fifo", "a socket"] {
            left_out.add_special(what);
        }
        assert_eq!(
            left_out.lines(),
            ["left out, as it has no content: 1 fifo, 2 sockets"]
        );
        for number in 0..25 {
            left_out.add_unsupported(format!("/a/{number}\n").into(), UnsupportedReason::Name);
        }
        let named = &left_out.lines()[1];
        assert_eq!(named.lines().count(), 22, "{named}");
        assert!(
            named.contains("25 entries\n  /a/0\\n: its name is not valid UTF-8\n"),
            "{named}"
        );
        assert!(named.ends_with("\n  and 5 more"), "{named}");
        assert!(left_out.check(Path::new("/a"), true).is_ok());
        let error = left_out
            .check(Path::new("/a"), false)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("/a was not shared: 25 entries cannot be carried")
                && error.contains("5 more"),
            "{error}"
        );
    }
}
