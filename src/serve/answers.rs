//! What each request is answered with. Decides nothing: asks Access, then the store.

mod availability;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_behaviour::{
    catalogue::{self, Entry},
    chunk::{Answer, Item, MAX_LEVEL},
};
use pelago_content::Hash;
use tokio::{sync::mpsc, task::spawn_blocking};

pub(super) use self::availability::Question;
use super::{
    places::{Places, Position},
    rehash_queue::{Reason, RehashQueue},
    slots::Slot,
    told::Told,
};
use crate::{
    access::{Access, Action},
    store::{ChunkRead, Member, MemberState, Page, ReadError, Store},
};

/// Bytes that are read under one slot, for several items of one request together: also those that are
/// not sent, but only hashed.
const ENOUGH: usize = 256 << 10;

/// The answer to one item, ready to be sent.
pub(super) struct Prepared {
    pub(super) answer: Answer,
    pub(super) data: Vec<u8>,
    /// Whether it is the last of its request, so that the stream is flushed after it.
    pub(super) ends_request: bool,
    /// The blocks that the data is.
    pub(super) sends: Option<(Hash, Range<u64>)>,
    /// Held until the data is on its way.
    pub(super) slot: Option<Arc<Slot>>,
}

impl Prepared {
    fn without_data(answer: Answer) -> Self {
        Self {
            answer,
            data: Vec::new(),
            ends_request: false,
            sends: None,
            slot: None,
        }
    }

    pub(super) fn busy(retry: Duration) -> Self {
        Self::without_data(Answer::Busy(retry))
    }
}

/// Finds the answers.
#[derive(Clone)]
pub(super) struct Answers {
    /// Whom peers take this node for.
    local: PeerId,
    store: Store,
    access: Access,
    rehash: RehashQueue,
    /// Takes paths of shared files that could not be served.
    doubtful: mpsc::Sender<PathBuf>,
    told: Told,
    /// Content of which files in doubt were looked for.
    doubted: Told,
}

impl Answers {
    pub(super) fn new(
        local: PeerId,
        store: Store,
        access: Access,
        rehash: RehashQueue,
        doubtful: mpsc::Sender<PathBuf>,
    ) -> Self {
        Self {
            local,
            store,
            access,
            rehash,
            doubtful,
            told: Told::default(),
            doubted: Told::default(),
        }
    }

    /// Answers the first of `items` for `peer`, at least one, with at most `room` bytes of data: small
    /// ones are read in one go, up to [`ENOUGH`] bytes.
    pub(super) async fn chunks(
        &self,
        peer: PeerId,
        items: Vec<Item>,
        room: u64,
        slot: Slot,
    ) -> Vec<Prepared> {
        let answers = self.clone();
        let read = move || answers.read_some(peer, &items, room, &Arc::new(slot));
        // A task that cannot be joined was ended with the runtime.
        spawn_blocking(read).await.unwrap_or_default()
    }

    fn read_some(
        &self,
        peer: PeerId,
        items: &[Item],
        mut room: u64,
        slot: &Arc<Slot>,
    ) -> Vec<Prepared> {
        let (mut prepared, mut bytes_read) = (Vec::new(), 0);
        for item in items {
            if bytes_read >= ENOUGH {
                break;
            }
            let answer = match self.read(peer, *item, room) {
                Ok(read) => {
                    bytes_read += read.bytes_read;
                    found(*item, read, Arc::clone(slot))
                }
                Err(answer) => Prepared::without_data(answer),
            };
            room -= answer.data.len() as u64;
            prepared.push(answer);
        }
        prepared
    }

    fn read(&self, peer: PeerId, item: Item, room: u64) -> Result<ChunkRead, Answer> {
        if room == 0 {
            return Err(Answer::Busy(Duration::ZERO));
        }
        if item.data && item.level > MAX_LEVEL {
            return Err(Answer::Malformed);
        }
        if !self.allows(peer, Action::Fetch, &item.hash) {
            return Err(Answer::Absent);
        }
        let read = self
            .store
            .read_chunk(&item.hash, item.level, item.index, item.data);
        let read = read.map_err(|error| self.refusal(&item.hash, error))?;
        if read.in_doubt && self.doubted.is_news(&item.hash, Instant::now()) {
            self.note_doubted(&item.hash);
        }
        if read.data.len() as u64 > room {
            return Err(Answer::Busy(Duration::ZERO));
        }
        Ok(read)
    }

    /// Has those files hashed again that may not hold this content any more.
    fn note_doubted(&self, hash: &Hash) {
        match self.store.in_doubt(hash) {
            Ok(paths) => paths.into_iter().for_each(|path| self.rehash.doubted(path)),
            Err(error) => tracing::error!(%error, "a file in doubt is not looked at"),
        }
    }

    fn refusal(&self, hash: &Hash, error: ReadError) -> Answer {
        match error {
            ReadError::Absent => Answer::Absent,
            ReadError::OutOfRange { .. } | ReadError::TooLarge { .. } => Answer::OutOfRange,
            ReadError::Changed { path } => {
                if self.told.is_news(hash, Instant::now()) {
                    tracing::info!(%hash, path = %path.display(), "no longer served: the file changed");
                }
                self.note_changed(&path);
                self.doubt(path);
                Answer::Changed
            }
            ReadError::Unreadable { path, source } => {
                if self.told.is_news(hash, Instant::now()) {
                    let path = path.display();
                    tracing::warn!(%hash, %path, error = %source, "a shared file cannot be read");
                }
                self.store.note_unreadable(&path);
                self.doubt(path);
                Answer::Absent
            }
            error @ ReadError::Tree { .. } => {
                self.rehash.note_error(&error);
                if self.told.is_news(hash, Instant::now()) {
                    tracing::warn!(%hash, %error, "not served until its stored tree is rebuilt from the file");
                }
                Answer::Absent
            }
            error => {
                if self.told.is_news(hash, Instant::now()) {
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
            self.rehash.note(path.to_owned(), Reason::Changed);
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

    /// A page of what is listed for `peer`.
    pub(super) async fn catalogue(
        &self,
        peer: PeerId,
        request: catalogue::Request,
    ) -> catalogue::Page {
        let answers = self.clone();
        let page = spawn_blocking(move || answers.listed(peer, &request)).await;
        page.ok().flatten().unwrap_or_default()
    }

    fn listed(&self, peer: PeerId, request: &catalogue::Request) -> Option<catalogue::Page> {
        let position = match &request.cursor {
            Some(cursor) => Some(Position::from_bytes(cursor)?),
            None => None,
        };
        let mut places = Places::after(position);
        let words = words(&request.query);
        let after = position.map(Position::cursor);
        let page = self
            .store
            .shares_page(after.as_ref(), catalogue::MAX_ENTRIES, |share| {
                let is_new = places.is_new(share);
                is_new
                    && self.store.state_of(share).is_available()
                    && share.name.len() <= catalogue::MAX_NAME
                    && holds_all(&share.name, &words)
                    && self.access.lists(&peer, share)
            });
        let Page { shares, next } = page.ok()?;
        let entries = shares.into_iter().map(|share| Entry {
            hash: share.hash,
            name: share.name,
            kind: share.descriptor.kind(),
            size: share.totals.bytes,
        });
        Some(catalogue::Page {
            entries: entries.collect(),
            next: next.map(|_| places.position().to_bytes()),
        })
    }
}

fn found(item: Item, read: ChunkRead, slot: Arc<Slot>) -> Prepared {
    let ChunkRead {
        descriptor,
        chunk,
        node,
        proof,
        data,
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
    Prepared {
        answer,
        data,
        ends_request: false,
        sends: item
            .data
            .then(|| (item.hash, chunk.blocks(descriptor.geometry()))),
        slot: Some(slot),
    }
}

/// The words of a query, in lower case.
pub(crate) fn words(query: &str) -> Vec<String> {
    query
        .to_lowercase()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// Whether `name` holds each of `words`, letter case apart.
pub(crate) fn holds_all(name: &str, words: &[String]) -> bool {
    let name = name.to_lowercase();
    words.iter().all(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use std::{fs, ops::ControlFlow};

    use futures::FutureExt;

    use super::*;
    use crate::{
        serve::slots::Slots,
        store::{DataFolder, NewFolder, NewShare, Origin, Scope},
    };

    fn answers() -> Answers {
        let store = Store::in_memory();
        let (doubtful, _) = mpsc::channel(1);
        let access = Access::new(store.clone());
        let local = PeerId::random();
        Answers::new(local, store, access, RehashQueue::default(), doubtful)
    }

    fn share(store: &Store, path: &Path) -> Hash {
        let hashed = store.hash_file(path, &|_| ControlFlow::Continue(()));
        let hashed = hashed.unwrap();
        let share = NewShare {
            descriptor: hashed.descriptor,
            name: "name".into(),
            path: path.to_owned(),
            scopes: Scope::Everyone.into(),
            origin: Origin::Explicit,
            fingerprint: hashed.fingerprint,
        };
        store.add_shares(&[share]).unwrap();
        hashed.descriptor.hash()
    }

    const fn item(hash: Hash, level: u8, index: u64, data: bool) -> Item {
        Item {
            hash,
            level,
            index,
            data,
        }
    }

    #[tokio::test]
    async fn what_is_read_and_not_sent_takes_turns_like_what_is_sent() {
        let (answers, folder) = (answers(), tempfile::tempdir().unwrap());
        let path = folder.path().join("file");
        fs::write(&path, vec![7; 4 * ENOUGH]).unwrap();
        let hash = share(&answers.store, &path);
        let (slots, peer) = (Slots::new(1, 1), PeerId::random());
        for (level, data, at_a_time) in [(0, false, 1), (3, false, 1), (0, true, 1), (4, false, 8)]
        {
            let items = vec![item(hash, level, 1, data); 8];
            let slot = slots.acquire(peer).await.unwrap();
            let prepared = answers.chunks(peer, items, 1 << 20, slot).await;
            assert_eq!(prepared.len(), at_a_time, "level {level}, data {data}");
            assert!(prepared.iter().all(|answer| answer.slot.is_some()));
        }
    }

    #[tokio::test]
    async fn a_changed_file_is_to_be_hashed_again_unless_it_is_known_to_hold_other_content() {
        let (answers, folder) = (answers(), tempfile::tempdir().unwrap());
        let (own, tree) = (folder.path().join("own"), folder.path().join("tree"));
        let member = tree.join("member");
        fs::create_dir(&tree).unwrap();
        fs::write(&own, "own").unwrap();
        fs::write(&member, "member").unwrap();
        let new = NewFolder {
            path: tree,
            name: "tree".into(),
            scopes: Scope::Everyone.into(),
            origin: Origin::Explicit,
        };
        let on = |_| ControlFlow::Continue(());
        answers.store.share_folder(&new, &on).unwrap();
        let in_tree = answers.store.hash_file(&member, &on).unwrap();
        let hashes = [share(&answers.store, &own), in_tree.descriptor.hash()];
        fs::write(&own, "longer than it was").unwrap();
        fs::write(&member, "longer than it was").unwrap();
        for hash in [hashes, hashes].concat() {
            let read = answers.read(PeerId::random(), item(hash, 0, 0, true), 1 << 20);
            assert_eq!(read.unwrap_err(), Answer::Changed);
        }
        for path in [&own, &member] {
            let next = answers.rehash.next().await;
            assert_eq!((&next.path, next.reason), (path, Reason::Changed));
        }
        assert!(answers.rehash.next().now_or_never().is_none());
        let hashed = answers.store.hash_file(&member, &on).unwrap();
        for (folder, listed) in answers.store.members_at(&member).unwrap() {
            let confirmed = answers.store.confirm_member(&folder, &listed, &hashed);
            assert!(!confirmed.unwrap());
        }
        let read = answers.read(PeerId::random(), item(hashes[1], 0, 0, true), 1 << 20);
        assert_eq!(read.unwrap_err(), Answer::Changed);
        assert!(answers.rehash.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn files_in_doubt_and_files_without_a_tree_are_hashed_again_when_they_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::lock(folder.path().join("data")).unwrap();
        let store = Store::open(&data).unwrap();
        let access = Access::new(store.clone());
        let (doubtful, _) = mpsc::channel(1);
        let local = PeerId::random();
        let answers = Answers::new(local, store, access, RehashQueue::default(), doubtful);
        let at = |name: &str| folder.path().join(name);
        fs::write(at("doubted"), vec![1; 4 * ENOUGH]).unwrap();
        fs::write(at("no tree"), vec![2; 4 * ENOUGH]).unwrap();
        let [doubted, no_tree] =
            ["doubted", "no tree"].map(|name| share(&answers.store, &at(name)));
        // Its time of change is another, and nothing else.
        fs::rename(at("doubted"), at("moved")).unwrap();
        fs::rename(at("moved"), at("doubted")).unwrap();
        fs::write(at("data/trees").join(no_tree.to_string()), "").unwrap();
        let read = |hash| answers.read(PeerId::random(), item(hash, 4, 0, true), 1 << 20);

        for _ in 0..2 {
            assert!(read(doubted).unwrap().in_doubt);
        }
        let next = answers.rehash.next().await;
        assert_eq!((next.path, next.reason), (at("doubted"), Reason::Doubted));
        for _ in 0..2 {
            assert_eq!(read(no_tree).unwrap_err(), Answer::Absent);
        }
        let next = answers.rehash.next().await;
        assert_eq!((next.path, next.reason), (at("no tree"), Reason::NoTree));
        assert!(answers.rehash.next().now_or_never().is_none());
    }

    #[test]
    fn a_query_asks_for_all_its_words_in_any_case() {
        let query = words(" Sea  SHELL ");
        assert!(holds_all("shells of the sea.txt", &query));
        assert!(!holds_all("sea.txt", &query));
        assert!(holds_all("anything", &words("")));
    }
}
