//! Downloads whose sources change, leave and join.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use pelago::{CodedError as _, Settings};
use pelago_behaviour::{
    Protocol,
    chunk::{Answer, Item},
};
use pelago_store::ReadError;
use tokio::sync::Barrier;

use crate::{
    content::{Content, THREE_CHUNKS, encoded},
    nodes::{Home, ended, in_time, request, settings},
    raw::{Client, ask_on},
    scripted::{Act, Script, Scripted, has_all},
};

/// Changes a shared file.
type Harm = fn(&Path);

fn rewritten(path: &Path) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(300_000)).unwrap();
    file.write_all(b"something else").unwrap();
}

fn truncated(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(400_000).unwrap();
}

fn grown(path: &Path) {
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(b"and more").unwrap();
}

fn removed(path: &Path) {
    fs::remove_file(path).unwrap();
}

fn replaced(path: &Path) {
    let other = path.with_extension("new");
    fs::write(&other, Content::new(THREE_CHUNKS, 77).bytes).unwrap();
    fs::rename(other, path).unwrap();
}

const HARMS: [Harm; 5] = [rewritten, truncated, grown, removed, replaced];

#[tokio::test]
async fn a_file_changed_between_two_chunks_is_not_sent_under_its_hash() {
    let content = Content::new(THREE_CHUNKS, 1);
    for harm in HARMS {
        let sharer = Home::start("sharer").await;
        let hash = sharer.share("original", &content).await.hash;
        let stranger = Client::connect(&sharer).await;
        let mut stream = stranger.open(Protocol::Chunk).await;
        let item = |index| Item {
            hash,
            level: 4,
            index,
            data: true,
        };
        let first = ask_on(&mut stream, item(0)).await;
        assert_eq!(first, content.answer(&item(0)));

        harm(&sharer.path("original"));

        for index in 0..3 {
            let (answer, data) = ask_on(&mut stream, item(index)).await;
            let refused = matches!(answer, Answer::Changed | Answer::Absent);
            assert!(refused && data.is_empty(), "{answer:?}");
        }
        let kept = sharer.store.read_chunk(&hash, 4, 0, true);
        assert!(
            !matches!(kept, Err(ReadError::Database(_)) | Ok(_)),
            "{kept:?}"
        );
    }
}

#[tokio::test]
async fn a_download_of_a_harmed_file_ends_from_another_source() {
    // harmed <--- getter ---> whole; harmed is asked first
    let content = Content::new(THREE_CHUNKS, 1);
    for harm in HARMS {
        let (harmed, whole) = (Home::start("harmed").await, Home::start("whole").await);
        for home in [&harmed, &whole] {
            home.share("original", &content).await;
        }
        harm(&harmed.path("original"));
        let getter = Home::asking_one_at_a_time("getter").await;
        let peers = [harmed.address().await, whole.address().await];
        let finished = getter.fetch(&content, &peers).await;
        assert_eq!(finished.sources, 1);
    }
}

#[tokio::test]
async fn a_download_whose_only_source_has_a_changed_file_ends_with_an_error() {
    let sharer = Home::start("sharer").await;
    let content = Content::new(1000, 1);
    let hash = sharer.share("original", &content).await.hash;
    fs::write(sharer.path("original"), "something else").unwrap();
    let getter = Home::start("getter").await;
    let copy = pelago::Output::At(getter.path("copy"));
    let mut wanted = request(hash, copy, &[sharer.address().await]);
    wanted.timeout = Duration::from_secs(2);
    let error = ended(&getter.begin(wanted).await).await.unwrap_err();
    assert_eq!(error.code(), "no-source", "{error}");
    assert!(error.to_string().contains("does not have it"), "{error}");
}

#[tokio::test]
async fn a_source_that_gets_the_rest_long_after_is_asked_on_another_stream() {
    // source (has the first of three chunks, and the others after a time without requests) <---
    // getter
    let content = Content::new(THREE_CHUNKS, 1);
    let mut has = crate::scripted::having_all(&content.descriptor);
    has.blocks = (0..16).into();
    let (ended, is_over) = tokio::sync::watch::channel(false);
    let mut script = Script::honest(&content);
    script.availability = Box::new(move |_| {
        let mut is_over = is_over.clone();
        let all = has_all(&content.descriptor);
        let more = async move {
            is_over.wait_for(|is_over| *is_over).await.unwrap();
            all
        };
        Act::SendThen(crate::scripted::update(has.clone()), Box::pin(more))
    });
    let source = Scripted::start(script).await;
    let getter = Home::start("getter").await;
    let content = Content::new(THREE_CHUNKS, 1);
    let over = async {
        source.until(|asked| asked.chunk_streams_ended == 1).await;
        ended.send_replace(true);
    };
    let peers = [source.address()];
    let (finished, ()) = tokio::join!(getter.fetch(&content, &peers), over);
    assert_eq!(finished.sources, 1);
    assert_eq!(source.asked().chunk_streams, 2);
}

#[tokio::test]
async fn a_download_whose_sources_lack_the_rest_ends_with_an_error() {
    // source (has the first of three chunks) <--- getter
    let content = Content::new(THREE_CHUNKS, 1);
    let mut has = crate::scripted::having_all(&content.descriptor);
    has.blocks = (0..16).into();
    let mut script = Script::honest(&content);
    script.availability = Box::new(move |_| Act::Send(crate::scripted::update(has.clone())));
    let source = Scripted::start(script).await;
    let getter = Home::start("getter").await;
    let copy = pelago::Output::At(getter.path("copy"));
    let mut wanted = request(content.hash(), copy, &[source.address()]);
    wanted.timeout = Duration::from_secs(2);
    let download = getter.begin(wanted).await;
    let error = ended(&download).await.unwrap_err();
    assert_eq!(error.code(), "no-source", "{error}");
    assert_eq!(download.status().borrow().verified_bytes, Some(16 * 16_384));
    assert_eq!(source.asked().items.len(), 1);
}

#[tokio::test]
async fn what_a_source_denied_once_is_asked_of_it_again() {
    // source (claims all, and denies a chunk once, as if its own download had just ended) <---
    // getter
    let content = Content::new(THREE_CHUNKS, 1);
    let truth = content.clone();
    let source = Scripted::start(Script::claiming(content.descriptor, move |number, item| {
        if number == 1 {
            Act::Send(encoded(&Answer::Absent, &[]))
        } else {
            Act::Send(truth.truth(&item))
        }
    }))
    .await;
    let getter = Home::start("getter").await;
    getter.fetch(&content, &[source.address()]).await;
    assert_eq!(source.asked().items.len(), 4);
}

#[tokio::test]
async fn a_source_that_denies_all_that_it_claims_is_soon_left() {
    let content = Content::new(THREE_CHUNKS, 1);
    let liar = Scripted::start(Script::claiming(content.descriptor, |_, _| {
        Act::Send(encoded(&Answer::Absent, &[]))
    }))
    .await;
    let honest = Home::start("honest").await;
    honest.share("original", &content).await;
    let getter = Home::asking_one_at_a_time("getter").await;
    let peers = [liar.address(), honest.address().await];
    getter.fetch(&content, &peers).await;
    assert!(liar.asked().subscriptions < 6);
}

#[tokio::test]
async fn a_source_that_denies_all_for_a_moment_is_asked_again_and_again() {
    // source (denies the first nine requests, as if its file was being hashed again) <--- getter
    let content = Content::new(THREE_CHUNKS, 1);
    let truth = content.clone();
    let source = Scripted::start(Script::claiming(content.descriptor, move |number, item| {
        if number < 9 {
            Act::Send(encoded(&Answer::Changed, &[]))
        } else {
            Act::Send(truth.truth(&item))
        }
    }))
    .await;
    let getter = Home::start("getter").await;
    getter.fetch(&content, &[source.address()]).await;
}

#[tokio::test]
async fn a_peer_that_was_named_and_has_nothing_yet_is_asked_again() {
    // source (denies the first subscription) <--- getter, which has no other source
    let content = Content::new(THREE_CHUNKS, 1);
    let descriptor = content.descriptor;
    let mut script = Script::honest(&content);
    script.availability = Box::new(move |number| match number {
        0 => Act::SendAndClose(crate::scripted::absent()),
        _ => Act::Send(has_all(&descriptor)),
    });
    let source = Scripted::start(script).await;
    let getter = Home::start("getter").await;
    getter.fetch(&content, &[source.address()]).await;
    assert_eq!(source.asked().subscriptions, 2);
}

#[tokio::test]
async fn sources_without_blocks_give_way_to_others() {
    // empty, empty (offer the content, and have no block yet) <--- getter ---> seed, found last
    let content = Content::new(THREE_CHUNKS, 1);
    let mut nothing = crate::scripted::having_all(&content.descriptor);
    nothing.blocks = pelago_content::BlockRanges::default();
    let empty = || async {
        let (mut script, nothing) = (Script::honest(&content), nothing.clone());
        script.availability =
            Box::new(move |_| Act::Send(crate::scripted::update(nothing.clone())));
        Scripted::start(script).await
    };
    let (first, second) = (empty().await, empty().await);
    let seed = Home::start("seed").await;
    seed.share("original", &content).await;
    let getter = Home::with(Settings {
        max_sources: 2,
        ..settings("getter")
    })
    .await;
    let peers = [first.address(), second.address()];
    let download = getter.download(content.hash(), &peers).await;
    in_time(download.status().wait_for(|status| status.sources == 2))
        .await
        .unwrap();

    getter.node.connect(&seed.address().await).await.unwrap();

    let finished = ended(&download).await.unwrap();
    crate::nodes::assert_same(&finished.path, &content);
}

#[tokio::test]
async fn updates_without_end_do_not_keep_a_download_from_ending() {
    // chatty (sends updates with the first block without end) <--- getter
    let content = Content::new(THREE_CHUNKS, 1);
    let mut first_block = crate::scripted::having_all(&content.descriptor);
    first_block.blocks = (0..1).into();
    let mut script = Script::honest(&content);
    script.availability =
        Box::new(move |_| Act::SendForever(crate::scripted::update(first_block.clone())));
    let chatty = Scripted::start(script).await;
    let getter = Home::start("getter").await;
    let copy = pelago::Output::At(getter.path("copy"));
    let mut wanted = request(content.hash(), copy, &[chatty.address()]);
    wanted.timeout = Duration::from_secs(1);
    let error = ended(&getter.begin(wanted).await).await.unwrap_err();
    assert_eq!(error.code(), "no-source", "{error}");
}

#[tokio::test]
async fn a_source_that_is_busy_without_end_leaves_the_content_to_another() {
    // busy (`r` 0) <--- getter ---> honest, which connects later
    let content = Content::new(THREE_CHUNKS, 1);
    let busy = Scripted::start(Script::claiming(content.descriptor, |_, _| {
        Act::Send(encoded(&Answer::Busy(Duration::ZERO), &[]))
    }))
    .await;
    let honest = Home::start("honest").await;
    honest.share("original", &content).await;
    let getter = Home::start("getter").await;
    let download = getter.download(content.hash(), &[busy.address()]).await;
    busy.until(|asked| asked.items.len() > 3).await;

    getter.node.connect(&honest.address().await).await.unwrap();

    let finished = ended(&download).await.unwrap();
    crate::nodes::assert_same(&finished.path, &content);
    assert_eq!(finished.sources, 1);
}

#[tokio::test]
async fn a_download_whose_only_source_is_busy_ends_with_an_error_that_says_so() {
    let content = Content::new(THREE_CHUNKS, 1);
    let busy = Scripted::start(Script::claiming(content.descriptor, |_, _| {
        Act::Send(encoded(&Answer::Busy(Duration::ZERO), &[]))
    }))
    .await;
    let getter = Home::start("getter").await;
    let copy = pelago::Output::At(getter.path("copy"));
    let mut wanted = request(content.hash(), copy, &[busy.address()]);
    wanted.timeout = Duration::from_secs(1);
    let error = ended(&getter.begin(wanted).await).await.unwrap_err();
    assert_eq!(error.code(), "no-source", "{error}");
    assert!(error.to_string().contains("busy"), "{error}");
}

#[tokio::test]
async fn a_running_download_is_joined_only_by_requests_for_the_same() {
    let getter = Home::start("getter").await;
    let hash = Content::new(1000, 1).hash();
    let at = |name| pelago::Output::At(getter.path(name));
    let download = getter.begin(request(hash, at("copy"), &[])).await;
    let join = async |change: fn(&mut pelago::DownloadRequest)| {
        let mut wanted = request(hash, at("copy"), &[]);
        change(&mut wanted);
        getter.node.download(wanted).await
    };
    join(|_| {}).await.unwrap();
    for change in [
        (|wanted| wanted.only = vec!["b".to_owned()]) as fn(&mut pelago::DownloadRequest),
        |wanted| wanted.output = pelago::Output::At("/elsewhere".into()),
        |wanted| wanted.overwrite = true,
    ] {
        let Err(refused) = join(change).await else {
            panic!("what differs is passed over");
        };
        assert_eq!(refused.code(), "already-downloading", "{refused}");
        assert!(refused.hint().is_some());
    }
    assert!(!download.status().borrow().state.is_ended());
}

#[tokio::test]
async fn a_busy_source_does_not_keep_the_turn_from_a_download_that_waits() {
    // busy (`r` 0) <--- getter (one download at a time) ---> honest
    let (first, second) = (Content::new(THREE_CHUNKS, 1), Content::new(THREE_CHUNKS, 2));
    let busy = Scripted::start(Script::claiming(first.descriptor, |_, _| {
        Act::Send(encoded(&Answer::Busy(Duration::ZERO), &[]))
    }))
    .await;
    let honest = Home::start("honest").await;
    honest.share("original", &second).await;
    let getter = Home::with(Settings {
        max_downloads: 1,
        ..settings("getter")
    })
    .await;
    let waits = getter.download(first.hash(), &[busy.address()]).await;
    busy.until(|asked| !asked.items.is_empty()).await;

    let other = pelago::Output::At(getter.path("other"));
    let wanted = request(second.hash(), other, &[honest.address().await]);
    ended(&getter.begin(wanted).await).await.unwrap();

    // The first download has its turn again.
    let asked = busy.asked().items.len();
    busy.until(|now| now.items.len() > asked).await;
    assert!(!waits.status().borrow().state.is_ended());
}

#[tokio::test]
async fn a_source_that_stops_midway_is_replaced_and_nothing_is_fetched_twice() {
    // first (one chunk, then its machine stops) <--- getter ---> second, which is asked for the
    // rest
    let content = Content::new(THREE_CHUNKS, 1);
    let truth = content.clone();
    let first = Scripted::start(Script::claiming(content.descriptor, move |number, item| {
        if number == 0 {
            Act::Send(truth.truth(&item))
        } else {
            Act::Silence
        }
    }))
    .await;
    let second = Scripted::start(Script::honest(&content)).await;
    let getter = Home::with(Settings {
        max_sources: 1,
        max_asked: 1,
        stall: Duration::from_secs(600),
        ..settings("getter")
    })
    .await;
    let peers = [first.address(), second.address()];
    let download = getter.download(content.hash(), &peers).await;
    let mut status = download.status();
    in_time(status.wait_for(|status| status.verified_bytes > Some(0)))
        .await
        .unwrap();

    first.stop();

    let finished = ended(&download).await.unwrap();
    crate::nodes::assert_same(&finished.path, &content);
    assert_eq!(finished.sources, 2);
    assert_eq!(second.asked().items.len(), 2);
}

#[tokio::test]
async fn a_node_that_shuts_down_midway_is_replaced() {
    // first (a node, which shuts down) <--- getter ---> second, which joins the download later
    let content = Content::new(32 << 20, 1);
    let (first, second) = (Home::start("first").await, Home::start("second").await);
    for home in [&first, &second] {
        home.share("original", &content).await;
    }
    let getter = Home::start("getter").await;
    let download = getter
        .download(content.hash(), &[first.address().await])
        .await;
    let mut status = download.status();
    in_time(status.wait_for(|status| status.size.is_some()))
        .await
        .unwrap();
    first.node.shutdown().await;
    getter.node.connect(&second.address().await).await.unwrap();
    let finished = ended(&download).await.unwrap();
    crate::nodes::assert_same(&finished.path, &content);
}

#[tokio::test]
async fn several_sources_are_all_used() {
    // three sources <--- getter; none answers before all have been asked
    let content = Content::new(16 << 20, 1);
    let all_asked = Arc::new(Barrier::new(3));
    let mut sources = Vec::new();
    for _ in 0..3 {
        let mut script = Script::honest(&content);
        let (truth, all_asked) = (Arc::new(content.clone()), Arc::clone(&all_asked));
        script.chunk = Box::new(move |number, item| {
            let (truth, all_asked) = (Arc::clone(&truth), Arc::clone(&all_asked));
            Box::pin(async move {
                if number == 0 {
                    all_asked.wait().await;
                }
                Act::Send(truth.truth(&item))
            })
        });
        sources.push(Scripted::start(script).await);
    }
    let getter = Home::start("getter").await;
    let peers: Vec<_> = sources.iter().map(Scripted::address).collect();
    let finished = getter.fetch(&content, &peers).await;
    assert_eq!(finished.sources, 3);
}

#[tokio::test]
async fn a_peer_that_is_met_twice_stays_a_source_if_one_subscription_fails() {
    // The getter meets one peer twice: by its address, and as a connected peer. The peer refuses
    // the second subscription after it has answered the first, and chunks are requested.
    let content = Content::new(THREE_CHUNKS, 1);
    let descriptor = content.descriptor;
    let (subscribed, second_subscribed) = tokio::sync::watch::channel(0);
    let mut script = Script::honest(&content);
    script.availability = Box::new(move |number| {
        subscribed.send_replace(number + 1);
        if number == 0 {
            Act::Send(has_all(&descriptor))
        } else {
            Act::SendAndClose(vec![0xff; 2])
        }
    });
    let truth = Arc::new(content.clone());
    script.chunk = Box::new(move |_, item| {
        let (truth, mut second) = (Arc::clone(&truth), second_subscribed.clone());
        Box::pin(async move {
            second
                .wait_for(|subscribed| *subscribed >= 2)
                .await
                .unwrap();
            Act::Send(truth.truth(&item))
        })
    });
    let peer = Scripted::start(script).await;
    let getter = Home::start("getter").await;
    let peers = [peer.address(), peer.other_address()];
    let finished = getter.fetch(&content, &peers).await;
    assert_eq!(finished.sources, 1);
    assert_eq!(peer.asked().items.len(), 3, "no chunk is asked for twice");
}

#[tokio::test]
async fn files_at_the_edges_of_a_block_arrive() {
    let sharer = Home::start("sharer").await;
    for size in [0, 1, 16_383, 16_384, 16_385, 32_768, 262_144, 262_145] {
        let content = Content::new(size, size);
        sharer.share("original", &content).await;
        let getter = Home::start("getter").await;
        let finished = getter.fetch(&content, &[sharer.address().await]).await;
        assert_eq!((finished.size, finished.fetched_bytes), (size, size));
    }
}

/// ```text
///   A ──.
///       ├── S     each has half of it
///   B ──'
/// ```
#[tokio::test]
async fn each_source_is_listed_with_what_it_sent() {
    let content = Content::new(4 * 1024 * 1024, 91);
    let blocks = 4 * 1024 * 1024 / 16_384;
    let [a, b] = [Home::start("a").await, Home::start("b").await];
    for home in [&a, &b] {
        home.share("original", &content).await;
    }
    let sink = Home::start("sink").await;
    let from = [a.address().await, b.address().await];
    sink.fetch(&content, &from).await;
    let hash = content.hash().to_string();
    let detail = sink.node.download_detail(&hash[..8]).await.unwrap();
    assert_eq!((detail.block_count, detail.cells.len()), (blocks, 256));
    for cell in &detail.cells {
        assert_eq!(cell.verified, 255);
        let source = &detail.sources[usize::from(cell.source.unwrap())];
        let is_it = |home: &&Home| home.node.peer_id() == source.status.peer;
        let home = [&a, &b].into_iter().find(is_it).unwrap();
        assert_eq!(source.name.as_deref(), Some(home.node.name()));
    }
    let mut sent = 0;
    for source in &detail.sources {
        sent += source.status.received_bytes;
        assert_eq!(source.status.state.as_str(), "gone");
        assert!(source.address.is_some());
    }
    assert!(sent >= 4 * 1024 * 1024);
    assert!(sink.node.download_detail("nothing").await.is_err());
}
