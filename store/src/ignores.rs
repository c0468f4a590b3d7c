//! The rules for leaving out files of shared folders: `.pelagoignore` files, in the syntax of
//! `.gitignore`.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use ignore::{Match, gitignore::Gitignore};

/// The file with the rules for its folder and those below. The file itself is left out as well.
pub const IGNORE_FILE: &str = ".pelagoignore";

/// The rules of one shared folder, read on demand.
pub struct Ignores {
    root: PathBuf,
    /// By folder; `None` for folders without such a file.
    rules: HashMap<PathBuf, Option<Gitignore>>,
}

impl Ignores {
    /// The rules below `root`. Files above it do not count.
    pub fn below(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            rules: HashMap::new(),
        }
    }

    /// Whether `path`, or a folder that contains it, is left out. `path` must be below the root.
    pub fn leave_out(&mut self, path: &Path, is_folder: bool) -> bool {
        if path.file_name().is_some_and(|name| name == IGNORE_FILE) {
            return true;
        }
        let root = self.root.clone();
        let mut above: Vec<_> = path
            .ancestors()
            .skip(1)
            .take_while(|above| above.starts_with(&root) && *above != root)
            .collect();
        above.reverse();
        // As in Git, an entry of a folder that is left out cannot be included again.
        let folders = above.into_iter().map(|folder| (folder, true));
        let mut all = folders.chain([(path, is_folder)]);
        all.any(|(path, is_folder)| self.matches(path, is_folder))
    }

    /// Whether an entry is left out whose folder is not.
    pub fn leave_out_entry(&mut self, path: &Path, is_folder: bool) -> bool {
        let is_rules = path.file_name().is_some_and(|name| name == IGNORE_FILE);
        is_rules || self.matches(path, is_folder)
    }

    /// Whether the rules match the path itself. The nearest file with a matching rule decides.
    fn matches(&mut self, path: &Path, is_folder: bool) -> bool {
        let root = self.root.clone();
        let folders = path.ancestors().skip(1);
        for folder in folders.take_while(|folder| folder.starts_with(&root)) {
            if !self.rules.contains_key(folder) {
                self.rules.insert(folder.to_owned(), read(folder));
            }
            let rules = self.rules.get(folder).and_then(Option::as_ref);
            match rules.map(|rules| rules.matched(path, is_folder)) {
                Some(Match::Ignore(_)) => return true,
                Some(Match::Whitelist(_)) => return false,
                _ => {}
            }
        }
        false
    }
}

fn read(folder: &Path) -> Option<Gitignore> {
    let path = folder.join(IGNORE_FILE);
    if !path.is_file() {
        return None;
    }
    let (rules, error) = Gitignore::new(&path);
    if let Some(error) = error {
        let path = path.display();
        tracing::warn!(%path, %error, "rules cannot be read: excluded files may be shared");
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn rules_hold_as_in_git() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(
            root.join(IGNORE_FILE),
            "*.tmp\n/only-here\nbuild/\n!keep.tmp\n",
        )
        .unwrap();
        fs::write(root.join("a").join(IGNORE_FILE), "!wanted.tmp\nsecret\n").unwrap();
        let mut ignores = Ignores::below(root);
        for (path, is_folder, expected) in [
            ("x.txt", false, false),
            ("x.tmp", false, true),
            ("keep.tmp", false, false),
            ("a/b/x.tmp", false, true),
            ("a/b/wanted.tmp", false, false),
            ("wanted.tmp", false, true),
            ("only-here", false, true),
            ("a/only-here", false, false),
            ("build", true, true),
            ("build", false, false),
            ("build/deep/x.txt", false, true),
            ("build/keep.tmp", false, true),
            ("secret", false, false),
            ("a/b/secret", false, true),
            (".pelagoignore", false, true),
            ("a/.pelagoignore", false, true),
        ] {
            let left_out = ignores.leave_out(&root.join(path), is_folder);
            assert_eq!(left_out, expected, "{path}");
        }
    }
}
