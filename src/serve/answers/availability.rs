//! What of some content is here, for a peer that shows that it knows the hash, or for everybody.
//!
//! A question names the content by its provider key. The hash, the name and the blocks are told only to a
//! peer that has proven to have the hash. All other answers are the same, and cost the same work.

use libp2p::PeerId;
use pelago_behaviour::availability::{Availability, Proof, Request};
use pelago_content::Hash;

use super::{Answers, JobKind, QueueFull, Requester};
use crate::access::Action;

/// Stands in for the hash of content that is not here: its proofs are checked all the same.
const NOBODY: Hash = Hash::from_bytes([0; 32]);

/// How a peer asks what is here of some content.
#[derive(Clone, Copy, Debug)]
pub(in crate::serve) enum Question {
    /// By its provider key, with a proof that it has the hash.
    Proven(Request),
    /// By its hash, in version 1 of the protocol: only what everybody may know is answered.
    Named(Hash),
}

impl Question {
    /// What `peer`, who asks so, wants to do.
    pub(in crate::serve) const fn action(&self) -> Action {
        match self {
            Self::Proven(_) => Action::Availability,
            Self::Named(_) => Action::ListedAvailability,
        }
    }
}

impl Answers {
    /// What is here of the content that is asked about, with the proof that is due; none if nothing is, or not
    /// for this peer.
    pub(in crate::serve) async fn asked(
        &self,
        requester: Requester,
        question: Question,
    ) -> Result<Option<(Hash, Availability)>, QueueFull> {
        let (answers, peer) = (self.clone(), requester.peer);
        let answer = move || {
            let hash = answers.hash_of(peer, question)?;
            let mut has = answers.has(peer, question.action(), hash)?;
            if matches!(question, Question::Proven(_)) {
                has.proof = Some(Proof::new(&hash, &answers.local, &peer));
            }
            Some((hash, has))
        };
        let run = move || (answer(), 0);
        self.work.run(requester, JobKind::LookUp, run).await
    }

    /// What is here of `hash` by now, for one who may do `action` with it.
    pub(in crate::serve) async fn availability(
        &self,
        requester: Requester,
        action: Action,
        hash: Hash,
    ) -> Result<Option<Availability>, QueueFull> {
        let answers = self.clone();
        let held = move || (answers.has(requester.peer, action, hash), 0);
        self.work.run(requester, JobKind::LookUp, held).await
    }

    /// The hash that the question is about, if the peer has it.
    fn hash_of(&self, peer: PeerId, question: Question) -> Option<Hash> {
        match question {
            Question::Named(hash) => Some(hash),
            Question::Proven(Request { key, proof }) => {
                let hash = self.store.hash_of_key(&key).unwrap_or_else(|error| {
                    tracing::error!(%error, "refused, as the database cannot be read");
                    None
                });
                let is_shown = proof.shows(&hash.unwrap_or(NOBODY), &peer, &self.local);
                hash.filter(|_| is_shown)
            }
        }
    }

    fn has(&self, peer: PeerId, action: Action, hash: Hash) -> Option<Availability> {
        if !self.allows(peer, action, &hash) {
            return None;
        }
        let (descriptor, blocks) = self.store.holding(&hash).ok()??;
        let is_told = |scopes: &_| self.access.tells(&peer, action, scopes);
        let name = self.store.name_of(&hash, is_told).ok()?;
        Some(Availability {
            name,
            blocks,
            is_listed: self.allows(peer, Action::List, &hash),
            ..Availability::none(descriptor)
        })
    }
}
