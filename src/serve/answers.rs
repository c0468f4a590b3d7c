//! What each request is answered with. Decides nothing: asks Access, then the store.

mod availability;
mod catalogue;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_behaviour::chunk::{Answer, Item, MAX_LEVEL, MAX_RESPONSE};
use pelago_content::{BLOCK_SIZE, Hash};
use tokio::sync::mpsc;

pub(super) use self::availability::Question;
use super::{
    buffers::Buffer,
    log_throttle::LogThrottle,
    rehash_queue::{RehashQueue, RehashReason},
    request_queue::QueueFull,
    requester::Requester,
    work::{JobKind, Work},
};
use crate::{
    access::{Access, Action},
    store::{ChunkRead, Member, MemberState, ReadError, Store},
};

/// Bytes that are read in one go, for several items of one request together: also those that are not
/// sent, but only hashed.
const READ_BATCH: usize = 256 << 10;

/// The answer to one item, ready to be sent.
pub(super) struct PreparedAnswer {
    pub(super) answer: Answer,
    pub(super) data: Vec<u8>,
    /// Whether it is the last of its request, so that the stream is flushed after it.
    pub(super) ends_request: bool,
    /// Whether content was read for it and none is sent.
    is_computed: bool,
    /// The blocks that the data is.
    pub(super) sends: Option<(Hash, Range<u64>)>,
    /// Held until the data is on its way.
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

/// What is left to be answered of one request.
#[derive(Clone)]
pub(super) struct RemainingItems {
    pub(super) items: Vec<Item>,
    /// Bytes of data that its answers may still have.
    pub(super) budget: u64,
    /// Whether a proof without data may still have content read and hashed for it. One item of a request may:
    /// its question is shorter than that by a factor of thousands.
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

    /// Bytes of data that the next answers have, at most.
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

    /// The first items have been answered so.
    pub(super) fn answered(&mut self, answers: &[PreparedAnswer]) {
        self.items.drain(..answers.len().min(self.items.len()));
        for answer in answers {
            self.budget -= answer.data.len() as u64;
            self.may_prove &= !answer.is_computed;
        }
    }
}

/// Finds the answers.
#[derive(Clone)]
pub(super) struct Answers {
    /// Whom peers take this node for.
    local: PeerId,
    pub(super) store: Store,
    pub(super) access: Access,
    rehash: RehashQueue,
    /// Takes paths of shared files that could not be served.
    doubtful: mpsc::Sender<PathBuf>,
    logged: LogThrottle,
    /// Content of which files in doubt were looked for.
    rechecked: LogThrottle,
    pub(super) work: Work,
}

impl Answers {
    pub(super) fn new(
        local: PeerId,
        store: Store,
        access: Access,
        rehash: RehashQueue,
        doubtful: mpsc::Sender<PathBuf>,
        work: Work,
    ) -> Self {
        Self {
            local,
            store,
            access,
            rehash,
            doubtful,
            logged: LogThrottle::default(),
            rechecked: LogThrottle::default(),
            work,
        }
    }

    /// Answers the first of the items that are left of a request, at least one: small ones are read in one
    /// go, up to [`READ_BATCH`] bytes. `buffer` holds what may be read of it.
    pub(super) async fn chunks(
        &self,
        requester: Requester,
        remaining: RemainingItems,
        buffer: Buffer,
    ) -> Result<Vec<PreparedAnswer>, QueueFull> {
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
    ) -> (Vec<PreparedAnswer>, usize) {
        let (mut prepared, mut bytes_read, mut bytes_sent) = (Vec::new(), 0, 0);
        let (mut budget, mut may_prove) = (remaining.budget, remaining.may_prove);
        for item in &remaining.items {
            if bytes_read >= READ_BATCH {
                break;
            }
            let answer = match self.read(peer, *item, budget, may_prove) {
                Ok(read) => {
                    bytes_read += read.bytes_read;
                    let answer = prepared_answer(*item, read, Arc::clone(buffer));
                    may_prove &= !answer.is_computed;
                    answer
                }
                Err(answer) => PreparedAnswer::without_data(answer),
            };
            budget -= answer.data.len() as u64;
            bytes_sent += answer.data.len() as u64;
            prepared.push(answer);
        }
        buffer.shrink(bytes_sent);
        (prepared, bytes_read)
    }

    fn read(
        &self,
        peer: PeerId,
        item: Item,
        budget: u64,
        may_prove: bool,
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
        let read = read.map_err(|error| self.refusal(&item.hash, error))?;
        if read.in_doubt && self.rechecked.allows(&item.hash, Instant::now()) {
            self.note_doubted(&item.hash);
        }
        if read.data.len() as u64 > budget {
            return Err(Answer::Busy(Duration::ZERO));
        }
        Ok(read)
    }

    /// Has those files hashed again that may not hold this content any more.
    fn note_doubted(&self, hash: &Hash) {
        match self.store.in_doubt(hash) {
            Ok(paths) => paths
                .into_iter()
                .for_each(|path| self.rehash.enqueue_doubted(path)),
            Err(error) => tracing::error!(%error, "a file in doubt is not looked at"),
        }
    }

    fn refusal(&self, hash: &Hash, error: ReadError) -> Answer {
        match error {
            ReadError::Absent => Answer::Absent,
            ReadError::Costly => Answer::Busy(Duration::ZERO),
            ReadError::OutOfRange { .. } | ReadError::TooLarge { .. } => Answer::OutOfRange,
            ReadError::Changed { path } => {
                if self.logged.allows(hash, Instant::now()) {
                    tracing::info!(%hash, path = %path.display(), "no longer served: the file changed");
                }
                self.note_changed(&path);
                self.doubt(path);
                Answer::Changed
            }
            ReadError::Unreadable { path, source } => {
                if self.logged.allows(hash, Instant::now()) {
                    let path = path.display();
                    tracing::warn!(%hash, %path, error = %source, "a shared file cannot be read");
                }
                self.store.note_unreadable(&path);
                self.doubt(path);
                Answer::Absent
            }
            error @ ReadError::Tree { .. } => {
                self.rehash.enqueue_for_error(&error);
                if self.logged.allows(hash, Instant::now()) {
                    tracing::warn!(%hash, %error, "not served until its stored tree is rebuilt from the file");
                }
                Answer::Absent
            }
            error => {
                if self.logged.allows(hash, Instant::now()) {
                    tracing::warn!(%hash, %error, "a shared file cannot be read");
                }
                Answer::Absent
            }
        }
    }

    /// Has a file hashed again that was not found to hold other content already, as it looks now.
    fn note_changed(&self, path: &Path) {
        let share = self.store.share_at(path);
        let members = self.store.members_at(path);
        let (share, members) = match (share, members) {
            (Ok(share), Ok(members)) => (share, members),
            (Err(error), _) | (_, Err(error)) => {
                return tracing::error!(%error, "a changed file is not looked at");
            }
        };
        let is_due = |(_, member): &(PathBuf, Member)| match member.state {
            // What left no mark would be sent where it is not proven.
            MemberState::File(listed) => {
                let sight = self.store.look_at_file(path, &listed);
                sight.rehash.is_some() || sight.state.is_available()
            }
            MemberState::Folder(_) => false,
        };
        if share.is_some() || members.iter().any(is_due) {
            self.rehash.enqueue(path.to_owned(), RehashReason::Changed);
        }
    }

    /// Has somebody find out whether a share is still available. One too many comes up again.
    fn doubt(&self, path: PathBuf) {
        let _ = self.doubtful.try_send(path);
    }

    fn allows(&self, peer: PeerId, action: Action, hash: &Hash) -> bool {
        self.access
            .decide(&peer, action, hash)
            .unwrap_or_else(|error| {
                tracing::error!(%error, "refused, as the database cannot be read");
                false
            })
    }
}

fn prepared_answer(item: Item, read: ChunkRead, buffer: Arc<Buffer>) -> PreparedAnswer {
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
        sends: item
            .data
            .then(|| (item.hash, chunk.blocks(descriptor.geometry()))),
        buffer: Some(buffer),
    }
}

#[cfg(test)]
mod tests;
