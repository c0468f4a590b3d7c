//! Which files of a folder are wanted.

use std::collections::HashSet;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use pelago_content::Listing;

/// Which files of a folder are wanted, by names or globs over their paths in it. As in a
/// `.gitignore`: a glob without a `/` matches names at any depth, a glob with one matches paths
/// from the top. A chosen folder includes everything in it. If an entry is called exactly like a
/// glob, only that entry is chosen.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    globs: Vec<String>,
    set: GlobSet,
    /// Names at any depth, and paths from the top, that are meant literally.
    names: HashSet<String>,
    paths: HashSet<String>,
}

impl Selection {
    /// The selection of these globs in any folder. Without globs, everything is selected.
    ///
    /// # Errors
    ///
    /// [`SelectionError::Glob`] if all together are too large.
    pub fn new(globs: &[String]) -> Result<Self, SelectionError> {
        // A text that is not a valid glob may still be the name of an entry.
        Self::built(globs, |glob| parsed(glob).is_err())
    }

    /// The selection of the same globs in this folder.
    ///
    /// # Errors
    ///
    /// [`SelectionError::Glob`] for one that is neither a valid glob nor the name of an entry.
    pub(super) fn among(&self, listing: &Listing) -> Result<Self, SelectionError> {
        let globs = self.globs.iter().map(String::as_str);
        let mut others: HashSet<&str> = globs.filter(|glob| is_glob(glob)).collect();
        if others.is_empty() {
            return Ok(self.clone());
        }
        for entry in listing.entries() {
            others.retain(|glob| !is_called(glob, entry.name(), || entry.path()));
        }
        for glob in &others {
            parsed(glob)?;
        }
        Self::built(&self.globs, |glob| !others.contains(glob))
    }

    fn built(globs: &[String], is_literal: impl Fn(&str) -> bool) -> Result<Self, SelectionError> {
        let mut selection = Self {
            globs: globs.to_vec(),
            ..Self::default()
        };
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            let literal = || glob.trim_matches('/').to_owned();
            if !is_literal(glob) {
                parsed(glob)?.into_iter().for_each(|glob| {
                    set.add(glob);
                });
            } else if is_of_names(glob) {
                selection.names.insert(literal());
            } else {
                selection.paths.insert(literal());
            }
        }
        selection.set = set.build().map_err(|source| SelectionError::Glob {
            glob: globs.join(" "),
            source,
        })?;
        Ok(selection)
    }

    /// Whether everything is wanted.
    pub(super) const fn is_all(&self) -> bool {
        self.globs.is_empty()
    }

    /// Whether the entry at `path`, with `/` between the names, is wanted.
    pub(super) fn takes(&self, path: &str) -> bool {
        self.is_all() || self.set.is_match(path) || self.is_named(path)
    }

    /// Whether the entry, or a folder above it, is named literally.
    fn is_named(&self, path: &str) -> bool {
        let has_name = |name: &str| self.names.contains(name);
        if !self.names.is_empty() && path.split('/').any(has_name) {
            return true;
        }
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        !self.paths.is_empty() && above.chain([path]).any(|path| self.paths.contains(path))
    }

    /// The error for a selection that matches nothing.
    pub(super) fn takes_nothing(&self) -> SelectionError {
        SelectionError::Nothing {
            globs: self.globs.join(" "),
        }
    }
}

/// The patterns of a glob: one for entries, and one for everything in them.
fn parsed(glob: &str) -> Result<[Glob; 2], SelectionError> {
    let refused = |source| SelectionError::Glob {
        glob: glob.to_owned(),
        source,
    };
    let prefix = if is_of_names(glob) { "**/" } else { "" };
    let built = |suffix| {
        let pattern = format!("{prefix}{}{suffix}", glob.trim_matches('/'));
        let built = GlobBuilder::new(&pattern).literal_separator(true).build();
        built.map_err(refused)
    };
    Ok([built("")?, built("/**")?])
}

/// Whether a glob matches names at any depth, and not paths.
fn is_of_names(glob: &str) -> bool {
    !glob.starts_with('/') && !glob.trim_matches('/').contains('/')
}

/// Whether a glob can match anything but itself.
fn is_glob(glob: &str) -> bool {
    glob.contains(['*', '?', '[', ']', '{', '}', '\\', '!'])
}

/// Whether an entry is called exactly as a glob is written.
fn is_called(glob: &str, name: &str, path: impl Fn() -> String) -> bool {
    let literal = glob.trim_matches('/');
    if is_of_names(glob) {
        return name == literal;
    }
    // Most entries differ in their names already.
    literal.ends_with(name) && path() == literal
}

/// Why a selection fails.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// A text is not a valid glob.
    #[error(
        "--only {glob:?} is neither a name in the folder nor a pattern ({}): use one like '*.jpg', \
         'photos/2024/**' or 'docs'",
        source.kind()
    )]
    Glob {
        /// The glob.
        glob: String,
        /// The error in the glob.
        source: globset::Error,
    },
    /// The globs match nothing.
    #[error("nothing in the folder matches --only {globs}: use a name or pattern of its listing")]
    Nothing {
        /// The globs.
        globs: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{folder, link, manifest, unfold_these};

    fn takes(globs: &[&str], path: &str) -> bool {
        let globs: Vec<_> = globs.iter().map(ToString::to_string).collect();
        Selection::new(&globs).unwrap().takes(path)
    }

    #[test]
    fn globs_choose_as_people_expect() {
        for (glob, path, expected) in [
            ("*.jpg", "a.jpg", true),
            ("*.jpg", "deep/down/a.jpg", true),
            ("*.jpg", "a.jpg.txt", false),
            ("docs", "docs/a/b.txt", true),
            ("docs/", "docs/a/b.txt", true),
            ("docs", "other/docs/b.txt", true),
            ("/docs", "other/docs/b.txt", false),
            ("a/*.txt", "a/b.txt", true),
            ("a/*.txt", "a/b/c.txt", false),
            ("a/**/*.txt", "a/b/c.txt", true),
            ("{a,b}.txt", "b.txt", true),
            ("[0-9]*", "x/7up", true),
        ] {
            assert_eq!(takes(&[glob], path), expected, "{glob} {path}");
        }
        assert!(takes(&[], "anything"));
        assert!(takes(&["a", "b"], "b"));
    }

    /// A folder of links with these names.
    fn listing(names: &[&str]) -> Listing {
        let inner = manifest(names.iter().map(|name| link(name, "a")));
        let top = manifest([folder("sub[1]", &inner)]);
        unfold_these(&[top, inner])
    }

    #[test]
    fn a_name_is_taken_for_itself_before_it_is_taken_for_a_pattern() {
        let listing = listing(&[
            "a[1].flac",
            "a1.flac",
            "b1.flac",
            "what?",
            "whatx",
            "a[",
            r"c\d",
            "{x,y}",
        ]);
        let chosen = |glob: &str| {
            let selection = Selection::new(&[glob.to_owned()]).unwrap().among(&listing);
            let selection = selection.map_err(|error| error.to_string())?;
            let names = listing
                .entries()
                .filter(|entry| selection.takes(&entry.path()));
            Ok::<_, String>(names.map(|entry| entry.name()).collect::<Vec<_>>())
        };
        for (glob, expected) in [
            ("a[1].flac", &["a[1].flac"][..]),
            ("sub[1]/a[1].flac", &["a[1].flac"]),
            ("/sub[1]/what?", &["what?"]),
            ("what?", &["what?"]),
            ("a[", &["a["]),
            (r"c\d", &[r"c\d"]),
            ("{x,y}", &["{x,y}"]),
            // No entry has this name.
            ("b[1].flac", &["b1.flac"]),
            ("?1.flac", &["a1.flac", "b1.flac"]),
            ("sub?1?/b1.flac", &["b1.flac"]),
        ] {
            assert_eq!(chosen(glob).unwrap(), expected, "{glob}");
        }
        assert_eq!(chosen("sub[1]").unwrap().len(), listing.len());
        let error = chosen("b[").unwrap_err();
        assert!(
            error.contains("\"b[\"") && error.contains("nor a pattern"),
            "{error}"
        );
    }
}
