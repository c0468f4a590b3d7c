//! What two members send each other in a sync. Pure.
//!
//! What the root states comes first: the statements of others count by it. What does not fit into a
//! batch comes with the next sync.

use std::collections::HashSet;

use pelago_behaviour::group::{Batch, MAX_BATCH, STATEMENT_COST};
use pelago_groups::{Slot, Statement};

use super::group::Group;

/// The ids of all that is held.
pub(super) fn ids(group: &Group) -> Batch {
    let ids = in_order(group)
        .into_iter()
        .map(|statement| *statement.id().as_bytes());
    Batch {
        ids: ids.take(MAX_BATCH / 32).collect(),
        ..Batch::default()
    }
}

/// What a peer that holds `ids` lacks, and the ids of what it has and this node lacks.
pub(super) fn reply(group: &Group, ids: &[[u8; 32]]) -> Batch {
    let theirs: HashSet<_> = ids.iter().collect();
    let held = in_order(group);
    let ours: HashSet<_> = held
        .iter()
        .map(|statement| *statement.id().as_bytes())
        .collect();
    let lacking = held
        .into_iter()
        .filter(|statement| !theirs.contains(statement.id().as_bytes()));
    let wanted: Vec<_> = ids
        .iter()
        .filter(|id| !ours.contains(*id))
        .copied()
        .collect();
    Batch {
        statements: fitting(lacking, wanted.len() * 32),
        wanted,
        ..Batch::default()
    }
}

/// The statements with these ids.
pub(super) fn wanted(group: &Group, ids: &[[u8; 32]]) -> Batch {
    let wanted: HashSet<_> = ids.iter().collect();
    let held = in_order(group).into_iter();
    let found = held.filter(|statement| wanted.contains(statement.id().as_bytes()));
    Batch {
        statements: fitting(found, 0),
        ..Batch::default()
    }
}

fn fitting<'a>(statements: impl Iterator<Item = &'a Statement>, beside: usize) -> Vec<Vec<u8>> {
    let mut bytes = beside;
    let fitting = statements.take_while(|statement| {
        bytes += statement.as_bytes().len() + STATEMENT_COST;
        bytes <= MAX_BATCH
    });
    fitting
        .map(|statement| statement.as_bytes().to_vec())
        .collect()
}

fn in_order(group: &Group) -> Vec<&Statement> {
    let root = group.roster().root();
    let is_of_root = |statement: &Statement| match statement.slot() {
        Slot::Founding => true,
        Slot::Entry(author, _) => Some(author) == root,
        _ => false,
    };
    let mut statements: Vec<_> = group.held().statements().collect();
    statements.sort_by_key(|statement| !is_of_root(statement));
    statements
}

#[cfg(test)]
mod tests {
    use pelago_groups::{Secret, UserKey, acts};

    use super::*;

    fn secret(seed: u8) -> Secret<UserKey> {
        Secret::from_seed([seed; 32])
    }

    #[test]
    fn members_that_have_exchanged_their_batches_hold_the_same() {
        let founding = acts::found(&secret(0), &"family".parse().unwrap(), [7; 16]);
        let mut first = Group::new(founding.group().unwrap());
        first.merge([founding]);
        let mut second = first.clone();
        for (group, users) in [(&mut first, 1..100), (&mut second, 100..200)] {
            for user in users {
                let admitted = acts::admit(group.held(), &secret(0), secret(user).key(), None);
                group.merge([admitted.unwrap()]);
            }
        }
        let reply = reply(&second, &ids(&first).ids);
        assert_eq!((reply.statements.len(), reply.wanted.len()), (100, 99));
        let read = |batch: &Batch| -> Vec<_> {
            let statements = batch.statements.iter();
            statements
                .map(|bytes| Statement::from_bytes(bytes).unwrap())
                .collect()
        };
        let last = wanted(&first, &reply.wanted);
        first.merge(read(&reply));
        second.merge(read(&last));
        assert_eq!(first.digest(), second.digest());
        assert_eq!(first.roster().members().len(), 200);
    }

    /// Prints the figures of a newcomer to the largest group.
    #[test]
    fn a_newcomer_gets_a_group_of_a_thousand_members_in_one_batch() {
        let root = secret(0);
        let founding = acts::found(&root, &"family".parse().unwrap(), [7; 16]);
        let mut group = Group::new(founding.group().unwrap());
        let mut statements = vec![founding];
        for number in 1..1024_u16 {
            let mut seed = [9; 32];
            seed[..2].copy_from_slice(&number.to_be_bytes());
            let user = Secret::<UserKey>::from_seed(seed);
            let node = libp2p::identity::Keypair::ed25519_from_bytes(seed).unwrap();
            let name = format!("user-{number}").parse().unwrap();
            let identity = crate::groups::Identity::new(user, name, &node).unwrap();
            let entry = pelago_groups::Entry {
                author: root.key(),
                group: group.id(),
                is_in: true,
                number: 1,
                ownership: None,
                role_number: 0,
                user: identity.user().key(),
                via: None,
            };
            statements.push(Statement::sign(pelago_groups::Body::Entry(entry), &root));
            statements.push(identity.profile(None, true));
        }
        group.merge(statements);
        let newcomer = Group::new(group.id());
        let asked = reply(&newcomer, &ids(&group).ids);
        let sent = wanted(&group, &asked.wanted);
        let bytes: usize = sent.statements.iter().map(Vec::len).sum();
        let begun = std::time::Instant::now();
        let mut newcomer = newcomer;
        let read = sent
            .statements
            .iter()
            .map(|bytes| Statement::from_bytes(bytes).unwrap());
        newcomer.merge(read);
        println!(
            "1,024 members: {} statements in {} KiB, and {} KiB of ids twice; verified and merged \
             in {:?}",
            sent.statements.len(),
            bytes >> 10,
            asked.wanted.len() * 32 / 1024,
            begun.elapsed()
        );
        assert_eq!(newcomer.digest(), group.digest());
        assert_eq!(newcomer.roster().members().len(), 1024);
        assert!(bytes < 700 << 10, "{bytes} bytes");
    }
}
