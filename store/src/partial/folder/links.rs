//! Which symbolic links of a folder are created.
//! Pure. A link is created unchanged or not at all. No download follows a link.

use std::{collections::HashMap, fmt, str::FromStr};

use pelago_content::{EntryKind, Hash, ListedEntry, Listing, Manifest};
use serde::{Deserialize, Serialize};

/// Which symbolic links of a folder are created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Links {
    /// Links that stay inside the folder.
    #[default]
    Inside,
    /// All links.
    All,
    /// None.
    None,
}

impl Links {
    /// The words that people use for the choices.
    pub const WORDS: [(&str, Self); 3] = [
        ("inside", Self::Inside),
        ("all", Self::All),
        ("none", Self::None),
    ];
}

impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Self::WORDS.iter();
        let word = words.find(|(_, links)| links == self);
        f.write_str(word.map_or("inside", |(word, _)| word))
    }
}

impl FromStr for Links {
    type Err = InvalidLinks;

    fn from_str(text: &str) -> Result<Self, InvalidLinks> {
        let mut words = Self::WORDS.iter();
        let word = words.find(|(word, _)| *word == text);
        word.map(|(_, links)| *links)
            .ok_or_else(|| InvalidLinks(text.to_owned()))
    }
}

/// A text that is not a choice of links.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a choice of links: use inside, all or none")]
pub struct InvalidLinks(String);

/// Why a link is not created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkOmission {
    /// It leads out of the folder, or its target depends on other links.
    LeadsOut,
    /// The person asked for none.
    Unwanted,
    /// The file system does not support links.
    Unsupported,
}

impl fmt::Display for LinkOmission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeadsOut => "it leads out of the folder",
            Self::Unwanted => "no links were requested",
            Self::Unsupported => "the file system does not support links",
        })
    }
}

/// Finds out which links stay inside a folder.
pub(super) struct Inside<'l> {
    manifests: &'l [Manifest],
    /// The indices of the manifests by hash, filled for the first link that needs them.
    by_hash: HashMap<Hash, usize>,
}

impl<'l> Inside<'l> {
    pub(super) fn new(listing: &'l Listing) -> Self {
        Self {
            manifests: listing.manifests(),
            by_hash: HashMap::new(),
        }
    }

    /// Whether a link stays inside the folder: it is relative, never climbs above the top, and
    /// climbs only from folders in the listing. After the name of a link, `..` would climb from
    /// the target of that link.
    pub(super) fn stays(&mut self, link: ListedEntry<'_>, target: &str) -> bool {
        if is_absolute(target) {
            return false;
        }
        let above = std::iter::successors(link.parent(), |entry| entry.parent());
        let mut folders: Vec<_> = above.map(|folder| Some(folder.origin().0)).collect();
        folders.reverse();
        folders.push(Some(link.origin().0));
        for name in target.split(['/', std::path::MAIN_SEPARATOR]) {
            match name {
                "" | "." => {}
                // Nothing is above the top.
                ".." if folders.len() == 1 || folders.last() == Some(&None) => return false,
                ".." => {
                    folders.pop();
                }
                name => {
                    let at = folders.last().copied().flatten();
                    folders.push(at.and_then(|manifest| self.folder(manifest, name)));
                }
            }
        }
        true
    }

    /// The folder of this name in the directory of a manifest.
    fn folder(&mut self, manifest: usize, name: &str) -> Option<usize> {
        let entries = self.manifests[manifest].entries();
        let at = entries.binary_search_by(|entry| entry.name.as_str().cmp(name));
        let EntryKind::Folder { descriptor, .. } = &entries[at.ok()?].kind else {
            return None;
        };
        if self.by_hash.is_empty() {
            let hashes = self
                .manifests
                .iter()
                .map(|manifest| manifest.descriptor().hash());
            self.by_hash = hashes.zip(0..).collect();
        }
        self.by_hash.get(&descriptor.hash()).copied()
    }
}

/// Whether a target is absolute on any system: it begins at a root, or on a drive.
fn is_absolute(target: &str) -> bool {
    let has_drive = || target.as_bytes().get(1) == Some(&b':') && cfg!(windows);
    target.starts_with(['/', std::path::MAIN_SEPARATOR]) || has_drive()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{folder, link, manifest, unfold_these};

    /// A tree with `a/b/` and `a/link`, and the link under test in `a/b`.
    fn tree(target: &str) -> Listing {
        let b = manifest([link("asked", target)]);
        let a = manifest([folder("b", &b), link("link", "b")]);
        let top = manifest([folder("a", &a)]);
        unfold_these(&[top, a, b])
    }

    #[test]
    fn links_are_inside_if_no_component_leads_out() {
        for (target, expected) in [
            ("x", true),
            ("./x//y/", true),
            ("..", true),
            ("../..", true),
            ("../../a/b/x", true),
            ("../../gone/x", true),
            ("../b/../x", true),
            ("../../a/../a/b", true),
            ("../../..", false),
            ("../../../top", false),
            ("../../a/../../top", false),
            ("/", false),
            ("/etc/passwd", false),
            ("//host/share", false),
            // The target depends on a link, or on an entry that does not exist.
            ("../link/../x", false),
            ("../../gone/../x", false),
            ("asked/..", false),
        ] {
            let listing = tree(target);
            let asked = listing
                .entries()
                .find(|entry| entry.name() == "asked")
                .unwrap();
            assert_eq!(
                Inside::new(&listing).stays(asked, target),
                expected,
                "{target}"
            );
        }
    }

    #[test]
    fn choices_are_words() {
        for (word, links) in Links::WORDS {
            assert_eq!(
                (word.parse(), links.to_string()),
                (Ok(links), word.to_owned())
            );
        }
        let error = "some".parse::<Links>().unwrap_err().to_string();
        assert!(error.contains("\"some\"") && error.contains("inside, all or none"));
    }
}
