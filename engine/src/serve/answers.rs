//! Finds the answers to requests: asks `Access`, then the store. Decides nothing, and changes
//! nothing: what it finds out about shared files is returned as a [`Finding`].

mod availability;
mod catalogue;

use std::{ops::Range, sync::Arc, time::Duration};

use libp2p::PeerId;
use pelago_behaviour::chunk::{Answer, Item, MAX_LEVEL, MAX_RESPONSE};
use pelago_content::{BLOCK_SIZE, Hash};

pub(super) use self::availability::{Absent, Question};
use super::{
    buffers::Buffer,
    findings::Finding,
    request_queue::QueueFull,
    requester::Requester,
    uploads::{Root, Uploads},
    work::{JobKind, Work},
};
use crate::{
    access::{Access, Action},
    store::{ChunkRead, ReadError, Store},
};

/// Bytes that one job reads for several items of a request, including those that are hashed and not
/// sent.
const READ_BATCH: usize = 256 << 10;

/// The answer to one item, ready to be sent.
pub(super) struct PreparedAnswer {
    pub(super) answer: Answer,
    pub(super) data: Vec<u8>,
    /// Whether it is the last answer of its request: the stream is flushed after it.
    pub(super) ends_request: bool,
    /// Whether content was read for it, but is not sent.
    is_computed: bool,
    /// What `data` is.
    pub(super) sends: Option<SentBlocks>,
    /// Held until the data is sent.
    pub(super) buffer: Option<Arc<Buffer>>,
}

impl PreparedAnswer {
    fn without_data(answer: Answer) -> Self {
        Self {
            answer,
            data: Vec::new(),
            ends_request: false,
            is_computed: false,
            sends: None,
            buffer: None,
        }
    }

    pub(super) fn busy(retry: Duration) -> Self {
        Self::without_data(Answer::Busy(retry))
    }
}

/// The unanswered items of one request.
#[derive(Clone)]
pub(super) struct RemainingItems {
    pub(super) items: Vec<Item>,
    /// Bytes of data that their answers may hold.
    pub(super) budget: u64,
    /// Whether content may still be read and hashed for a proof without data. This is allowed for
    /// one item of a request, as it costs thousands of times more than the item does.
    pub(super) may_prove: bool,
}

impl RemainingItems {
    pub(super) const fn new(items: Vec<Item>) -> Self {
        Self {
            items,
            budget: MAX_RESPONSE,
            may_prove: true,
        }
    }

    /// Bytes of data in the next answers, at most.
    pub(super) fn next_bytes(&self) -> u64 {
        let mut bytes = 0;
        for item in self.items.iter().filter(|item| item.data) {
            if bytes >= READ_BATCH as u64 {
                break;
            }
            bytes += BLOCK_SIZE << item.level.min(MAX_LEVEL);
        }
        bytes.min(self.budget)
    }

    /// Removes the first items, which have these answers.
    pub(super) fn remove_answered(&mut self, answers: &[PreparedAnswer]) {
        self.items.drain(..answers.len().min(self.items.len()));
        for answer in answers {
            self.budget -= answer.data.len() as u64;
            self.may_prove &= !answer.is_computed;
        }
    }
}

/// The answers to the first items of a request.
#[derive(Default)]
pub(super) struct Answered {
    pub(super) answers: Vec<PreparedAnswer>,
    pub(super) findings: Vec<Finding>,
}

/// Blocks that are sent.
pub(super) struct SentBlocks {
    /// The file or manifest that they are in.
    pub(super) hash: Hash,
    pub(super) blocks: Range<u64>,
    /// The content of the upload to which they count.
    pub(super) root: Hash,
}

/// Finds answers. A handle: clones share the work queue.
#[derive(Clone)]
pub(super) struct Answers {
    /// The id by which peers know this node.
    local: PeerId,
    store: Store,
    access: Access,
    work: Work,
    uploads: Uploads,
}

impl Answers {
    pub(super) fn new(
        local: PeerId,
        store: Store,
        access: Access,
        work: Work,
        uploads: Uploads,
    ) -> Self {
        Self {
            local,
            store,
            access,
            work,
            uploads,
        }
    }

    /// Answers the first of the remaining items, at least one: small ones are read by one job, up
    /// to [`READ_BATCH`] bytes. `buffer` holds the bytes that are read.
    pub(super) async fn chunks(
        &self,
        requester: Requester,
        remaining: RemainingItems,
        buffer: Buffer,
    ) -> Result<Answered, QueueFull> {
        let answers = self.clone();
        let is_proof = |item: &Item| !item.data;
        let kind = match remaining.items.iter().all(is_proof) {
            true => JobKind::LookUp,
            false => JobKind::Read,
        };
        let read = move || answers.read_some(requester.peer, &remaining, &Arc::new(buffer));
        self.work.run(requester, kind, read).await
    }

    fn read_some(
        &self,
        peer: PeerId,
        remaining: &RemainingItems,
        buffer: &Arc<Buffer>,
    ) -> (Answered, usize) {
        let (mut answered, mut bytes_read, mut bytes_sent) = (Answered::default(), 0, 0);
        let (mut budget, mut may_prove) = (remaining.budget, remaining.may_prove);
        for item in &remaining.items {
            if bytes_read >= READ_BATCH {
                break;
            }
            let read = self.read(peer, *item, budget, may_prove, &mut answered.findings);
            let answer = match read {
                Ok(read) => {
                    bytes_read += read.bytes_read;
                    let root = || self.root_of(item.hash, &peer);
                    let answer = prepared_answer(*item, read, Arc::clone(buffer), root);
                    may_prove &= !answer.is_computed;
                    answer
                }
                Err(answer) => PreparedAnswer::without_data(answer),
            };
            budget -= answer.data.len() as u64;
            bytes_sent += answer.data.len() as u64;
            answered.answers.push(answer);
        }
        buffer.shrink(bytes_sent);
        (answered, bytes_read)
    }

    /// Reads the chunk or node of an item; the error is the answer that refuses it. What reading
    /// shows of the shared files is added to `findings`.
    fn read(
        &self,
        peer: PeerId,
        item: Item,
        budget: u64,
        may_prove: bool,
        findings: &mut Vec<Finding>,
    ) -> Result<ChunkRead, Answer> {
        if budget == 0 {
            return Err(Answer::Busy(Duration::ZERO));
        }
        if item.data && item.level > MAX_LEVEL {
            return Err(Answer::Malformed);
        }
        if !self.allows(peer, Action::Fetch, &item.hash) {
            return Err(Answer::Absent);
        }
        let (hash, level, index) = (&item.hash, item.level, item.index);
        let read = match item.data {
            true => self.store.read_chunk(hash, level, index, true),
            false => self.store.read_node(hash, level, index, may_prove),
        };
        let read = read.map_err(|error| {
            let (answer, finding) = refusal(item.hash, error);
            findings.extend(finding);
            answer
        })?;
        if read.in_doubt {
            findings.push(Finding::InDoubt(item.hash));
        }
        if read.data.len() as u64 > budget {
            return Err(Answer::Busy(Duration::ZERO));
        }
        Ok(read)
    }

    /// The content of the upload to which bytes of `hash` count: what the peer listens to, which is
    /// `hash` or a folder with it.
    fn root_of(&self, hash: Hash, peer: &PeerId) -> Hash {
        let roots = match self.uploads.root_of(hash, peer) {
            Root::Known(root) => return root,
            Root::OneOf(roots) => roots,
        };
        let folders = self.store.folders_with_content(&hash).unwrap_or_default();
        let mut roots = roots.into_iter();
        roots.find(|root| folders.contains(root)).unwrap_or(hash)
    }

    fn allows(&self, peer: PeerId, action: Action, hash: &Hash) -> bool {
        self.access
            .decide(&peer, action, hash)
            .unwrap_or_else(|error| {
                tracing::error!(%error, "request refused: the database cannot be read");
                false
            })
    }
}

/// The answer for an error of the store, and what the error shows of a shared file.
fn refusal(hash: Hash, error: ReadError) -> (Answer, Option<Finding>) {
    let answer = match &error {
        ReadError::Absent => return (Answer::Absent, None),
        ReadError::Costly => return (Answer::Busy(Duration::ZERO), None),
        ReadError::OutOfRange { .. } | ReadError::TooLarge { .. } => {
            return (Answer::OutOfRange, None);
        }
        ReadError::Changed { .. } => Answer::Changed,
        _ => Answer::Absent,
    };
    (answer, Some(Finding::Unserved(hash, error)))
}

fn prepared_answer(
    item: Item,
    read: ChunkRead,
    buffer: Arc<Buffer>,
    root: impl FnOnce() -> Hash,
) -> PreparedAnswer {
    let ChunkRead {
        descriptor,
        chunk,
        node,
        proof,
        data,
        bytes_read,
        ..
    } = read;
    let answer = if item.data {
        // At most 4 MiB: the level was checked.
        Answer::Data {
            descriptor,
            proof,
            length: data.len() as u32,
        }
    } else {
        Answer::Node {
            descriptor,
            proof,
            node,
        }
    };
    PreparedAnswer {
        answer,
        data,
        ends_request: false,
        is_computed: !item.data && bytes_read > 0,
        sends: item.data.then(|| SentBlocks {
            hash: item.hash,
            blocks: chunk.blocks(descriptor.geometry()),
            root: root(),
        }),
        buffer: Some(buffer),
    }
}

#[cfg(test)]
mod tests;
