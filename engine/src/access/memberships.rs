//! Which peers are nodes of which groups' members, as far as this node knows.
//!
//! Owns one table, which the rosters of the groups of this node feed: each change replaces it as a
//! whole. Everything that serves or asks a peer on behalf of a group looks here. Never decides who
//! is a member.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use libp2p::PeerId;
use parking_lot::RwLock;
use pelago_groups::{GroupId, NodeKey};
use tokio::sync::watch;

/// The groups of each peer. A handle: clones share the table.
#[derive(Clone, Debug, Default)]
pub struct Memberships(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    table: RwLock<Table>,
    /// How often the table was replaced.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Table {
    groups: HashMap<PeerId, BTreeSet<GroupId>>,
    members: HashMap<GroupId, Vec<PeerId>>,
}

impl Memberships {
    /// Replaces the table: `groups` has each peer that is a node of a member of a group of this node,
    /// this node among them, with these groups.
    pub fn replace(&self, groups: HashMap<PeerId, BTreeSet<GroupId>>) {
        let mut members = HashMap::<_, Vec<_>>::new();
        for (peer, theirs) in &groups {
            for group in theirs {
                members.entry(*group).or_default().push(*peer);
            }
        }
        *self.0.table.write() = Table { groups, members };
        self.0.changes.send_modify(|changes| *changes += 1);
    }

    /// Whether `peer` is a node of a member of `group`.
    #[must_use]
    pub fn is_member(&self, peer: &PeerId, group: &GroupId) -> bool {
        let table = self.0.table.read();
        let theirs = table.groups.get(peer);
        theirs.is_some_and(|theirs| theirs.contains(group))
    }

    /// The groups of `peer`.
    #[must_use]
    pub fn groups_of(&self, peer: &PeerId) -> BTreeSet<GroupId> {
        let table = self.0.table.read();
        table.groups.get(peer).cloned().unwrap_or_default()
    }

    /// The nodes of the members of `group`, in no order; this node is among them.
    #[must_use]
    pub fn members(&self, group: &GroupId) -> Vec<PeerId> {
        let table = self.0.table.read();
        table.members.get(group).cloned().unwrap_or_default()
    }

    /// The groups of this node: all that are in the table.
    #[must_use]
    pub fn own_groups(&self) -> BTreeSet<GroupId> {
        self.0.table.read().members.keys().copied().collect()
    }

    /// Changes each time the table is replaced.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Waits until this node is not in `group`.
    async fn end_of(&self, group: &GroupId) {
        let mut changes = self.changes();
        while self.0.table.read().members.contains_key(group) {
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until `peer` is out of a group that it is in now, or has come into since.
    pub async fn loss(&self, peer: PeerId) {
        // Subscribed before the look, so that nothing is missed in between.
        let mut changes = self.changes();
        let mut before = self.groups_of(&peer);
        loop {
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let now = self.groups_of(&peer);
            if !before.is_subset(&now) {
                return;
            }
            before = now;
        }
    }
}

/// The peers among whom this node looks for content: any, or the nodes of the members of a group, as
/// they are at that time.
#[derive(Clone, Debug, Default)]
pub struct Circle(Option<(GroupId, Memberships)>);

impl Circle {
    /// The nodes of the members of `group`; any peers if there is none.
    #[must_use]
    pub fn of(group: Option<GroupId>, memberships: &Memberships) -> Self {
        Self(group.map(|group| (group, memberships.clone())))
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> Option<GroupId> {
        self.0.as_ref().map(|(group, _)| *group)
    }

    /// Waits until this node is not in the group, and returns that; forever if any peers are among
    /// them.
    pub async fn lost(&self) -> GroupId {
        match &self.0 {
            Some((group, memberships)) => {
                memberships.end_of(group).await;
                *group
            }
            None => std::future::pending().await,
        }
    }

    /// Whether `peer` is among them.
    #[must_use]
    pub fn has(&self, peer: &PeerId) -> bool {
        let of = self.0.as_ref();
        of.is_none_or(|(group, memberships)| memberships.is_member(peer, group))
    }

    /// Those of a group; `None` if any peer is among them.
    #[must_use]
    pub fn members(&self) -> Option<Vec<PeerId>> {
        let of = self.0.as_ref();
        of.map(|(group, memberships)| memberships.members(group))
    }
}

/// The bytes of a peer id before its Ed25519 key: a multihash that holds 36 bytes themselves, and the
/// beginning of these.
const BEFORE_KEY: [u8; 6] = [0, 36, 8, 1, 18, 32];

/// The peer whose node key is `key`. Takes no time for arithmetic: a roster has a thousand of them.
#[must_use]
pub fn peer_of(key: &NodeKey) -> Option<PeerId> {
    PeerId::from_bytes(&[&BEFORE_KEY[..], key.as_bytes()].concat()).ok()
}

/// The node key of `peer`, which is in its id; `None` if it has a key of another kind.
#[must_use]
pub fn key_of(peer: &PeerId) -> Option<NodeKey> {
    let id = peer.to_bytes();
    let key = id.strip_prefix(&BEFORE_KEY)?.try_into().ok()?;
    Some(NodeKey::from_bytes(key))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use libp2p::identity;

    use super::*;

    fn group(number: u8) -> GroupId {
        GroupId::from_bytes([number; 32])
    }

    #[test]
    fn the_table_says_who_is_in_which_group() {
        let [a, b] = [(); 2].map(|()| PeerId::random());
        let memberships = Memberships::default();
        assert!(memberships.own_groups().is_empty() && !memberships.is_member(&a, &group(1)));
        let table = [
            (a, BTreeSet::from([group(1), group(2)])),
            (b, BTreeSet::from([group(2)])),
        ];
        memberships.clone().replace(table.into());
        assert_eq!(
            memberships.own_groups(),
            BTreeSet::from([group(1), group(2)])
        );
        assert_eq!(memberships.members(&group(1)), [a]);
        assert_eq!(memberships.members(&group(2)).len(), 2);
        assert_eq!(memberships.groups_of(&b), BTreeSet::from([group(2)]));
        assert!(memberships.is_member(&b, &group(2)) && !memberships.is_member(&b, &group(1)));
    }

    #[test]
    fn a_peer_that_leaves_a_group_is_noticed_and_others_are_not() {
        let [a, b] = [(); 2].map(|()| PeerId::random());
        let memberships = Memberships::default();
        let replace = |of_a: &[u8], of_b: &[u8]| {
            let groups = |numbers: &[u8]| numbers.iter().copied().map(group).collect();
            memberships.replace([(a, groups(of_a)), (b, groups(of_b))].into());
        };
        replace(&[1], &[1]);
        let (mut of_a, mut of_b) = (Box::pin(memberships.loss(a)), Box::pin(memberships.loss(b)));
        assert!((&mut of_a).now_or_never().is_none() && (&mut of_b).now_or_never().is_none());
        replace(&[1, 2], &[1]);
        assert!((&mut of_a).now_or_never().is_none(), "it gained one");
        replace(&[1], &[1]);
        assert!((&mut of_a).now_or_never().is_some());
        assert!((&mut of_b).now_or_never().is_none());
    }

    #[test]
    fn a_group_that_this_node_leaves_is_lost() {
        let (a, memberships) = (PeerId::random(), Memberships::default());
        memberships.replace([(a, BTreeSet::from([group(1), group(2)]))].into());
        let circle = |of| Circle::of(of, &memberships);
        let (in_group, public) = (circle(Some(group(1))), circle(None));
        let mut lost = Box::pin(in_group.lost());
        assert!((&mut lost).now_or_never().is_none());
        memberships.replace([(a, BTreeSet::from([group(2)]))].into());
        assert_eq!(lost.now_or_never(), Some(group(1)));
        assert!(public.lost().now_or_never().is_none());
    }

    #[test]
    fn the_id_of_a_peer_holds_its_key() {
        let peer = identity::Keypair::generate_ed25519().public().to_peer_id();
        let key = key_of(&peer).unwrap();
        assert_eq!(peer_of(&key), Some(peer));
        assert_eq!(key_of(&PeerId::random()), None, "a digest of a longer key");
    }
}
