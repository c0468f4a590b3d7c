//! Reads all shared files and compares them with the recorded hashes. Changes nothing. Blocks.

use std::{
    cell::RefCell,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use pelago_content::{Descriptor, Hash, Kind};

use super::shares::each_page;
use crate::store::{DatabaseError, HashError, MemberState, Share, Store, hash_file};

/// The most files of one shared folder that are named; the others are counted.
const MAX_NAMED: usize = 20;

/// The events of a check of all shares, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckEvent {
    /// The check begins.
    Begun {
        /// How many shares there are.
        shares: u64,
        /// Bytes in all their files.
        bytes: u64,
    },
    /// The check makes progress.
    Reading {
        /// The share that it is reading.
        path: PathBuf,
        /// Bytes read so far, in all shares.
        bytes: u64,
    },
    /// A share has been read.
    Checked(CheckedShare),
}

/// The result for one share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedShare {
    /// Its recorded hash.
    pub hash: Hash,
    /// Its name.
    pub name: String,
    /// File or folder.
    pub kind: Kind,
    /// Its path.
    pub path: PathBuf,
    /// Its recorded size in bytes; for a folder, of all files below.
    pub size: u64,
    /// The first files that do not match: the share itself, or files of a shared folder.
    pub wrong: Vec<WrongFile>,
    /// How many such files there are.
    pub wrong_count: u64,
}

/// A file that does not match its recorded hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongFile {
    /// Its path.
    pub path: PathBuf,
    /// What is there instead.
    pub found: FoundFile,
}

/// What is at the path of a shared file that does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundFile {
    /// Other content.
    Other {
        /// Its hash.
        hash: Hash,
    },
    /// Nothing.
    Missing,
    /// Something that cannot be read, for this reason.
    Unreadable(String),
}

/// Reads every live share. Gives events to `take`, which may stop the check.
///
/// # Errors
/// The database cannot be read.
pub fn check_shares(
    store: &Store,
    take: &mut dyn FnMut(CheckEvent) -> ControlFlow<()>,
) -> Result<(), DatabaseError> {
    let (mut shares, mut bytes) = (0, 0_u64);
    each_page(store, |page| {
        for share in page {
            shares += 1;
            bytes = bytes.saturating_add(share.totals.bytes);
        }
        Ok(())
    })?;
    let mut check = Check {
        store,
        take: RefCell::new(take),
        read: 0,
    };
    if check.emit(CheckEvent::Begun { shares, bytes }).is_break() {
        return Ok(());
    }
    let mut flow = ControlFlow::Continue(());
    each_page(store, |page| {
        for share in page {
            if flow.is_continue() {
                flow = check.share(share)?;
            }
        }
        Ok(())
    })
}

struct Check<'c> {
    store: &'c Store,
    take: RefCell<&'c mut dyn FnMut(CheckEvent) -> ControlFlow<()>>,
    /// Bytes of the files that have been read.
    read: u64,
}

impl Check<'_> {
    fn emit(&self, event: CheckEvent) -> ControlFlow<()> {
        (self.take.borrow_mut())(event)
    }

    fn share(&mut self, share: Share) -> Result<ControlFlow<()>, DatabaseError> {
        let mut checked = CheckedShare {
            hash: share.hash,
            name: share.name,
            kind: share.descriptor.kind(),
            path: share.path,
            size: share.totals.bytes,
            wrong: Vec::new(),
            wrong_count: 0,
        };
        for (path, listed) in self.files_of(&checked.path, share.descriptor)? {
            let found = match self.file(&checked.path, &path, &listed) {
                ControlFlow::Continue(found) => found,
                ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
            };
            let Some(found) = found else { continue };
            checked.wrong_count += 1;
            if checked.wrong.len() < MAX_NAMED {
                checked.wrong.push(WrongFile { path, found });
            }
        }
        Ok(self.emit(CheckEvent::Checked(checked)))
    }

    /// The files of the share at `path`. A missing folder counts as one file.
    fn files_of(
        &self,
        path: &Path,
        share: Descriptor,
    ) -> Result<Vec<(PathBuf, Descriptor)>, DatabaseError> {
        if share.kind() == Kind::File || !path.is_dir() {
            return Ok(vec![(path.to_owned(), share)]);
        }
        let members = self.store.members(path)?.into_iter();
        let files = members.filter(|member| matches!(member.state, MemberState::File(_)));
        let files = files.map(|member| (path.join(member.path), member.descriptor));
        Ok(files.collect())
    }

    /// What is at `path` instead of the recorded content; `None` if it matches. Breaks if the check
    /// is to stop.
    fn file(
        &mut self,
        share: &Path,
        path: &Path,
        listed: &Descriptor,
    ) -> ControlFlow<(), Option<FoundFile>> {
        let progress = |bytes| {
            self.emit(CheckEvent::Reading {
                path: share.to_owned(),
                bytes: self.read.saturating_add(bytes),
            })
        };
        let hashed = hash_file(path, &progress);
        self.read = self.read.saturating_add(listed.size());
        ControlFlow::Continue(match hashed {
            Ok(hashed) if hashed.descriptor == *listed => None,
            Ok(hashed) => Some(FoundFile::Other {
                hash: hashed.descriptor.hash(),
            }),
            Err(HashError::Missing { .. }) => Some(FoundFile::Missing),
            Err(HashError::Stopped { .. }) => return ControlFlow::Break(()),
            Err(error) => Some(FoundFile::Unreadable(error.to_string())),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::node::shares::{self, ShareRequest};

    fn share(store: &Store, folder: &TempDir, name: &str) -> Hash {
        let request = ShareRequest::new(folder.path().join(name));
        let shared = shares::share(store, &request, &|_| ControlFlow::Continue(()));
        shared.unwrap().hash
    }

    /// A file and a folder of three that are shared.
    fn shares() -> (Store, TempDir, [Hash; 2]) {
        let (store, folder) = (Store::in_memory(), tempfile::tempdir().unwrap());
        fs::create_dir_all(folder.path().join("box/sub")).unwrap();
        for (name, content) in [
            ("file", "file"),
            ("box/a", "a"),
            ("box/sub/b", "b"),
            ("box/sub/c", "c"),
        ] {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let hashes = ["file", "box"].map(|name| share(&store, &folder, name));
        (store, folder, hashes)
    }

    fn checked(store: &Store) -> Vec<CheckedShare> {
        let mut checked = Vec::new();
        let mut begun = None;
        check_shares(store, &mut |event| {
            match event {
                CheckEvent::Begun { shares, bytes } => begun = Some((shares, bytes)),
                CheckEvent::Reading { .. } => {}
                CheckEvent::Checked(share) => checked.push(share),
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(begun, Some((2, 7)));
        checked.sort_by_key(|share| share.kind == Kind::Folder);
        checked
    }

    #[test]
    fn matching_files_are_not_reported() {
        let (store, _folder, hashes) = shares();
        let checked = checked(&store);
        let found = checked.iter().map(|share| (share.hash, share.wrong_count));
        assert!(found.eq(hashes.map(|hash| (hash, 0))), "{checked:?}");
    }

    #[test]
    fn each_file_that_does_not_match_is_named() {
        let (store, folder, _) = shares();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "FILE").unwrap();
        fs::write(at("box/a"), "A").unwrap();
        fs::remove_file(at("box/sub/b")).unwrap();
        fs::remove_file(at("box/sub/c")).unwrap();
        fs::create_dir(at("box/sub/c")).unwrap();
        let [file, tree] = &checked(&store)[..] else {
            panic!("two are shared");
        };
        let hash_of = |name: &str| {
            let hashed = hash_file(&at(name), &|_| ControlFlow::Continue(()));
            hashed.unwrap().descriptor.hash()
        };
        let other = |name: &str| WrongFile {
            path: at(name),
            found: FoundFile::Other {
                hash: hash_of(name),
            },
        };
        assert_eq!(file.wrong, [other("file")]);
        assert_eq!((file.wrong_count, tree.wrong_count), (1, 3));
        assert_eq!(tree.wrong[0], other("box/a"));
        assert_eq!(tree.wrong[1].found, FoundFile::Missing);
        assert!(matches!(tree.wrong[2].found, FoundFile::Unreadable(_)));
    }

    #[test]
    fn a_folder_that_is_gone_is_missing_and_many_wrong_files_are_counted() {
        let (store, folder, _) = shares();
        fs::remove_dir_all(folder.path().join("box")).unwrap();
        let gone = &checked(&store)[1];
        assert_eq!(gone.wrong[0].path, folder.path().join("box"));
        assert_eq!(gone.wrong[0].found, FoundFile::Missing);

        let (store, folder) = (Store::in_memory(), tempfile::tempdir().unwrap());
        fs::create_dir(folder.path().join("many")).unwrap();
        let path = |n: usize| folder.path().join(format!("many/{n}"));
        (0..MAX_NAMED + 5).for_each(|n| fs::write(path(n), "content").unwrap());
        share(&store, &folder, "many");
        (0..MAX_NAMED + 5).for_each(|n| fs::remove_file(path(n)).unwrap());
        let mut found = None;
        check_shares(&store, &mut |event| {
            if let CheckEvent::Checked(share) = event {
                found = Some((share.wrong.len(), share.wrong_count));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(found, Some((MAX_NAMED, MAX_NAMED as u64 + 5)));
    }

    #[test]
    fn it_stops_when_take_breaks() {
        let (store, _folder, _) = shares();
        let mut events = 0;
        check_shares(&store, &mut |_| {
            events += 1;
            ControlFlow::Break(())
        })
        .unwrap();
        assert_eq!(events, 1);
    }
}
