//! Catalogues, what strangers learn of content, and names that other nodes choose.

use std::{collections::HashSet, fs, time::Duration};

use futures::{AsyncWriteExt, executor::block_on};
use pelago::{CodedError as _, Hash, Link, Output, Target, UnshareRequest};
use pelago_behaviour::{
    Protocol, availability,
    catalogue::{self, CatalogueEntry, MAX_ENTRIES, Page, Request},
    chunk::{self, Item},
};

use crate::{
    content::{Content, THREE_CHUNKS},
    nodes::{Home, assert_same, ended, in_time, request},
    raw::Client,
    scripted::{Act, Script, Scripted, having_all, update},
};

/// A hash without a source.
const ABSENT: Hash = Hash::from_bytes([9; 32]);

fn page(number: usize, entries: usize) -> Vec<u8> {
    let entry = |n: usize| CatalogueEntry {
        hash: Content::new(8, (number * MAX_ENTRIES + n) as u64).hash(),
        name: format!("{number}-{n}"),
        kind: pelago::Kind::File,
        size: 1,
    };
    let page = Page {
        entries: (0..entries).map(entry).collect(),
        next: Some(number.to_be_bytes().into()),
        ..Page::default()
    };
    let mut bytes = Vec::new();
    block_on(catalogue::write_page(&mut bytes, &page)).unwrap();
    bytes
}

/// All entries of the catalogue of `home`, as a stranger reads it, and the cursors.
async fn catalogue_of(home: &Home) -> (Vec<CatalogueEntry>, Vec<Vec<u8>>) {
    let stranger = Client::connect(home).await;
    let mut stream = stranger.open(Protocol::Catalogue).await;
    let (mut entries, mut cursors) = (Vec::new(), Vec::new());
    loop {
        let request = Request {
            cursor: cursors.last().cloned(),
            ..Request::default()
        };
        catalogue::write_request(&mut stream, &request)
            .await
            .unwrap();
        let page = in_time(catalogue::read_page(&mut stream)).await.unwrap();
        entries.extend(page.entries);
        match page.next {
            Some(next) => cursors.push(next),
            None => return (entries, cursors),
        }
    }
}

#[tokio::test]
async fn a_catalogue_without_end_is_cut_off() {
    // liar (always sends another full page) <--- reader
    let liar = Scripted::start(Script::listing(|number| {
        Act::Send(page(number, MAX_ENTRIES))
    }))
    .await;
    let reader = Home::start("reader").await;
    let listed = in_time(reader.node.list_peer(&liar.address()))
        .await
        .unwrap();
    assert_eq!((listed.listed.len(), listed.incomplete), (100_000, 1));
    assert_eq!(liar.asked().pages, 100_000_usize.div_ceil(MAX_ENTRIES));
}

#[tokio::test]
async fn a_catalogue_of_empty_pages_without_end_is_cut_off() {
    let liar = Scripted::start(Script::listing(|number| Act::Send(page(number, 0)))).await;
    let reader = Home::start("reader").await;
    let listed = in_time(reader.node.list_peer(&liar.address()))
        .await
        .unwrap();
    assert_eq!((listed.listed, listed.incomplete), (vec![], 1));
    assert!(liar.asked().pages < 1000, "{:?}", liar.asked());
}

#[tokio::test]
async fn an_endless_catalogue_leaves_others_their_part() {
    // liar (always sends another full page) <--- reader ---> honest
    let endless = |number| Act::Send(page(number, MAX_ENTRIES));
    let liar = Scripted::start(Script::listing(endless)).await;
    let honest = Home::start("honest").await;
    honest.share("shell", &Content::new(10, 1)).await;
    let reader = Home::start("reader").await;
    for address in [liar.address(), honest.address().await] {
        reader.node.list_peer(&address).await.unwrap();
    }

    let found = in_time(reader.node.list_network(Duration::ZERO))
        .await
        .unwrap();

    assert!(found.listed.iter().any(|listed| listed.name == "shell"));
    assert_eq!(found.incomplete, 1);
    assert!(found.listed.len() <= 100_000);
}

#[tokio::test]
async fn a_page_that_is_too_large_is_refused_and_others_are_still_listed() {
    // liar <--- reader ---> honest
    let liar = Scripted::start(Script::listing(|_| Act::Send(vec![0xff; 4]))).await;
    let honest = Home::start("honest").await;
    honest.share("shell", &Content::new(10, 1)).await;
    let reader = Home::start("reader").await;

    let refused = in_time(reader.node.list_peer(&liar.address())).await;

    assert_eq!(refused.unwrap_err().code(), "no-catalogue");
    let listed = reader
        .node
        .list_peer(&honest.address().await)
        .await
        .unwrap();
    assert_eq!(listed.listed[0].name, "shell");
    assert_eq!(listed.incomplete, 0);
}

#[tokio::test]
async fn unlisted_content_is_fetched_by_its_hash_and_is_in_no_catalogue() {
    let sharer = Home::start("sharer").await;
    let (listed, unlisted) = (Content::new(1000, 1), Content::new(THREE_CHUNKS, 2));
    sharer.share("listed", &listed).await;
    sharer.share_unlisted("unlisted", &unlisted).await;

    let (entries, _) = catalogue_of(&sharer).await;
    let hashes: Vec<_> = entries.iter().map(|entry| entry.hash).collect();
    assert_eq!(hashes, [listed.hash()]);

    let getter = Home::start("getter").await;
    getter.fetch(&unlisted, &[sharer.address().await]).await;
}

#[tokio::test]
async fn no_cursor_of_a_catalogue_reveals_an_unlisted_hash() {
    // One share more than a page has, so that there is a cursor. All but one are unlisted.
    let sharer = Home::start("sharer").await;
    let contents = (0..=MAX_ENTRIES).map(|n| Content::new(8, n as u64));
    let contents: Vec<_> = contents.collect();
    sharer.share_many(&contents, |n| n != 0).await;

    let (entries, cursors) = catalogue_of(&sharer).await;

    assert_eq!(entries.len(), 1);
    let unlisted: HashSet<_> = contents[1..].iter().map(Content::hash).collect();
    for cursor in cursors {
        for part in cursor.windows(32) {
            let hash = Hash::from_bytes(part.try_into().unwrap());
            assert!(!unlisted.contains(&hash), "a cursor reveals {hash}");
        }
    }
}

#[tokio::test]
async fn pages_of_a_catalogue_leave_nothing_out() {
    let sharer = Home::start("sharer").await;
    let contents = (0..2 * MAX_ENTRIES + 1).map(|n| Content::new(8, n as u64));
    let contents: Vec<_> = contents.collect();
    sharer.share_many(&contents, |_| false).await;
    let (entries, cursors) = catalogue_of(&sharer).await;
    let listed: HashSet<_> = entries.iter().map(|entry| entry.hash).collect();
    assert_eq!((entries.len(), cursors.len()), (contents.len(), 2));
    assert_eq!(listed, contents.iter().map(Content::hash).collect());
}

/// The bytes with which the node answers a stranger that asks for `hash`, on each protocol with
/// hashes.
async fn answers_about(stranger: &Client, hash: Hash) -> [Vec<u8>; 2] {
    let (mut subscription, mut wanted) = (Vec::new(), Vec::new());
    availability::write_request(&mut subscription, &stranger.question(&hash))
        .await
        .unwrap();
    let items = [(0, 0, true), (0, 7, true), (9, 0, true), (3, 0, false)];
    let items = items.map(|(level, index, data)| Item {
        hash,
        level,
        index,
        data,
    });
    chunk::write_request(&mut wanted, &items).await.unwrap();
    [
        stranger.say(Protocol::Availability, &subscription).await,
        stranger.say(Protocol::Chunk, &wanted).await,
    ]
}

#[tokio::test]
async fn withdrawn_content_looks_as_if_it_had_never_been_shared() {
    let sharer = Home::start("sharer").await;
    let content = Content::new(THREE_CHUNKS, 1);
    let shared = sharer.share("original", &content).await;
    let stranger = Client::connect(&sharer).await;
    let while_shared = answers_about(&stranger, shared.hash).await;

    sharer
        .node
        .unshare(UnshareRequest::new(shared.hash.to_string()))
        .await
        .unwrap();

    let absent = answers_about(&stranger, ABSENT).await;
    assert!(absent.iter().all(|answer| !answer.is_empty()));
    assert_ne!(while_shared, absent);
    assert_eq!(answers_about(&stranger, shared.hash).await, absent);
}

#[tokio::test]
async fn a_catalogue_of_what_is_unlisted_looks_like_an_empty_one() {
    let (empty, sharer) = (Home::start("empty").await, Home::start("sharer").await);
    sharer
        .share_unlisted("secret", &Content::new(1000, 1))
        .await;
    let mut asked = Vec::new();
    catalogue::write_request(&mut asked, &Request::default())
        .await
        .unwrap();
    let mut answers = Vec::new();
    for home in [&empty, &sharer] {
        let stranger = Client::connect(home).await;
        answers.push(stranger.say(Protocol::Catalogue, &asked).await);
    }
    assert!(!answers[0].is_empty());
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_name_from_a_peer_leads_nowhere_but_into_the_folder() {
    // peer (a name that leads out of the folder) <--- getter
    let content = Content::new(1000, 1);
    let getter = Home::start("getter").await;
    for (name, safe) in [
        ("../../escaped", "escaped"),
        ("/tmp/absolute", "absolute"),
        ("..\\..\\backwards", "backwards"),
        ("a\u{202e}gpj.exe", "a_gpj.exe"),
        ("nul", "_nul"),
        ("..", &content.hash().to_string()),
    ] {
        let mut script = Script::honest(&content);
        let mut has = having_all(&content.descriptor);
        has.name = Some(name.to_owned());
        script.availability = Box::new(move |_| Act::Send(update(has.clone())));
        let peer = Scripted::start(script).await;
        let folder = getter.path("below").join("further");
        fs::create_dir_all(&folder).unwrap();

        let into = Output::Into(folder.clone());
        let wanted = request(content.hash(), into.clone(), &[peer.address()]);
        let finished = ended(&getter.begin(wanted).await).await.unwrap();
        assert_eq!(finished.path, folder.join(safe), "{name:?} of a peer");
        assert_same(&finished.path, &content);
        fs::remove_file(&finished.path).unwrap();

        let mut linked = request(content.hash(), into, &[peer.address()]);
        linked.target = Target::Link(Link {
            name: Some(name.to_owned()),
            ..Link::new(content.hash())
        });
        let finished = ended(&getter.begin(linked).await).await.unwrap();
        assert_eq!(finished.path, folder.join(safe), "{name:?} of a link");
        fs::remove_dir_all(getter.path("below")).unwrap();
    }
    let left = fs::read_dir(getter.folder.path()).unwrap().count();
    assert_eq!(left, 0, "the folder has no new neighbours");
}

#[tokio::test]
async fn a_chunk_past_the_end_is_out_of_range_and_the_stream_continues() {
    let sharer = Home::start("sharer").await;
    let content = Content::new(THREE_CHUNKS, 1);
    let hash = sharer.share("original", &content).await.hash;
    let stranger = Client::connect(&sharer).await;
    let mut stream = stranger.open(Protocol::Chunk).await;
    let item = |level, index| Item {
        hash,
        level,
        index,
        data: true,
    };
    for (level, index) in [
        (0, 41),
        (4, 3),
        (6, 1),
        (8, 1),
        (0, u64::MAX),
        (8, u64::MAX),
    ] {
        let (answer, _) = crate::raw::ask_on(&mut stream, item(level, index)).await;
        assert_eq!(
            answer,
            chunk::Answer::OutOfRange,
            "level {level}, index {index}"
        );
    }
    let last = item(0, 40);
    let answer = crate::raw::ask_on(&mut stream, last).await;
    assert_eq!(answer, content.answer(&last));
    assert_eq!(answer.1.len(), 100);
    stream.close().await.unwrap();
}
