//! The paths that the entries of a folder have on this disk, and which links are left out. Pure:
//! the same folder, file system and choice of links give the same paths, so that a download that
//! resumes finds its files. Every path that a download writes to comes from here.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use pelago_content::{EntryKind, ListedEntry, Listing};

use super::{
    differences::{Difference, Differences, MAX_LISTED_DIFFERENCES},
    file_system::FileSystem,
    links::{Inside, LinkOmission, Links},
    selection::Selection,
};
use crate::received::Received;

/// The paths of one folder.
#[derive(Debug)]
pub(super) struct LocalPaths {
    listing: Arc<Listing>,
    /// Other names for entries that cannot keep their own, by manifest and entry. They are the
    /// same wherever that manifest occurs.
    names: HashMap<(usize, usize), String>,
    /// Links that are not created, by their indices in the listing.
    left_out: HashMap<usize, LinkOmission>,
    keeps_executable: bool,
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

    /// The path of an entry from the top of the folder, with `/` between the names.
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

    /// Whether an entry is created. Links may be left out.
    pub(super) fn has(&self, entry: ListedEntry<'_>) -> bool {
        !self.left_out.contains_key(&entry.index())
    }

    /// How the selected entries differ from their manifests.
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

    /// The differences that the file system requires. `strict_names` refuses these.
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

    /// What has to be kept, so that the folder has the same hash when it is shared again. None if
    /// nothing differs.
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
