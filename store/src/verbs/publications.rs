//! The times at which hashes are announced next, so that a restart neither forgets nor repeats any.
//!
//! Owns the rows only; `publish` decides. Errors are those of the database.

use pelago_content::Hash;
use redb::ReadableTable;

use crate::{DatabaseError, Store, database::PUBLICATIONS};

impl Store {
    /// All publications: each hash with the time when it is due, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn publications(&self) -> Result<Vec<(Hash, u64)>, DatabaseError> {
        self.inner.database.read(|transaction| {
            let table = transaction.open_table(PUBLICATIONS)?;
            let mut publications = Vec::new();
            for entry in table.iter()? {
                let (hash, due) = entry?;
                publications.push((Hash::from_bytes(*hash.value()), due.value()));
            }
            Ok(publications)
        })
    }

    /// Adds publications, or changes when they are due, in one commit.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]. Nothing is changed then.
    pub fn schedule_publications(&self, due: &[(Hash, u64)]) -> Result<(), DatabaseError> {
        self.inner.database.write(|transaction| {
            let mut table = transaction.open_table(PUBLICATIONS)?;
            for (hash, due) in due {
                table.insert(hash.as_bytes(), due)?;
            }
            Ok(())
        })
    }

    /// Removes publications. Missing ones are skipped.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]. Nothing is changed then.
    pub fn remove_publications(&self, hashes: &[Hash]) -> Result<(), DatabaseError> {
        self.inner.database.write(|transaction| {
            let mut table = transaction.open_table(PUBLICATIONS)?;
            for hash in hashes {
                table.remove(hash.as_bytes())?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_every_store;

    #[test]
    fn publications_are_kept_moved_and_removed() {
        on_every_store(|home| {
            let hash = |byte| Hash::from_bytes([byte; 32]);
            assert_eq!(home.store.publications().unwrap(), []);
            let due = [(hash(1), 10), (hash(2), 20)];
            home.store.schedule_publications(&due).unwrap();
            assert_eq!(home.store.publications().unwrap(), due);
            home.store.schedule_publications(&[(hash(1), 30)]).unwrap();
            let removed = [hash(2), hash(3)];
            home.store.remove_publications(&removed).unwrap();
            assert_eq!(home.store.publications().unwrap(), [(hash(1), 30)]);
        });
    }
}
