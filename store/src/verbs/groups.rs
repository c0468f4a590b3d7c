//! What a node keeps of its groups, as rows that the module of groups writes and reads.
//!
//! A row belongs to a group or to a user, and has a kind and a key. The store does not know what is in
//! it. Changes that belong together are one commit. Errors are those of the database.

use redb::{ReadOnlyTable, TableError};

use crate::{
    DatabaseError, GroupRow, Store,
    database::{GROUPS, GroupKey},
};

/// A change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupChange {
    /// What the row is.
    pub kind: GroupRow,
    /// The group or the user to which it belongs.
    pub of: [u8; 32],
    /// Its key.
    pub key: Vec<u8>,
    /// What it holds from now on; `None` removes it.
    pub row: Option<Vec<u8>>,
}

impl Store {
    /// Gives all rows of a kind to `take`: to what each belongs, its key, and what it holds.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn each_group_row(
        &self,
        kind: GroupRow,
        mut take: impl FnMut([u8; 32], &[u8], &[u8]),
    ) -> Result<(), DatabaseError> {
        let kind = kind as u8;
        self.read_groups(|table| {
            let first = (kind, &[0; 32], &[][..]);
            let next = (kind + 1, &[0; 32], &[][..]);
            for entry in table.range(first..next)? {
                let (key, row) = entry?;
                let (_, of, key) = key.value();
                take(*of, key, row.value());
            }
            Ok(())
        })
    }

    /// The row of a kind with this key.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn group_row(
        &self,
        kind: GroupRow,
        of: &[u8; 32],
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.read_groups(|table| {
            let row = table.get((kind as u8, of, key))?;
            Ok(row.map(|row| row.value().to_vec()))
        })
    }

    /// Runs `read` on the table of groups; the default if there is none, as an earlier version wrote
    /// the database.
    pub(super) fn read_groups<T: Default>(
        &self,
        read: impl FnOnce(&ReadOnlyTable<GroupKey<'static>, &'static [u8]>) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        self.inner
            .database
            .read(|transaction| match transaction.open_table(GROUPS) {
                Ok(table) => read(&table),
                Err(TableError::TableDoesNotExist(_)) => Ok(T::default()),
                Err(error) => Err(error.into()),
            })
    }

    /// Makes these changes in one commit.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]. Nothing is changed then.
    pub fn change_groups(&self, changes: &[GroupChange]) -> Result<(), DatabaseError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.inner.database.write_with_spare(|transaction| {
            let mut table = transaction.open_table(GROUPS)?;
            for GroupChange { kind, of, key, row } in changes {
                let key = (*kind as u8, of, &key[..]);
                match row {
                    Some(row) => table.insert(key, &row[..])?,
                    None => table.remove(key)?,
                };
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_every_store;

    fn change(kind: GroupRow, of: u8, key: &[u8], row: Option<&[u8]>) -> GroupChange {
        GroupChange {
            kind,
            of: [of; 32],
            key: key.to_vec(),
            row: row.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn rows_are_found_by_kind_and_change_together() {
        on_every_store(|home| {
            let rows = |kind| {
                let mut rows = Vec::new();
                let take = |of: [u8; 32], key: &[u8], row: &[u8]| {
                    rows.push((of[0], key.to_vec(), row.to_vec()));
                };
                home.store.each_group_row(kind, take).unwrap();
                rows
            };
            assert_eq!(rows(GroupRow::Statement), []);
            let changes = [
                change(GroupRow::Statement, 1, b"a", Some(b"first")),
                change(GroupRow::Statement, 0xFF, &[0xFF; 70], Some(b"last")),
                change(GroupRow::Facts, 0, b"", Some(b"facts")),
            ];
            home.store.change_groups(&changes).unwrap();
            let commits = home.store.commits();
            let changes = [
                change(GroupRow::Statement, 1, b"a", None),
                change(GroupRow::Statement, 2, b"b", Some(b"second")),
                change(GroupRow::Request, 2, b"missing", None),
            ];
            home.store.change_groups(&changes).unwrap();
            home.store.change_groups(&[]).unwrap();
            assert_eq!(home.store.commits(), commits + 1);
            let expected = [
                (2, b"b".to_vec(), b"second".to_vec()),
                (0xFF, vec![0xFF; 70], b"last".to_vec()),
            ];
            assert_eq!(rows(GroupRow::Statement), expected);
            let facts = home.store.group_row(GroupRow::Facts, &[0; 32], b"");
            assert_eq!(facts.unwrap().as_deref(), Some(&b"facts"[..]));
        });
    }
}
