//! How a downloaded folder differs from its manifests: names that the file system cannot hold, and
//! links that are not created.

use std::fmt;

use super::links::LinkOmission;
use crate::escape::escaped;

/// How many differences are listed for people: a folder may have millions.
pub const MAX_LISTED_DIFFERENCES: usize = 1000;

/// An entry that has another name here, or is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The file system cannot hold the name of an entry.
    Renamed {
        /// The path of the entry in the folder.
        path: String,
        /// Its name on this disk.
        name: String,
    },
    /// A symbolic link is not created.
    LinkLeftOut {
        /// The path of the link in the folder.
        path: String,
        /// Its target.
        target: String,
        /// Why it is left out.
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

/// How a folder on this disk differs from its manifests.
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
    /// Whether the folder is as its manifests say.
    pub const fn is_empty(&self) -> bool {
        self.renamed == 0 && self.links_left_out == 0
    }
}

/// The numbers, in a few words.
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
