//! How a folder lies on this disk, where that is not as its manifests say: names that the file system
//! cannot hold, and links that are not created.
//!
//! Pure, and the same each time for the same folder, file system and choice of links, so that a download
//! that resumes finds its files. All paths that a download writes to come from here.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use pelago_content::{EntryKind, ListedEntry, Listing};

use super::{
    Selection,
    file_system::FileSystem,
    links::{Inside, LinkOmission, Links},
};
use crate::store::{escape::escaped, received::Received};

/// Differences that are listed for people, at most: a folder may have millions.
pub const MAX_LISTED_DIFFERENCES: usize = 1000;

/// How one folder lies here.
#[derive(Debug)]
pub(super) struct LocalPaths {
    listing: Arc<Listing>,
    /// The names of entries that cannot keep their own, by the manifest and the entry in it: the same
    /// wherever that manifest is listed.
    names: HashMap<(usize, usize), String>,
    /// Links that are not created, by their places in the listing.
    left_out: HashMap<usize, LinkOmission>,
    keeps_executable: bool,
}

/// Something that lies here other than its manifest says, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The file system cannot hold the name of an entry.
    Renamed {
        /// The path of the entry in the folder.
        path: String,
        /// What it is called here.
        name: String,
    },
    /// A symbolic link is not created.
    LinkLeftOut {
        /// Its path in the folder.
        path: String,
        /// Its target.
        target: String,
        /// Why.
        why: LinkOmission,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renamed { path, name } => {
                write!(f, "{} is called {} here", escaped(path), escaped(name))
            }
            Self::LinkLeftOut { path, target, why } => {
                let (path, target) = (escaped(path), escaped(target));
                write!(f, "the link {path} -> {target} is left out: {why}")
            }
        }
    }
}

/// What lies here other than its manifests say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// How many entries have another name.
    pub renamed: u64,
    /// How many symbolic links are left out.
    pub links_left_out: u64,
    /// The first of them, at most [`MAX_LISTED_DIFFERENCES`].
    pub listed: Vec<Difference>,
}

impl Differences {
    /// Whether all is as its manifests say.
    pub const fn is_empty(&self) -> bool {
        self.renamed == 0 && self.links_left_out == 0
    }
}

/// How many there are, in a few words.
impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |number: u64, one: &str, many: &str| match number {
            0 => None,
            1 => Some(format!("1 {one}")),
            number => Some(format!("{number} {many}")),
        };
        let renamed = count(self.renamed, "name is changed", "names are changed");
        let links = count(
            self.links_left_out,
            "link is left out",
            "links are left out",
        );
        let both: Vec<_> = renamed.into_iter().chain(links).collect();
        f.write_str(&both.join(", "))
    }
}

impl LocalPaths {
    pub(super) fn new(listing: &Arc<Listing>, file_system: &FileSystem, links: Links) -> Self {
        let mut names = HashMap::new();
        for (number, manifest) in listing.manifests().iter().enumerate() {
            let of_manifest = manifest.entries().iter().map(|entry| entry.name.as_str());
            let renamed = file_system.renamed(of_manifest);
            names.extend(
                renamed
                    .into_iter()
                    .map(|(entry, name)| ((number, entry), name)),
            );
        }
        let mut inside = Inside::new(listing);
        let mut omission = |entry: ListedEntry<'_>| {
            let EntryKind::Symlink { target } = entry.kind() else {
                return None;
            };
            match links {
                Links::None => Some(LinkOmission::Unwanted),
                Links::Inside if !inside.stays(entry, target) => Some(LinkOmission::LeadsOut),
                _ if !file_system.supports_links => Some(LinkOmission::Unsupported),
                _ => None,
            }
        };
        let left_out = listing.entries();
        let left_out = left_out.filter_map(|entry| Some((entry.index(), omission(entry)?)));
        Self {
            left_out: left_out.collect(),
            listing: Arc::clone(listing),
            names,
            keeps_executable: file_system.keeps_executable,
        }
    }

    pub(super) const fn listing(&self) -> &Arc<Listing> {
        &self.listing
    }

    /// The path of an entry on this disk, from the folder, with `/` between the names.
    pub(super) fn path(&self, entry: ListedEntry<'_>) -> String {
        if self.names.is_empty() {
            return entry.path();
        }
        let above = std::iter::successors(Some(entry), |entry| entry.parent());
        let mut names: Vec<_> = above.map(|entry| self.name(entry)).collect();
        names.reverse();
        names.join("/")
    }

    fn name<'n>(&'n self, entry: ListedEntry<'n>) -> &'n str {
        let other = self.names.get(&entry.origin());
        other.map_or_else(|| entry.name(), String::as_str)
    }

    /// Whether an entry is to be here: links may be left out.
    pub(super) fn has(&self, entry: ListedEntry<'_>) -> bool {
        !self.left_out.contains_key(&entry.index())
    }

    /// What of the selection lies here other than its manifests say.
    pub(super) fn differences(&self, selection: &Selection) -> Differences {
        let mut differences = Differences::default();
        if self.names.is_empty() && self.left_out.is_empty() {
            return differences;
        }
        for entry in self.listing.entries() {
            let name = self.names.get(&entry.origin());
            let why = self.left_out.get(&entry.index());
            if name.is_none() && why.is_none() || !selection.takes(&entry.path()) {
                continue;
            }
            let path = entry.path();
            let difference = match (entry.kind(), why, name) {
                (EntryKind::Symlink { target }, Some(why), _) => {
                    differences.links_left_out += 1;
                    let (target, why) = (target.clone(), *why);
                    Difference::LinkLeftOut { path, target, why }
                }
                (_, _, Some(name)) => {
                    differences.renamed += 1;
                    let name = name.clone();
                    Difference::Renamed { path, name }
                }
                _ => continue,
            };
            if differences.listed.len() < MAX_LISTED_DIFFERENCES {
                differences.listed.push(difference);
            }
        }
        differences
    }

    /// The differences that the file system imposes, which strict names refuse.
    pub(super) fn imposed(&self, selection: &Selection) -> Differences {
        let mut differences = self.differences(selection);
        let is_imposed = |why: LinkOmission| why == LinkOmission::Unsupported;
        let links = self.left_out.values().filter(|why| is_imposed(**why));
        differences.links_left_out = links.count() as u64;
        differences.listed.retain(|difference| match difference {
            Difference::Renamed { .. } => true,
            Difference::LinkLeftOut { why, .. } => is_imposed(*why),
        });
        differences
    }

    /// What is to be known of it when it is shared again; none if it lies as its manifests say.
    pub(super) fn received(&self) -> Option<Received> {
        if self.names.is_empty() && self.left_out.is_empty() && self.keeps_executable {
            return None;
        }
        let mut received = Received::default();
        let mut executables = BTreeSet::new();
        for entry in self.listing.entries() {
            if self.names.contains_key(&entry.origin()) && self.has(entry) {
                received.rename(self.path(entry), entry.name());
            }
            match entry.kind() {
                EntryKind::Symlink { target } if !self.has(entry) => {
                    let above = entry.parent().map(|folder| self.path(folder));
                    received.leave_out(above.unwrap_or_default(), entry.name(), target);
                }
                EntryKind::File {
                    executable: true, ..
                } if !self.keeps_executable => {
                    executables.insert(self.path(entry));
                }
                _ => {}
            }
            if received.is_too_long() {
                break;
            }
        }
        if !self.keeps_executable {
            received.set_executables(executables);
        }
        Some(received)
    }
}
