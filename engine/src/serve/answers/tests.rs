//! Answers on files that change, are in doubt, or cannot be read, and what becomes of the findings.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use futures::FutureExt;
use tokio::sync::mpsc;

use super::*;
use crate::{
    access::Memberships,
    serve::{
        buffers::Buffers,
        findings::Findings,
        rehash_queue::{RehashQueue, RehashReason},
    },
    store::{DataFolder, NewFolder, NewShare, Origin, Scope, ShareState},
};

/// Answers from a store, and the queue of files that their findings lead to.
struct Serving {
    answers: Answers,
    store: Store,
    findings: Findings,
    rehash: RehashQueue,
    doubtful: mpsc::Receiver<PathBuf>,
}

impl Serving {
    fn of(store: Store) -> Self {
        let (doubtful, doubted) = mpsc::channel(8);
        let rehash = RehashQueue::default();
        let access = Access::new(store.clone(), Memberships::default());
        Self {
            answers: Answers::new(
                PeerId::random(),
                store.clone(),
                access,
                Work::new(1, 1),
                Uploads::default(),
            ),
            findings: Findings::new(store.clone(), rehash.clone(), doubtful),
            store,
            rehash,
            doubtful: doubted,
        }
    }

    /// Reads an item, and acts on the findings.
    fn read(&self, item: Item) -> Result<ChunkRead, Answer> {
        let mut findings = Vec::new();
        let peer = PeerId::random();
        let read = self.answers.read(peer, item, 1 << 20, true, &mut findings);
        findings
            .into_iter()
            .for_each(|finding| self.findings.handle(finding));
        read
    }
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
async fn hashing_for_proofs_takes_turns_like_sending() {
    let (serving, folder) = (
        Serving::of(Store::in_memory()),
        tempfile::tempdir().unwrap(),
    );
    let path = folder.path().join("file");
    fs::write(&path, vec![7; 4 * READ_BATCH]).unwrap();
    let hash = share(&serving.store, &path);
    let (buffers, requester) = (Buffers::new(4 << 20, 4 << 20), Requester::at("11.0.0.1"));
    for (level, data, at_a_time) in [(0, true, 1), (4, false, 8)] {
        let remaining = RemainingItems::new(vec![item(hash, level, 1, data); 8]);
        let buffer = buffers
            .acquire(requester, remaining.next_bytes())
            .await
            .unwrap();
        let answered = serving.answers.chunks(requester, remaining, buffer);
        let prepared = answered.await.unwrap().answers;
        assert_eq!(prepared.len(), at_a_time, "level {level}, data {data}");
        let sent: usize = prepared.iter().map(|answer| answer.data.len()).sum();
        assert_eq!(
            buffers.depths().0,
            sent as u64,
            "no more is held than is to be sent"
        );
    }
}

#[tokio::test]
async fn for_proofs_without_data_one_chunk_is_read_a_request() {
    let (serving, folder) = (
        Serving::of(Store::in_memory()),
        tempfile::tempdir().unwrap(),
    );
    let path = folder.path().join("file");
    fs::write(&path, vec![7; 4 * READ_BATCH]).unwrap();
    let hash = share(&serving.store, &path);
    let (buffers, requester) = (Buffers::new(4 << 20, 4 << 20), Requester::at("11.0.0.1"));
    // Those of the stored tree cost nothing, the others 256 KiB each.
    let items = [(4, 0), (0, 0), (3, 1), (5, 0), (0, 17), (4, 3)];
    let items = items.map(|(level, index)| item(hash, level, index, false));
    let (mut remaining, mut answered) = (RemainingItems::new(items.into()), Vec::new());
    while !remaining.items.is_empty() {
        let buffer = buffers
            .acquire(requester, remaining.next_bytes())
            .await
            .unwrap();
        let some = serving.answers.chunks(requester, remaining.clone(), buffer);
        let some = some.await.unwrap().answers;
        remaining.remove_answered(&some);
        let is_node = |answer: PreparedAnswer| matches!(answer.answer, Answer::Node { .. });
        answered.extend(some.into_iter().map(is_node));
    }
    assert_eq!(answered, [true, true, false, true, false, true]);
}

#[tokio::test]
async fn a_changed_file_is_to_be_hashed_again_unless_it_is_known_to_hold_other_content() {
    let (serving, folder) = (
        Serving::of(Store::in_memory()),
        tempfile::tempdir().unwrap(),
    );
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
    serving.store.share_folder(&new, &on).unwrap();
    let in_tree = serving.store.hash_file(&member, &on).unwrap();
    let hashes = [share(&serving.store, &own), in_tree.descriptor.hash()];
    fs::write(&own, "longer than it was").unwrap();
    fs::write(&member, "longer than it was").unwrap();
    for hash in [hashes, hashes].concat() {
        let read = serving.read(item(hash, 0, 0, true));
        assert_eq!(read.unwrap_err(), Answer::Changed);
    }
    for path in [&own, &member] {
        let next = serving.rehash.next().await;
        assert_eq!((&next.path, next.reason), (path, RehashReason::Changed));
    }
    assert!(serving.rehash.next().now_or_never().is_none());
    let hashed = serving.store.hash_file(&member, &on).unwrap();
    for (folder, listed) in serving.store.members_at(&member).unwrap() {
        let confirmed = serving.store.confirm_member(&folder, &listed, &hashed);
        assert!(!confirmed.unwrap());
    }
    let read = serving.read(item(hashes[1], 0, 0, true));
    assert_eq!(read.unwrap_err(), Answer::Changed);
    assert!(serving.rehash.next().now_or_never().is_none());
}

#[tokio::test]
async fn files_in_doubt_and_files_without_a_tree_are_hashed_again_when_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataFolder::lock(folder.path().join("data")).unwrap();
    let store = Store::open(&data).unwrap();
    let serving = Serving::of(store);
    let at = |name: &str| folder.path().join(name);
    fs::write(at("doubted"), vec![1; 4 * READ_BATCH]).unwrap();
    fs::write(at("no tree"), vec![2; 4 * READ_BATCH]).unwrap();
    let [doubted, no_tree] = ["doubted", "no tree"].map(|name| share(&serving.store, &at(name)));
    // Its time of change is another, and nothing else.
    fs::rename(at("doubted"), at("moved")).unwrap();
    fs::rename(at("moved"), at("doubted")).unwrap();
    fs::write(at("data/trees").join(no_tree.to_string()), "").unwrap();
    let read = |hash| serving.read(item(hash, 4, 0, true));

    for _ in 0..2 {
        assert!(read(doubted).unwrap().in_doubt);
    }
    let next = serving.rehash.next().await;
    assert_eq!(
        (next.path, next.reason),
        (at("doubted"), RehashReason::Doubted)
    );
    for _ in 0..2 {
        assert_eq!(read(no_tree).unwrap_err(), Answer::Absent);
    }
    let next = serving.rehash.next().await;
    assert_eq!(
        (next.path, next.reason),
        (at("no tree"), RehashReason::NoTree)
    );
    assert!(serving.rehash.next().now_or_never().is_none());
}

#[tokio::test]
async fn the_state_of_a_file_is_checked_when_a_peer_asks_in_vain() {
    let mut serving = Serving::of(Store::in_memory());
    let folder = tempfile::tempdir().unwrap();
    let (own, tree) = (folder.path().join("own"), folder.path().join("tree"));
    let member = tree.join("member");
    fs::create_dir(&tree).unwrap();
    fs::write(&own, "own").unwrap();
    fs::write(&member, "member").unwrap();
    let new = NewFolder {
        path: tree.clone(),
        name: "tree".into(),
        scopes: Scope::Everyone.into(),
        origin: Origin::Explicit,
    };
    let on = |_| ControlFlow::Continue(());
    let (root, _) = serving.store.share_folder(&new, &on).unwrap();
    let in_tree = serving.store.hash_file(&member, &on).unwrap().descriptor;
    let own_hash = share(&serving.store, &own);
    let requester = Requester::at("11.0.0.1");
    for hash in [own_hash, in_tree.hash(), root.hash()] {
        let asked = serving.answers.asked(requester, Question::Named(hash));
        assert!(asked.await.unwrap().is_ok());
    }
    fs::remove_file(&own).unwrap();
    fs::remove_dir_all(&tree).unwrap();
    let cases = [
        (own_hash, &own),
        (in_tree.hash(), &member),
        (root.hash(), &tree),
    ];
    for (hash, path) in cases {
        let asked = serving.answers.asked(requester, Question::Named(hash));
        let absent = asked.await.unwrap().unwrap_err();
        serving.findings.handle(absent.finding.unwrap());
        assert_eq!(serving.doubtful.recv().await.as_ref(), Some(path));
    }
    // What is known to be unavailable is not checked again.
    let gone = serving.store.share_at(&own).unwrap().unwrap();
    serving.store.set_state(&gone, ShareState::Missing);
    let asked = serving.answers.asked(requester, Question::Named(own_hash));
    let absent = asked.await.unwrap().unwrap_err();
    serving.findings.handle(absent.finding.unwrap());
    assert!(serving.doubtful.recv().now_or_never().is_none());
}
