//! Sources whose data failed its proof. Each loses the file of that data.
//!
//! A lost file stays lost when the source says again that it has it, and when the source leaves and
//! comes back.

use std::borrow::Cow;

use libp2p::PeerId;
use pelago_content::{BlockRanges, Part};

use super::Scheduler;

impl Scheduler {
    /// The data that the source sent for this part failed its proof. The source gets no more
    /// requests for that file, and what it owes of the file is requested from others.
    pub(in crate::transfer) fn unproven(&mut self, peer: PeerId, part: Part) {
        let file = self.sequence.blocks_of_file(part.file);
        self.lost_files
            .entry(peer)
            .or_default()
            .insert(file.clone());
        let bytes = self.sequence.bytes_of(part);
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        let mut given_back = Vec::new();
        if source
            .take(part, bytes)
            .is_some_and(|request| !request.is_cancelled)
        {
            given_back.push(part);
        }
        let owed = source.last_owed().filter(|owed| owed.file == part.file);
        for owed in owed.collect::<Vec<_>>() {
            if source.cancel(owed) {
                self.cancelled.push(peer);
            }
            given_back.push(owed);
        }
        self.lacks(peer, &file);
        self.give_back(given_back);
    }

    /// Whether some unverified block is outside the files that the source lost.
    pub(in crate::transfer) fn may_still_use(&self, peer: &PeerId) -> bool {
        let Some(lost) = self.lost_files.get(peer) else {
            return true;
        };
        let aside = self.readers.unread.iter().flat_map(BlockRanges::iter);
        let in_flight = self
            .in_flight
            .keys()
            .map(|part| self.sequence.blocks_of(*part));
        let mut unverified = self.missing.iter().chain(aside).chain(in_flight);
        unverified.any(|run| !lost.contains_range(run))
    }

    /// The blocks without those of the files that the source lost.
    pub(super) fn without_lost_files<'b>(
        &self,
        peer: &PeerId,
        blocks: &'b BlockRanges,
    ) -> Cow<'b, BlockRanges> {
        match self.lost_files.get(peer) {
            Some(lost) => Cow::Owned(blocks.difference(lost)),
            None => Cow::Borrowed(blocks),
        }
    }
}
