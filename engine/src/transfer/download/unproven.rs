//! What happens to a source whose data failed its proof: it loses the file, or is banned.

use libp2p::PeerId;

use super::Task;
use crate::transfer::{
    batch::StagePart,
    faults::Verdict,
    recheck::recheck_items,
    source::{End, SourceId},
};

impl Task {
    /// Data of a file that `peer` sent failed its proof, so the file is requested from others. The
    /// source is asked for blocks that it must verify itself, so that it notices.
    pub(super) fn unproven(&mut self, id: SourceId, peer: PeerId, part: StagePart, why: &str) {
        let Some(stage) = &mut self.stage else {
            return;
        };
        let Some(part) = stage.current(part) else {
            return;
        };
        stage.scheduler.unproven(peer, part);
        let file = stage.sink.item(part).hash;
        let faults = &mut self.supply.faults;
        let verdict = faults.unproven(peer, file);
        if verdict == Verdict::Known {
            return;
        }
        let is_of_use = stage.scheduler.may_still_use(&peer);
        let geometry = stage.sequence.geometry(part.file);
        let items = recheck_items(file, part.chunk, geometry);
        let count = faults.count(&peer);
        self.supply.sources.recheck(id, peer, items);
        if verdict == Verdict::Dishonest {
            let why = format!("{count} files that it offers have other content: {why}");
            return self.ban_dishonest(peer, why);
        }
        let why = format!("its copy of {file} may have changed since it was shared: {why}");
        tracing::warn!(%peer, %file, why, hash = %self.wanted.hash, "a source lost a file");
        if is_of_use {
            self.supply.sources.lost_files(peer, count, &why);
        } else {
            self.supply.sources.ban(peer, &End::Refused(why));
            self.forget(peer);
        }
    }

    /// Bans a peer that sent what no honest source sends.
    pub(super) fn ban_dishonest(&mut self, peer: PeerId, why: String) {
        self.warn_of_dishonesty(Some(peer), &why);
        self.supply.sources.ban(peer, &End::Dishonest(why));
        self.forget(peer);
    }

    pub(super) fn warn_of_dishonesty(&self, peer: Option<PeerId>, why: &str) {
        tracing::warn!(peer = ?peer, why, hash = %self.wanted.hash, "a source sent wrong data");
    }
}
