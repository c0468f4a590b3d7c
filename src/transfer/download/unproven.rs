//! What becomes of a source whose data failed its proof: it loses the file; the download may lose it.

use libp2p::PeerId;

use super::Task;
use crate::transfer::{
    faults::Verdict,
    recheck::recheck_items,
    source::{End, SourceId, Wanted},
};

impl Task {
    /// What `peer` sent of a file failed its proof: others are asked for the file. The source is asked
    /// for blocks that it has to prove itself, so that it finds out.
    pub(super) fn unproven(&mut self, id: SourceId, peer: PeerId, wanted: Wanted, why: &str) {
        let Some(stage) = &mut self.stage else {
            return;
        };
        let Some(part) = stage.part(wanted) else {
            return;
        };
        stage.scheduler.unproven(peer, part);
        let file = stage.sink.item(part).hash;
        let verdict = self.faults.unproven(peer, file);
        if verdict == Verdict::Known {
            return;
        }
        let is_of_use = stage.scheduler.may_still_use(&peer);
        let geometry = stage.sequence.geometry(part.file);
        let items = recheck_items(file, part.chunk, geometry);
        self.sources.recheck(id, peer, items);
        if verdict == Verdict::Dishonest {
            let count = self.faults.count(&peer);
            let why = format!("{count} files that it offers have other content: {why}");
            return self.refuse_dishonest(peer, why);
        }
        let why = format!("its copy of {file} may have changed since it was shared: {why}");
        tracing::warn!(%peer, %file, why, hash = %self.request.hash, "a source lost a file");
        if is_of_use {
            let count = self.faults.count(&peer);
            self.sources.lost_files(peer, count, &why);
        } else {
            self.sources.ban(peer, &End::Refused(why));
            self.forget(peer);
        }
    }

    /// The peer sent what no honest source sends: it is not asked any more.
    pub(super) fn refuse_dishonest(&mut self, peer: PeerId, why: String) {
        self.warn_of_lie(Some(peer), &why);
        self.sources.ban(peer, &End::Dishonest(why));
        self.forget(peer);
    }

    pub(super) fn warn_of_lie(&self, peer: Option<PeerId>, why: &str) {
        tracing::warn!(peer = ?peer, why, hash = %self.request.hash, "a source lied");
    }
}
