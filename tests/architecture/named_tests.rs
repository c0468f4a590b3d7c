//! Finds the tests that the tables of documents name, in their column `test`.

use std::{collections::BTreeSet, fs, path::Path};

/// The names of all functions and modules of the sources.
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// Reads the names of these files.
    pub(crate) fn read<'a>(sources: impl Iterator<Item = &'a Path>) -> Self {
        let mut names = BTreeSet::new();
        for path in sources {
            let parts = path.with_extension("");
            names.extend(parts.iter().map(|part| part.to_string_lossy().into_owned()));
            let source = fs::read_to_string(path).unwrap();
            let defined = ["fn ", "mod "].map(|keyword| source.split(keyword).skip(1));
            names.extend(defined.into_iter().flatten().map(identifier));
        }
        Self(names)
    }

    /// Whether each part of `path` exists, such as `peers::crowd::a_crowd_…`, where `…` and `{`
    /// stand for the rest of a name, and `*` for all.
    pub(crate) fn have(&self, path: &str) -> bool {
        let mut parts = path.trim_start_matches('…').split("::");
        parts.all(|part| match part.find(['…', '{', '*']) {
            Some(end) => self.0.iter().any(|name| name.starts_with(&part[..end])),
            None => self.0.contains(part),
        })
    }
}

fn identifier(text: &str) -> String {
    let is_part = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    text.chars().take_while(is_part).collect()
}

/// The paths of tests in the tables of a document.
pub(crate) fn named_tests(document: &str) -> Vec<&str> {
    let mut named = Vec::new();
    let mut is_in_table = false;
    for line in document.lines() {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let [.., last, _] = columns[..] else {
            is_in_table = false;
            continue;
        };
        if is_in_table {
            let quoted = last.split('`').skip(1).step_by(2);
            named.extend(quoted.filter(|text| text.contains("::") || text.starts_with('…')));
        }
        is_in_table |= last == "test";
    }
    named
}
