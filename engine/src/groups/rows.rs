//! The rows of groups in the store: what a change of a group writes, and how a group is read.
//!
//! A row that cannot be read is left out and reported: statements come again with the next sync.

use std::collections::BTreeMap;

use pelago_groups::{GroupId, InviteKey, JoinRequest, Secret, Slot, Statement, UserKey};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{
    group::Group,
    mailbox::HeldRequest,
    own_join::{JoinStatus, OwnJoin},
};
use crate::store::{DatabaseError, GroupChange, GroupRow, Store, decode_row};

#[derive(Serialize, Deserialize)]
struct FactsRow {
    #[serde(rename = "h", default)]
    heard: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct RequestRow {
    #[serde(rename = "r")]
    request: ByteBuf,
    #[serde(rename = "p")]
    profile: ByteBuf,
    #[serde(rename = "t")]
    received: u64,
    #[serde(rename = "o")]
    origin: u64,
}

#[derive(Serialize, Deserialize)]
struct JoinRow {
    #[serde(rename = "r")]
    request: ByteBuf,
    #[serde(rename = "p")]
    profile: ByteBuf,
    #[serde(rename = "n", default)]
    name: Option<String>,
    #[serde(rename = "a", default)]
    peers: Vec<String>,
    #[serde(rename = "t")]
    since: u64,
    #[serde(rename = "s")]
    status: u8,
}

/// The changes of rows by which `after` takes the place of `before`. Statements, which are many, are
/// compared by their ids.
pub(super) fn changes(before: Option<&Group>, after: &Group) -> Vec<GroupChange> {
    let held = |group: Option<&Group>, slot: &Slot| {
        let statement = group.and_then(|group| group.held().get(slot));
        statement.map(Statement::id)
    };
    let old = before
        .into_iter()
        .flat_map(|before| before.held().statements());
    let gone = old.map(Statement::slot);
    let gone = gone.filter(|slot| held(Some(after), slot).is_none());
    let written = after.held().statements();
    let written = written.filter(|of| held(before, &of.slot()) != Some(of.id()));
    let mut changes: Vec<_> = gone.map(|slot| change_of(after, slot, None)).collect();
    changes.extend(written.map(|of| change_of(after, of.slot(), Some(of.as_bytes().to_vec()))));

    let (old, new) = (before.map(others).unwrap_or_default(), others(after));
    let gone = old.keys().filter(|key| !new.contains_key(key));
    let gone = gone.map(|key| (key.clone(), None)).collect::<Vec<_>>();
    let written = new
        .into_iter()
        .filter(|(key, row)| old.get(key) != Some(row));
    let written = written.map(|(key, row)| (key, Some(row)));
    let of = *after.id().as_bytes();
    let others = gone.into_iter().chain(written);
    changes.extend(others.map(|((kind, key), row)| GroupChange { kind, of, key, row }));
    changes
}

/// The changes of rows by which a group is forgotten.
pub(super) fn removal(group: &Group) -> Vec<GroupChange> {
    changes(Some(group), &Group::new(group.id()))
}

/// The change of the row of what fills a slot.
fn change_of(group: &Group, slot: Slot, row: Option<Vec<u8>>) -> GroupChange {
    GroupChange {
        kind: GroupRow::Statement,
        of: *group.id().as_bytes(),
        key: slot_key(&slot),
        row,
    }
}

/// The rows of a group beside its statements, by kind and key.
fn others(group: &Group) -> BTreeMap<(GroupRow, Vec<u8>), Vec<u8>> {
    let mut rows = BTreeMap::new();
    if group.heard.is_some() {
        let facts = FactsRow { heard: group.heard };
        rows.insert((GroupRow::Facts, Vec::new()), encode(&facts));
    }
    for (user, request) in group.mailbox.iter() {
        let row = RequestRow {
            request: ByteBuf::from(request.join.request().as_bytes()),
            profile: ByteBuf::from(request.join.profile().as_bytes()),
            received: request.received,
            origin: request.origin,
        };
        rows.insert((GroupRow::Request, user.as_bytes().to_vec()), encode(&row));
    }
    for (invite, limits) in &group.invites {
        let key = (GroupRow::Invite, invite.as_bytes().to_vec());
        rows.insert(key, encode(limits));
    }
    if let Some(join) = &group.join {
        let row = JoinRow {
            request: ByteBuf::from(join.join.request().as_bytes()),
            profile: ByteBuf::from(join.join.profile().as_bytes()),
            name: join.name.clone(),
            peers: join.peers.clone(),
            since: join.since,
            status: join.status as u8,
        };
        rows.insert((GroupRow::Join, Vec::new()), encode(&row));
    }
    rows
}

/// All groups in the store.
pub(super) fn load(store: &Store) -> Result<BTreeMap<GroupId, Group>, DatabaseError> {
    let mut statements = BTreeMap::<GroupId, Vec<Statement>>::new();
    let mut unreadable = 0_usize;
    store.each_group_row(
        GroupRow::Statement,
        |of, _, row| match Statement::from_stored(row) {
            Ok(statement) => statements
                .entry(GroupId::from_bytes(of))
                .or_default()
                .push(statement),
            Err(_) => unreadable += 1,
        },
    )?;
    let mut groups = BTreeMap::new();
    for (id, statements) in statements {
        group_of(&mut groups, id).merge(statements);
    }
    store.each_group_row(GroupRow::Facts, |of, _, row| {
        match decode_row::<FactsRow>(row) {
            Some(facts) => group_of(&mut groups, GroupId::from_bytes(of)).heard = facts.heard,
            None => unreadable += 1,
        }
    })?;
    store.each_group_row(GroupRow::Request, |of, _, row| match request(row) {
        Some(request) => {
            group_of(&mut groups, GroupId::from_bytes(of))
                .mailbox
                .add(request, |_| 0);
        }
        None => unreadable += 1,
    })?;
    store.each_group_row(GroupRow::Invite, |of, key, row| {
        match (<[u8; 32]>::try_from(key), decode_row(row)) {
            (Ok(key), Some(limits)) => group_of(&mut groups, GroupId::from_bytes(of))
                .keep_invite(InviteKey::from_bytes(key), limits),
            _ => unreadable += 1,
        }
    })?;
    store.each_group_row(GroupRow::Join, |of, _, row| match own_join(row) {
        Some(join) => group_of(&mut groups, GroupId::from_bytes(of)).join = Some(join),
        None => unreadable += 1,
    })?;
    if unreadable > 0 {
        tracing::warn!(
            unreadable,
            "some rows of groups cannot be read and are left out"
        );
    }
    Ok(groups)
}

/// What the user of this node stated of himself last.
pub(super) fn profile(store: &Store, user: &UserKey) -> Result<Option<Statement>, DatabaseError> {
    let row = store.group_row(GroupRow::Profile, user.as_bytes(), &[])?;
    Ok(row.and_then(|row| Statement::from_stored(&row).ok()))
}

/// The change that keeps `profile`, of the user of this node.
pub(super) fn profile_change(secret: &Secret<UserKey>, profile: &Statement) -> GroupChange {
    GroupChange {
        kind: GroupRow::Profile,
        of: *secret.key().as_bytes(),
        key: Vec::new(),
        row: Some(profile.as_bytes().to_vec()),
    }
}

fn group_of(groups: &mut BTreeMap<GroupId, Group>, id: GroupId) -> &mut Group {
    groups.entry(id).or_insert_with(|| Group::new(id))
}

fn slot_key(slot: &Slot) -> Vec<u8> {
    let (kind, keys): (u8, &[&[u8; 32]]) = match slot {
        Slot::Founding => (0, &[]),
        Slot::Entry(author, user) => (1, &[author.as_bytes(), user.as_bytes()]),
        Slot::Invite(author, invite) => (2, &[author.as_bytes(), invite.as_bytes()]),
        Slot::Leave(user) => (3, &[user.as_bytes()]),
        Slot::User(user) => (4, &[user.as_bytes()]),
        Slot::Request(user) => (5, &[user.as_bytes()]),
    };
    let keys = keys.iter().flat_map(|key| key.iter().copied());
    std::iter::once(kind).chain(keys).collect()
}

fn request(row: &[u8]) -> Option<HeldRequest> {
    let row: RequestRow = decode_row(row)?;
    Some(HeldRequest {
        join: join_request(&row.request, &row.profile)?,
        received: row.received,
        origin: row.origin,
    })
}

fn own_join(row: &[u8]) -> Option<OwnJoin> {
    let row: JoinRow = decode_row(row)?;
    let mut all = JoinStatus::ALL.into_iter();
    // A row from a damaged database may not be what was written.
    let request = Statement::from_bytes(&row.request).ok()?;
    let profile = Statement::from_bytes(&row.profile).ok()?;
    Some(OwnJoin {
        join: JoinRequest::from_statements(request, profile).ok()?,
        name: row.name,
        peers: row.peers,
        since: row.since,
        status: all.find(|status| *status as u8 == row.status)?,
    })
}

fn join_request(request: &[u8], profile: &[u8]) -> Option<JoinRequest> {
    let request = Statement::from_stored(request).ok()?;
    let profile = Statement::from_stored(profile).ok()?;
    JoinRequest::from_statements(request, profile).ok()
}

fn encode(row: &impl Serialize) -> Vec<u8> {
    cbor4ii::serde::to_vec(Vec::new(), row).expect("memory takes every byte")
}

#[cfg(test)]
mod tests {
    use pelago_groups::{InviteMode, acts};

    use super::*;
    use crate::groups::own_invite::OwnInvite;

    fn keep(store: &Store, before: Option<&Group>, after: &Group) -> usize {
        let changes = changes(before, after);
        store.change_groups(&changes).unwrap();
        let loaded = load(store).unwrap();
        let loaded = &loaded[&after.id()];
        let statements = |group: &Group| {
            let statements = group.held().statements();
            let bytes = statements.map(|statement| statement.as_bytes().to_vec());
            bytes.collect::<Vec<_>>()
        };
        assert_eq!(statements(loaded), statements(after));
        assert_eq!(others(loaded), others(after));
        assert_eq!(loaded.digest(), after.digest());
        changes.len()
    }

    #[test]
    fn a_group_is_read_as_it_was_written_and_a_change_writes_what_differs() {
        let store = Store::in_memory();
        let [root, bert] = [1, 2].map(|seed| Secret::<UserKey>::from_seed([seed; 32]));
        let founding = acts::found(&root, &"family".parse().unwrap(), [7; 16]);
        let mut group = Group::new(founding.group().unwrap());
        group.merge([founding]);
        let invite = Secret::<InviteKey>::from_seed([5; 32]);
        let minted = acts::mint(group.held(), &root, invite.key(), InviteMode::Ask).unwrap();
        group.merge([minted]);
        let limits = OwnInvite {
            expires: Some(9),
            uses_left: None,
        };
        group.keep_invite(invite.key(), limits);
        assert_eq!(keep(&store, None, &group), 3);

        let before = group.clone();
        let profile = acts::name_user(&bert, "bert".parse().unwrap(), Vec::new(), None).unwrap();
        let join = JoinRequest::new(&bert, profile, group.id(), &invite, "it is me".into(), 1);
        let request = HeldRequest {
            join: join.clone(),
            received: 3,
            origin: 4,
        };
        group.mailbox.add(request, |_| 0);
        group.heard = Some(7);
        group.join = Some(OwnJoin {
            join: join.clone(),
            name: None,
            peers: vec!["/memory/1".into()],
            since: 3,
            status: JoinStatus::Full,
        });
        assert_eq!(keep(&store, Some(&before), &group), 3);

        let before = group.clone();
        group.mailbox.remove(&bert.key());
        group.merge([acts::revoke(group.held(), &root, invite.key()).unwrap()]);
        group.join = None;
        assert_eq!(keep(&store, Some(&before), &group), 3);
    }
}
