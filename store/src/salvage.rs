//! Reads the rows that a damaged database still holds.
//!
//! Knows the layout of a leaf page of redb (file format 3). Pages are read one after the other,
//! without the tree above them, so that a damaged page costs only its own rows. No content of a
//! page causes a loop or a panic. A page that redb has released and not reused looks like any
//! other, so each row is only a claim. One of a share has to be compared with the file that it names,
//! and is never a reason to share anything; one of a group bears the signature of its author. Errors
//! are those of the disk.

use std::{fs::File, io};

use pelago_groups::{GroupId, Statement};

use super::{Member, Share, files, peers};
use crate::{GroupRow, Known, KnownPeer};

/// The size of a page of redb in bytes; a larger row has several consecutive pages.
const PAGE_LEN: u64 = 4096;

/// The first byte of a leaf page.
const LEAF: u8 = 1;

/// The size of the header in bytes: the kind of page, an unused byte, and the number of pairs.
const HEAD_LEN: usize = 4;

/// How many bytes of a page are read at most. Paths are shorter than 4 KiB on most systems, so that
/// no page of ours is larger.
const MAX_PAGE_LEN: u64 = 64 * 1024;

/// A row that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SalvagedRow {
    /// A share.
    Share(Share),
    /// A member of the shared folder at this path.
    Member(String, Member),
    /// A known peer.
    Peer(KnownPeer),
    /// A row of a group.
    Group(SalvagedGroupRow),
}

/// A row of a group that was found: of the kinds that cost members something, or say what is a
/// group's. The others come again from members, or may be out of date in a way that matters: a node
/// without what it noted of its invites asks a person.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SalvagedGroupRow {
    pub(super) of: [u8; 32],
    pub(super) key: Vec<u8>,
    pub(super) value: GroupValue,
}

/// What a row of a group holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum GroupValue {
    /// A statement of the group, which is valid.
    Statement(Statement),
    /// What the user of this node states of himself, which is valid.
    Profile(Statement),
    /// The request of the user of this node to join, which the module of groups verifies.
    Join(Vec<u8>),
    /// What is known from a group, and since when.
    Known(Known, GroupId, Vec<u8>),
}

impl GroupValue {
    pub(super) const fn kind(&self) -> GroupRow {
        match self {
            Self::Statement(_) => GroupRow::Statement,
            Self::Profile(_) => GroupRow::Profile,
            Self::Join(_) => GroupRow::Join,
            Self::Known(..) => GroupRow::Known,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Statement(statement) | Self::Profile(statement) => statement.as_bytes(),
            Self::Join(row) | Self::Known(_, _, row) => row,
        }
    }

    /// Whether it takes the place of `other` in the same row.
    pub(super) fn supersedes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Statement(own), Self::Statement(other))
            | (Self::Profile(own), Self::Profile(other)) => own.supersedes(other),
            _ => false,
        }
    }
}

/// Passes all rows that are found in `file` to `take`, in no order, and some of them more than
/// once.
pub(super) fn each_row<E: From<io::Error>>(
    file: &File,
    mut take: impl FnMut(SalvagedRow) -> Result<(), E>,
) -> Result<(), E> {
    let len = file.metadata()?.len();
    let mut start = 0;
    while start + PAGE_LEN <= len {
        let first = files::read_vec_at(file, start, PAGE_LEN as usize)?;
        if first[0] == LEAF {
            let wanted = page_len(&first).clamp(PAGE_LEN, MAX_PAGE_LEN.min(len - start));
            let page = files::read_vec_at(file, start, wanted as usize)?;
            for (key, value) in pairs(&page) {
                row(key, value).map_or(Ok(()), &mut take)?;
            }
        }
        start += PAGE_LEN;
    }
    Ok(())
}

/// The end of the values of a page.
fn page_len(first: &[u8]) -> u64 {
    let count = count(first);
    count
        .checked_sub(1)
        .and_then(|last| end(first, count + last))
        .map_or(0, |end| end as u64)
}

fn count(page: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([page[2], page[3]]))
}

/// The keys and values of a page with keys and values of variable length: the ends of keys, the
/// ends of values, the keys, the values. Pairs outside the page are skipped.
fn pairs(page: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let count = count(page);
    let first_key = HEAD_LEN + 2 * count * size_of::<u32>();
    let first_value = end(page, count.saturating_sub(1)).unwrap_or(page.len());
    let start = |number: usize, first: usize, before: usize| match number {
        0 => Some(first),
        _ => end(page, before + number - 1),
    };
    (0..count).filter_map(move |number| {
        let key = start(number, first_key, 0)?..end(page, number)?;
        let value = start(number, first_value, count)?..end(page, count + number)?;
        Some((page.get(key)?, page.get(value)?))
    })
}

/// The end with this number.
fn end(page: &[u8], number: usize) -> Option<usize> {
    let ends = page.get(HEAD_LEN + number * size_of::<u32>()..)?;
    usize::try_from(u32::from_le_bytes(*ends.first_chunk()?)).ok()
}

/// The row of a pair, if it is a complete row of one of our tables.
fn row(key: &[u8], value: &[u8]) -> Option<SalvagedRow> {
    let share = || share(key, value).map(SalvagedRow::Share);
    let member = || member(key, value).map(|(folder, member)| SalvagedRow::Member(folder, member));
    let peer = || peers::from_row(key, value).map(SalvagedRow::Peer);
    let group = || group(key, value).map(SalvagedRow::Group);
    share().or_else(member).or_else(peer).or_else(group)
}

fn group(key: &[u8], value: &[u8]) -> Option<SalvagedGroupRow> {
    let (kind, rest) = key.split_first()?;
    let (of, key) = rest.split_first_chunk()?;
    let statement = || Statement::from_bytes(value).ok();
    let value = if *kind == GroupRow::Statement as u8 {
        let is_its = |statement: &Statement| {
            let group = statement.group();
            !key.is_empty() && group.is_none_or(|group| group.as_bytes() == of)
        };
        GroupValue::Statement(statement().filter(is_its)?)
    } else if *kind == GroupRow::Profile as u8 {
        let is_his = |statement: &Statement| {
            let profile = statement.profile();
            key.is_empty() && profile.is_some_and(|profile| profile.user.as_bytes() == of)
        };
        GroupValue::Profile(statement().filter(is_his)?)
    } else if *kind == GroupRow::Join as u8 && key.is_empty() && !value.is_empty() {
        GroupValue::Join(value.to_vec())
    } else if *kind == GroupRow::Known as u8 && value.len() == size_of::<u64>() {
        let (known, group) = Known::from_row(of, key)?;
        GroupValue::Known(known, group, value.to_vec())
    } else {
        return None;
    };
    let (of, key) = (*of, key.to_vec());
    Some(SalvagedGroupRow { of, key, value })
}

fn share(key: &[u8], value: &[u8]) -> Option<Share> {
    let (hash, path) = key.split_first_chunk()?;
    let share = Share::from_row(hash, std::str::from_utf8(path).ok()?, value).ok()?;
    let is_whole = share.path.is_absolute() && share.descriptor.hash() == share.hash;
    is_whole.then_some(share)
}

/// The key begins with the length of the path of the folder.
fn member(key: &[u8], value: &[u8]) -> Option<(String, Member)> {
    let (len, paths) = match key {
        [254, low, high, paths @ ..] => (u16::from_le_bytes([*low, *high]).into(), paths),
        [len @ 0..=253, paths @ ..] => (usize::from(*len), paths),
        _ => return None,
    };
    let (folder, path) = paths.split_at_checked(len)?;
    let (folder, path) = (
        std::str::from_utf8(folder).ok()?,
        std::str::from_utf8(path).ok()?,
    );
    let member = Member::from_row(path, value).ok()?;
    let is_whole = std::path::Path::new(folder).is_absolute();
    is_whole.then(|| (folder.to_owned(), member))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{
        NewFolder, Origin, Scope,
        testing::{Home, bytes, go_on},
    };

    fn rows(path: &Path) -> Vec<SalvagedRow> {
        let mut rows = Vec::new();
        let file = File::open(path).unwrap();
        each_row(&file, |row| {
            rows.push(row);
            Ok::<_, io::Error>(())
        })
        .unwrap();
        rows
    }

    #[test]
    fn rows_are_found_without_the_tree_above_them() {
        let home = Home::on_disk();
        let share = home.share("single", b"content");
        // The length of the folder's path takes three bytes, and a row more than a page.
        let long = "x".repeat(200);
        let folder = home.path(&format!("{long}/{long}"));
        let deep = folder.join(["y"; 15].map(|name| name.repeat(200)).join("/"));
        fs::create_dir_all(&deep).unwrap();
        fs::write(folder.join("z"), "file").unwrap();
        fs::write(deep.join("z"), "deep").unwrap();
        let new = NewFolder {
            path: folder.clone(),
            name: "folder".to_owned(),
            scopes: Scope::Everyone.into(),
            origin: Origin::Explicit,
        };
        home.store.share_folder(&new, &go_on).unwrap();
        let members = home.store.members(&folder).unwrap();
        let path = home.store.folder().unwrap().join("state.redb");
        let mut database = fs::read(&path).unwrap();
        drop(home.store);
        database[..4096].fill(0);
        fs::write(&path, database).unwrap();
        let rows = rows(&path);
        let is_share = |row: &SalvagedRow| match row {
            SalvagedRow::Share(found) => found.path == share.path,
            _ => false,
        };
        assert!(rows.iter().any(is_share), "{rows:?}");
        for member in members {
            let expected = SalvagedRow::Member(folder.to_str().unwrap().to_owned(), member);
            assert!(rows.contains(&expected), "{expected:?}");
        }
    }

    #[test]
    fn random_pages_give_no_rows_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for seed in 0..50 {
            let mut noise = bytes(10 * PAGE_LEN + seed, seed);
            for page in noise.chunks_exact_mut(PAGE_LEN as usize) {
                page[0] = LEAF;
                // Few pairs, whose ends are arbitrary.
                page[3] = 0;
            }
            fs::write(&path, noise).unwrap();
            assert_eq!(rows(&path), []);
        }
        fs::write(&path, [LEAF; 4096]).unwrap();
        assert_eq!(rows(&path), []);
        fs::write(&path, bytes(100, 1)).unwrap();
        assert_eq!(rows(&path), []);
    }
}
