//! The times at which hashes are announced next, so that a restart neither forgets nor repeats any.
//!
//! Others look for the node that announced a hash, so what one node announced means nothing to another
//! one: a node that gets a user gets another id, and announces everything again.
//!
//! Owns the rows only; `publish` decides. Errors are those of the database.

use libp2p_identity::PeerId;
use pelago_content::Hash;
use redb::{ReadableTable, TableError};
use sha2::{Digest as _, Sha256};

use crate::{
    DatabaseError, Store,
    database::{FACTS, PUBLICATIONS, PUBLISHER},
};

impl Store {
    /// All publications of the node `publisher`: each hash with the time when it is due, in seconds
    /// since 1970.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn publications(&self, publisher: &PeerId) -> Result<Vec<(Hash, u64)>, DatabaseError> {
        self.inner.database.read(|transaction| {
            let recorded = match transaction.open_table(FACTS) {
                Ok(facts) => facts.get(PUBLISHER)?.map(|stamp| stamp.value()),
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            };
            // Earlier versions recorded no publisher.
            if recorded.is_some_and(|recorded| recorded != stamp(publisher)) {
                return Ok(Vec::new());
            }
            let table = transaction.open_table(PUBLICATIONS)?;
            let mut publications = Vec::new();
            for entry in table.iter()? {
                let (hash, due) = entry?;
                publications.push((Hash::from_bytes(*hash.value()), due.value()));
            }
            Ok(publications)
        })
    }

    /// Adds publications of the node `publisher`, or changes when they are due, in one commit. Those of
    /// another node are forgotten.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`]. Nothing is changed then.
    pub fn schedule_publications(
        &self,
        publisher: &PeerId,
        due: &[(Hash, u64)],
    ) -> Result<(), DatabaseError> {
        let stamp = stamp(publisher);
        self.inner.database.write(|transaction| {
            let mut facts = transaction.open_table(FACTS)?;
            let before = facts.insert(PUBLISHER, stamp)?.map(|before| before.value());
            let is_other = before.is_some_and(|before| before != stamp);
            if is_other {
                transaction.delete_table(PUBLICATIONS)?;
            }
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

/// Tells nodes apart.
fn stamp(publisher: &PeerId) -> u64 {
    let digest: [u8; 32] = Sha256::digest(publisher.to_bytes()).into();
    let first = digest.first_chunk().expect("32 bytes are at least 8");
    u64::from_le_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_every_store;

    #[test]
    fn publications_are_kept_moved_and_removed() {
        on_every_store(|home| {
            let hash = |byte| Hash::from_bytes([byte; 32]);
            let (one, other) = (PeerId::random(), PeerId::random());
            let recorded = |node| home.store.publications(node).unwrap();
            let schedule = |node, due: &[_]| home.store.schedule_publications(node, due).unwrap();
            assert_eq!(recorded(&one), []);
            let due = [(hash(1), 10), (hash(2), 20)];
            schedule(&one, &due);
            assert_eq!(recorded(&one), due);
            schedule(&one, &[(hash(1), 30)]);
            let removed = [hash(2), hash(3)];
            home.store.remove_publications(&removed).unwrap();
            assert_eq!(recorded(&one), [(hash(1), 30)]);
            // Another node has announced nothing yet.
            assert_eq!(recorded(&other), []);
            schedule(&other, &[(hash(2), 40)]);
            assert_eq!(
                (recorded(&other), recorded(&one)),
                (vec![(hash(2), 40)], vec![])
            );
        });
    }
}
