//! Which files each source sent wrong data of, and when that makes the source dishonest. Pure.
//!
//! An honest source can be wrong about a file: a program may change the file without leaving a
//! mark, and the source notices only when it verifies the content itself. Such a source loses that
//! file and remains a source of the others. Holds one short list for each such source while the
//! download runs.

use std::collections::HashMap;

use libp2p::PeerId;
use pelago_content::Hash;

/// A source with this many wrong files counts as dishonest. Honest sources have one, rarely two,
/// that a program writes to.
const MAX_WRONG_FILES: usize = 3;

/// The maximum number of sources whose lost files are remembered, as a new peer id costs nothing.
/// Beyond it, a new source replaces an arbitrary one, which loses its files again with its next
/// wrong byte.
const MAX_SOURCES: usize = 1024;

/// What a failed proof means for the source of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The source lost this file before.
    Known,
    /// The source loses this file now.
    LosesFile,
    /// The source counts as dishonest.
    Dishonest,
}

/// The files of one download that its sources lost.
#[derive(Debug, Default)]
pub(super) struct Faults(HashMap<PeerId, Vec<Hash>>);

impl Faults {
    /// Data of `file` that `peer` sent failed its proof.
    pub(super) fn unproven(&mut self, peer: PeerId, file: Hash) -> Verdict {
        if self.0.len() >= MAX_SOURCES && !self.0.contains_key(&peer) {
            let any = self.0.keys().next().copied();
            any.and_then(|any| self.0.remove(&any));
        }
        let files = self.0.entry(peer).or_default();
        if files.contains(&file) {
            return Verdict::Known;
        }
        // The list of a source that is banned by now stops growing.
        if files.len() < MAX_WRONG_FILES {
            files.push(file);
        }
        if files.len() < MAX_WRONG_FILES {
            Verdict::LosesFile
        } else {
            Verdict::Dishonest
        }
    }

    /// The number of files that `peer` lost.
    pub(super) fn count(&self, peer: &PeerId) -> usize {
        self.0.get(peer).map_or(0, Vec::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_loses_two_files_and_counts_as_dishonest_at_the_third() {
        let mut faults = Faults::default();
        let [peer, other] = [PeerId::random(), PeerId::random()];
        let file = |n| Hash::from_bytes([n; 32]);
        assert_eq!(faults.unproven(peer, file(1)), Verdict::LosesFile);
        assert_eq!(faults.unproven(peer, file(1)), Verdict::Known);
        assert_eq!(faults.unproven(other, file(1)), Verdict::LosesFile);
        assert_eq!(faults.unproven(peer, file(2)), Verdict::LosesFile);
        assert_eq!(faults.unproven(peer, file(2)), Verdict::Known);
        assert_eq!(faults.unproven(peer, file(3)), Verdict::Dishonest);
        assert_eq!(faults.unproven(peer, file(4)), Verdict::Dishonest);
        assert_eq!((faults.count(&peer), faults.count(&other)), (3, 1));
    }
}
