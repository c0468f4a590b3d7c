//! Answers availability requests of peers that prove to have the hash, and those for listed
//! content.
//!
//! A request names the content by its provider key. Only a peer that has proven to have the hash
//! gets the hash, the name and the blocks. All other answers are equal, and leave after the same time
//! (`absences`).

use libp2p::PeerId;
use pelago_behaviour::availability::{Availability, Proof, Request};
use pelago_content::Hash;
use pelago_groups::GroupId;

use super::{Answers, Finding, JobKind, QueueFull, Requester};
use crate::access::Action;

/// Stands in for the hash of absent content, so that the proof is checked all the same.
const ABSENT_HASH: Hash = Hash::from_bytes([0; 32]);

/// How a peer asks for the blocks that this node has of some content.
#[derive(Clone, Copy, Debug)]
pub(in crate::serve) enum Question {
    /// By its provider key, with a proof that it has the hash.
    Proven(Request),
    /// By its hash, in version 1 of the protocol: answered only if any peer may know of the
    /// content.
    Named(Hash),
}

impl Question {
    /// The group in which the peer asks.
    pub(in crate::serve) const fn group(&self) -> Option<GroupId> {
        match self {
            Self::Proven(request) => request.group,
            Self::Named(_) => None,
        }
    }

    /// The action that the requester needs access for.
    pub(in crate::serve) const fn action(&self) -> Action {
        match self {
            Self::Proven(Request { group: None, .. }) => Action::Availability,
            Self::Proven(Request {
                group: Some(group), ..
            }) => Action::AvailabilityIn(*group),
            Self::Named(_) => Action::ListedAvailability,
        }
    }
}

/// This node has nothing of the requested content, or nothing for this peer.
#[derive(Debug, Default)]
pub(in crate::serve) struct Absent {
    /// What this shows of shared files.
    pub(in crate::serve) finding: Option<Finding>,
}

impl Answers {
    /// The availability of the requested content, with our proof.
    pub(in crate::serve) async fn asked(
        &self,
        requester: Requester,
        question: Question,
    ) -> Result<Result<(Hash, Availability), Absent>, QueueFull> {
        let (answers, peer) = (self.clone(), requester.peer);
        let answer = move || {
            let hash = answers
                .hash_of(peer, question)
                .ok_or_else(Absent::default)?;
            let mut has = answers.has(peer, question.action(), hash)?;
            if matches!(question, Question::Proven(_)) {
                has.proof = Some(Proof::new(&hash, &answers.local, &peer));
                has.group = question.group();
            }
            Ok((hash, has))
        };
        let run = move || (answer(), 0);
        self.work.run(requester, JobKind::LookUp, run).await
    }

    /// The present availability of `hash`, if the requester may do `action` with it.
    pub(in crate::serve) async fn availability(
        &self,
        requester: Requester,
        action: Action,
        hash: Hash,
    ) -> Result<Result<Availability, Absent>, QueueFull> {
        let answers = self.clone();
        let held = move || (answers.has(requester.peer, action, hash), 0);
        self.work.run(requester, JobKind::LookUp, held).await
    }

    /// The hash of the requested content, if the peer has it.
    fn hash_of(&self, peer: PeerId, question: Question) -> Option<Hash> {
        match question {
            Question::Named(hash) => Some(hash),
            Question::Proven(Request { key, proof, .. }) => {
                let hash = self.store.hash_of_key(&key).unwrap_or_else(|error| {
                    tracing::error!(%error, "request refused: the database cannot be read");
                    None
                });
                let hash = hash.or_else(|| self.access.completed().hash_of_key(&key));
                let is_shown = proof.shows(&hash.unwrap_or(ABSENT_HASH), &peer, &self.local);
                hash.filter(|_| is_shown)
            }
        }
    }

    fn has(&self, peer: PeerId, action: Action, hash: Hash) -> Result<Availability, Absent> {
        self.offers(peer, action, hash).or_else(|absent| {
            let group = match action {
                Action::Availability => None,
                Action::AvailabilityIn(group) => Some(group),
                _ => return Err(absent),
            };
            // Nothing is offered to it, and it knows of the download.
            let completed = self.access.completed().for_source(&hash, &peer, group);
            let completed = completed.ok_or(absent)?;
            Ok(Availability {
                blocks: (0..completed.blocks).into(),
                ..Availability::none(completed.descriptor)
            })
        })
    }

    fn offers(&self, peer: PeerId, action: Action, hash: Hash) -> Result<Availability, Absent> {
        if !self.allows(peer, action, &hash) {
            return Err(Absent::default());
        }
        let held = self.store.holding(&hash).map_err(|_| Absent::default())?;
        let (descriptor, blocks) = held.ok_or(Absent {
            finding: Some(Finding::NotOffered(hash)),
        })?;
        let may_know = |scopes: &_| self.access.tells(&peer, action, scopes);
        let name = self.store.name_of(&hash, may_know);
        Ok(Availability {
            name: name.map_err(|_| Absent::default())?,
            blocks,
            // Within a group, the content is the group's.
            is_listed: !matches!(action, Action::AvailabilityIn(_))
                && self.allows(peer, Action::List, &hash),
            ..Availability::none(descriptor)
        })
    }
}
