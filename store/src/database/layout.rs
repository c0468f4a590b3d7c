//! The tables of the database, and the version of their layout.

use std::ops::RangeInclusive;

use redb::{ReadableDatabase, TableDefinition, WriteTransaction};

/// (hash, path) -> row; see `share`.
pub(crate) const SHARES: TableDefinition<'_, (&[u8; 32], &str), &[u8]> =
    TableDefinition::new("shares");
/// path -> hash: the row of a path is found without knowing its content.
pub(crate) const PATHS: TableDefinition<'_, &str, &[u8; 32]> = TableDefinition::new("paths");
/// (folder, path below it) -> row: the members of shared folders; see `members`.
pub(crate) const MEMBERS: TableDefinition<'_, (&str, &str), &[u8]> =
    TableDefinition::new("members");
/// (hash, folder, path below it): where content is stored in shared folders.
pub(crate) const MEMBER_HASHES: TableDefinition<'_, (&[u8; 32], &str, &str), ()> =
    TableDefinition::new("member_hashes");
/// hash: content that stays unlisted wherever a watched folder finds it; see `unlisted`. A database
/// of an earlier version gets the table when shares are written.
pub(crate) const UNLISTED: TableDefinition<'_, &[u8; 32], ()> = TableDefinition::new("unlisted");
/// (scope, hash, path): the shares in the catalogue of each scope; see `catalogues`. A database of an
/// earlier version gets the table when it is first needed.
pub(crate) const CATALOGUES: TableDefinition<'_, (&[u8; 33], &[u8; 32], &str), ()> =
    TableDefinition::new("catalogues");
/// hash: content that belongs to groups, wherever a watched folder finds it; see `unlisted`.
pub(crate) const CONFINED: TableDefinition<'_, &[u8; 32], ()> = TableDefinition::new("confined");
/// peer id -> row; see `peers`.
pub(crate) const PEERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("peers");
/// hash -> when it is next announced; see `publications`.
pub(crate) const PUBLICATIONS: TableDefinition<'_, &[u8; 32], u64> =
    TableDefinition::new("publications");
/// Kind, group or user, and key.
pub(crate) type GroupKey<'k> = (u8, &'k [u8; 32], &'k [u8]);

/// (kind, group or user, key) -> row; see `groups`. A database of an earlier version gets the table
/// when a group is written.
pub(crate) const GROUPS: TableDefinition<'_, GroupKey<'_>, &[u8]> = TableDefinition::new("groups");
/// Facts about the database itself, and about its tables as a whole.
pub(crate) const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");

/// The fact that names the version of the tables and rows.
pub(super) const LAYOUT: &str = "layout";

/// The fact that names the node whose publications are recorded.
pub(crate) const PUBLISHER: &str = "publisher";

/// The layout that this version writes. Any other number needs a migration.
pub(super) const LAYOUT_VERSION: u64 = 3;

/// The earlier layouts: without members of folders, and without groups. All their rows are still
/// valid.
pub(super) const EARLIER_LAYOUTS: RangeInclusive<u64> = 1..=2;

/// The version of the layout; `None` if there are no tables.
pub(super) fn layout(database: &redb::Database) -> Result<Option<u64>, redb::Error> {
    let transaction = database.begin_read()?;
    if transaction.list_tables()?.next().is_none() {
        return Ok(None);
    }
    let found = match transaction.open_table(FACTS) {
        Ok(facts) => facts.get(LAYOUT)?.map(|version| version.value()),
        Err(redb::TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(error.into()),
    };
    // These tables are not ours. Version 0 never existed, so it is refused.
    Ok(Some(found.unwrap_or(0)))
}

/// Creates the tables that an earlier layout may lack. Those of unlisted content and of catalogues
/// are made from the shares, when shares are first written or a catalogue is first read.
pub(super) fn lay_out(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(SHARES)?;
    transaction.open_table(PATHS)?;
    transaction.open_table(MEMBERS)?;
    transaction.open_table(MEMBER_HASHES)?;
    transaction.open_table(PEERS)?;
    transaction.open_table(PUBLICATIONS)?;
    transaction.open_table(GROUPS)?;
    transaction
        .open_table(FACTS)?
        .insert(LAYOUT, LAYOUT_VERSION)?;
    Ok(())
}

/// Runs `operation` in a transaction of its own, and commits it.
pub(super) fn write<T>(
    database: &redb::Database,
    operation: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    let value = operation(&transaction)?;
    transaction.commit()?;
    Ok(value)
}
