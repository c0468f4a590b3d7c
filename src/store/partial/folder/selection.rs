//! Which files of a folder are wanted.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Which files of a folder are wanted, by globs over their paths in it.
///
/// As in a `.gitignore`: without a `/` a glob is one of names, at any depth; with one, of paths from
/// the top. A folder that is chosen is so with all that is in it.
#[derive(Clone, Debug)]
pub struct Selection {
    globs: Vec<String>,
    set: Option<GlobSet>,
}

impl Selection {
    /// What the globs choose; everything if there is none.
    ///
    /// # Errors
    ///
    /// [`SelectionError::Glob`].
    pub fn new(globs: &[String]) -> Result<Self, SelectionError> {
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            let refused = |source| SelectionError::Glob {
                glob: glob.clone(),
                source,
            };
            let pattern = glob.trim_matches('/');
            let is_of_names = !pattern.contains('/') && !glob.starts_with('/');
            let prefix = if is_of_names { "**/" } else { "" };
            for suffix in ["", "/**"] {
                let pattern = format!("{prefix}{pattern}{suffix}");
                let built = GlobBuilder::new(&pattern).literal_separator(true).build();
                set.add(built.map_err(refused)?);
            }
        }
        let built = set.build().map_err(|source| SelectionError::Glob {
            glob: globs.join(" "),
            source,
        })?;
        Ok(Self {
            globs: globs.to_vec(),
            set: (!globs.is_empty()).then_some(built),
        })
    }

    /// Whether everything is wanted.
    pub(super) const fn is_all(&self) -> bool {
        self.set.is_none()
    }

    /// Whether the entry at `path`, with `/` between the names, is wanted.
    pub(super) fn takes(&self, path: &str) -> bool {
        self.set.as_ref().is_none_or(|set| set.is_match(path))
    }

    /// What it means that nothing is.
    pub(super) fn takes_nothing(&self) -> SelectionError {
        SelectionError::Nothing {
            globs: self.globs.join(" "),
        }
    }
}

/// Why nothing can be chosen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SelectionError {
    /// A glob is none.
    #[error(
        "--only {glob:?} is no glob: {}; expected one like '*.jpg', 'photos/2024/**' or 'docs'",
        source.kind()
    )]
    Glob {
        /// The glob.
        glob: String,
        /// What is wrong with it.
        source: globset::Error,
    },
    /// The globs match nothing.
    #[error("nothing in the folder matches --only {globs}")]
    Nothing {
        /// The globs.
        globs: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn what_is_no_glob_is_named() {
        let error = Selection::new(&["a[".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("\"a[\""), "{error}");
    }
}
