//! What is answered of files that change, are in doubt, or cannot be read.

use std::{fs, ops::ControlFlow};

use futures::FutureExt;

use super::*;
use crate::{
    serve::buffers::Buffers,
    store::{DataFolder, NewFolder, NewShare, Origin, Scope},
};

fn answers() -> Answers {
    let store = Store::in_memory();
    let (doubtful, _) = mpsc::channel(1);
    let access = Access::new(store.clone());
    Answers::new(
        PeerId::random(),
        store,
        access,
        RehashQueue::default(),
        doubtful,
        Work::new(1, 1),
    )
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
    fs::write(&path, vec![7; 4 * READ_BATCH]).unwrap();
    let hash = share(&answers.store, &path);
    let (buffers, requester) = (Buffers::new(4 << 20, 4 << 20), Requester::at("11.0.0.1"));
    for (level, data, at_a_time) in [(0, true, 1), (4, false, 8)] {
        let remaining = RemainingItems::new(vec![item(hash, level, 1, data); 8]);
        let buffer = buffers
            .acquire(requester, remaining.next_bytes())
            .await
            .unwrap();
        let prepared = answers.chunks(requester, remaining, buffer).await.unwrap();
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
    let (answers, folder) = (answers(), tempfile::tempdir().unwrap());
    let path = folder.path().join("file");
    fs::write(&path, vec![7; 4 * READ_BATCH]).unwrap();
    let hash = share(&answers.store, &path);
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
        let some = answers
            .chunks(requester, remaining.clone(), buffer)
            .await
            .unwrap();
        remaining.answered(&some);
        let is_node = |answer: PreparedAnswer| matches!(answer.answer, Answer::Node { .. });
        answered.extend(some.into_iter().map(is_node));
    }
    assert_eq!(answered, [true, true, false, true, false, true]);
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
        let read = answers.read(PeerId::random(), item(hash, 0, 0, true), 1 << 20, true);
        assert_eq!(read.unwrap_err(), Answer::Changed);
    }
    for path in [&own, &member] {
        let next = answers.rehash.next().await;
        assert_eq!((&next.path, next.reason), (path, RehashReason::Changed));
    }
    assert!(answers.rehash.next().now_or_never().is_none());
    let hashed = answers.store.hash_file(&member, &on).unwrap();
    for (folder, listed) in answers.store.members_at(&member).unwrap() {
        let confirmed = answers.store.confirm_member(&folder, &listed, &hashed);
        assert!(!confirmed.unwrap());
    }
    let read = answers.read(PeerId::random(), item(hashes[1], 0, 0, true), 1 << 20, true);
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
    let answers = Answers::new(
        PeerId::random(),
        store,
        access,
        RehashQueue::default(),
        doubtful,
        Work::new(1, 1),
    );
    let at = |name: &str| folder.path().join(name);
    fs::write(at("doubted"), vec![1; 4 * READ_BATCH]).unwrap();
    fs::write(at("no tree"), vec![2; 4 * READ_BATCH]).unwrap();
    let [doubted, no_tree] = ["doubted", "no tree"].map(|name| share(&answers.store, &at(name)));
    // Its time of change is another, and nothing else.
    fs::rename(at("doubted"), at("moved")).unwrap();
    fs::rename(at("moved"), at("doubted")).unwrap();
    fs::write(at("data/trees").join(no_tree.to_string()), "").unwrap();
    let read = |hash| answers.read(PeerId::random(), item(hash, 4, 0, true), 1 << 20, true);

    for _ in 0..2 {
        assert!(read(doubted).unwrap().in_doubt);
    }
    let next = answers.rehash.next().await;
    assert_eq!(
        (next.path, next.reason),
        (at("doubted"), RehashReason::Doubted)
    );
    for _ in 0..2 {
        assert_eq!(read(no_tree).unwrap_err(), Answer::Absent);
    }
    let next = answers.rehash.next().await;
    assert_eq!(
        (next.path, next.reason),
        (at("no tree"), RehashReason::NoTree)
    );
    assert!(answers.rehash.next().now_or_never().is_none());
}
