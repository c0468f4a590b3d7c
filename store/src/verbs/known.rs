//! What this node knows from groups, by content and by name: so that it looks for that in the group,
//! and not elsewhere when its user has left it.
//!
//! A row in the table of groups for each content, or name, and group. Rows stay when a membership
//! ends. Their number is bounded: the group with the most forgets the half that it has known longest.
//! Errors are those of the database.

use std::collections::HashMap;

use pelago_groups::GroupId;
use redb::ReadableTable;

use crate::{
    DatabaseError, GroupRow, Known, Store,
    clock::unix_now,
    database::{GROUPS, GroupKey},
};

/// The most rows: 6 MB of the database.
const MAX_KNOWN: usize = 1 << 16;

/// The most rows that are added at a time, so that no group replaces all others at once.
const MAX_AT_ONCE: usize = MAX_KNOWN / 2;

fn key(kind: u8, group: &GroupId) -> [u8; 33] {
    let mut key = [kind; 33];
    key[1..].copy_from_slice(group.as_bytes());
    key
}

impl Store {
    /// Notes what is known from `group`. What is known already costs no commit.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn note_known(
        &self,
        group: GroupId,
        what: impl IntoIterator<Item = Known>,
    ) -> Result<(), DatabaseError> {
        self.note_known_at_most(group, what, MAX_KNOWN)
    }

    fn note_known_at_most(
        &self,
        group: GroupId,
        what: impl IntoIterator<Item = Known>,
        limit: usize,
    ) -> Result<(), DatabaseError> {
        let what = what.into_iter().take(MAX_AT_ONCE.min(limit));
        let mut new = what.collect::<Vec<_>>();
        self.read_groups(|table| {
            for known in std::mem::take(&mut new) {
                let (of, kind) = known.parts();
                let key = key(kind, &group);
                if table.get((GroupRow::Known as u8, of, &key[..]))?.is_none() {
                    new.push(known);
                }
            }
            Ok(())
        })?;
        if new.is_empty() {
            return Ok(());
        }
        let now = unix_now().to_be_bytes();
        self.inner.database.write_with_spare(|transaction| {
            let mut table = transaction.open_table(GROUPS)?;
            for known in &new {
                let (of, kind) = known.parts();
                let key = key(kind, &group);
                table.insert((GroupRow::Known as u8, of, &key[..]), &now[..])?;
            }
            for (known, group) in superfluous(&table, limit)? {
                let (of, kind) = known.parts();
                table.remove((GroupRow::Known as u8, of, &key(kind, &group)[..]))?;
            }
            Ok(())
        })
    }

    /// The groups from which this is known, also those that the user of this node has left.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn groups_that_know(&self, known: &Known) -> Result<Vec<GroupId>, DatabaseError> {
        let (of, kind) = known.parts();
        self.read_groups(|table| {
            let first = (GroupRow::Known as u8, of, &[kind][..]);
            let next = (GroupRow::Known as u8, of, &[kind + 1][..]);
            let mut groups = Vec::new();
            for entry in table.range(first..next)? {
                let (row, _) = entry?;
                let (_, of, key) = row.value();
                groups.extend(Known::from_row(of, key).map(|(_, group)| group));
            }
            Ok(groups)
        })
    }
}

/// The rows to remove so that no more than `limit` are left.
fn superfluous(
    table: &impl ReadableTable<GroupKey<'static>, &'static [u8]>,
    limit: usize,
) -> Result<Vec<(Known, GroupId)>, redb::Error> {
    let first = (GroupRow::Known as u8, &[0; 32], &[][..]);
    let next = (GroupRow::Known as u8 + 1, &[0; 32], &[][..]);
    let mut by_group = HashMap::<GroupId, Vec<(Vec<u8>, Known)>>::new();
    let mut count = 0;
    for entry in table.range(first..next)? {
        let (row, since) = entry?;
        let (_, of, key) = row.value();
        if let Some((known, group)) = Known::from_row(of, key) {
            let rows = by_group.entry(group).or_default();
            rows.push((since.value().to_vec(), known));
            count += 1;
        }
    }
    let mut removed = Vec::new();
    while count > limit
        && let Some((group, rows)) = by_group.iter_mut().max_by_key(|(_, rows)| rows.len())
    {
        rows.sort_unstable();
        let oldest = rows.drain(..rows.len().div_ceil(2));
        removed.extend(oldest.map(|(_, known)| (known, *group)));
        count = by_group.values().map(Vec::len).sum();
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use pelago_content::Hash;

    use super::*;
    use crate::testing::on_every_store;

    fn group(number: u8) -> GroupId {
        GroupId::from_bytes([number; 32])
    }

    fn content(number: u8) -> Known {
        Known::Content(Hash::from_bytes([number; 32]))
    }

    #[test]
    fn what_is_known_from_several_groups_is_found_and_noted_once() {
        on_every_store(|home| {
            let groups = |known| home.store.groups_that_know(&known).unwrap();
            assert_eq!(groups(content(0xFF)), []);
            let both = [content(0xFF), Known::name("notes.txt")];
            home.store.note_known(group(1), both).unwrap();
            home.store.note_known(group(0xFF), both).unwrap();
            let commits = home.store.commits();
            home.store.note_known(group(1), both).unwrap();
            assert_eq!(home.store.commits(), commits);
            for known in both {
                assert_eq!(groups(known), [group(1), group(0xFF)]);
            }
            let same = *Hash::from_bytes([0xFF; 32]).as_bytes();
            assert_eq!(groups(Known::Name(same)), [], "a hash and a name differ");
            assert_eq!(groups(Known::name("notes")), []);
        });
    }

    #[test]
    fn a_group_that_is_known_for_much_makes_no_other_forgotten() {
        on_every_store(|home| {
            let note = |number, what: std::ops::Range<u8>| {
                let what = what.map(content);
                home.store
                    .note_known_at_most(group(number), what, 40)
                    .unwrap();
            };
            note(1, 0..5);
            for start in [0, 40, 80, 120, 160] {
                note(2, start..start + 40);
            }
            let knows = |number: u8| {
                let of = |known: &u8| {
                    let groups = home.store.groups_that_know(&content(*known));
                    groups.unwrap().contains(&group(number))
                };
                (0..=255).filter(of).count()
            };
            assert_eq!(knows(1), 5);
            assert!((10..=35).contains(&knows(2)), "{}", knows(2));
        });
    }
}
