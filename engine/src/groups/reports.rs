//! What peers reported of groups last: what they hold, and a number that stands for what they share.
//! Pure.

use std::collections::{BTreeSet, HashMap};

use libp2p::PeerId;
use pelago_groups::{Digest, GroupId};

/// The last reports. There are no more of them than the rosters name nodes, as the caller takes none
/// of other peers, and keeps those of the nodes on the roster when it changes.
#[derive(Default)]
pub(super) struct Reports {
    of: HashMap<(GroupId, PeerId), Report>,
    /// Whose catalogues are others than those that were read.
    unread: BTreeSet<(GroupId, PeerId)>,
}

#[derive(Default)]
struct Report {
    held: Option<Digest>,
    catalogue: Option<u64>,
}

impl Reports {
    /// A peer holds this of a group.
    pub(super) fn holds(&mut self, group: GroupId, peer: PeerId, digest: Digest) {
        self.of.entry((group, peer)).or_default().held = Some(digest);
    }

    /// What a peer holds of a group, by its last report.
    pub(super) fn held(&self, group: &GroupId, peer: &PeerId) -> Option<Digest> {
        self.of.get(&(*group, *peer))?.held
    }

    /// The number of what a peer shares in a group. Returns whether it is another one than before.
    pub(super) fn shares(&mut self, group: GroupId, peer: PeerId, revision: u64) -> bool {
        let report = self.of.entry((group, peer)).or_default();
        let is_new = report.catalogue.replace(revision) != Some(revision);
        if is_new {
            self.unread.insert((group, peer));
        }
        is_new
    }

    /// The next catalogue to read.
    pub(super) fn next_unread(&mut self) -> Option<(GroupId, PeerId)> {
        self.unread.pop_first()
    }

    /// Forgets what others than these peers reported of a group.
    pub(super) fn keep(&mut self, group: GroupId, peers: impl Fn(&PeerId) -> bool) {
        let is_kept = |(of, peer): &(GroupId, PeerId)| *of != group || peers(peer);
        self.of.retain(|key, _| is_kept(key));
        self.unread.retain(is_kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_is_read_when_its_number_changes_and_not_of_former_members() {
        let [a, b] = [(); 2].map(|()| PeerId::random());
        let [ours, other] = [1, 2].map(|byte| GroupId::from_bytes([byte; 32]));
        let mut reports = Reports::default();
        assert!(reports.shares(ours, a, 1) && !reports.shares(ours, a, 1));
        assert_eq!(reports.next_unread(), Some((ours, a)));
        assert_eq!(reports.next_unread(), None);
        assert!(reports.shares(ours, a, 2) && reports.shares(other, b, 1));
        assert!(reports.shares(ours, b, 1));
        reports.holds(ours, b, Digest::from_bytes([3; 32]));
        assert_eq!(reports.held(&ours, &b), Some(Digest::from_bytes([3; 32])));
        reports.keep(ours, |peer| *peer == a);
        assert_eq!(reports.held(&ours, &b), None);
        let unread: BTreeSet<_> = std::iter::from_fn(|| reports.next_unread()).collect();
        assert_eq!(unread, [(ours, a), (other, b)].into());
        assert_eq!(reports.of.len(), 2);
    }
}
