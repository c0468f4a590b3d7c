//! Peers that request too much, or send nonsense: the node continues to serve others.
//!
//! ```text
//!   greedy ---> server <--- modest        modest downloads meanwhile
//! ```

use std::{
    panic,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::{AsyncReadExt, AsyncWriteExt, future::join_all};
use pelago::{Hash, Settings};
use pelago_behaviour::{
    Protocol,
    chunk::{self, Answer, Item},
    streams::MAX_INBOUND_STREAMS,
};

use crate::{
    content::{Content, THREE_CHUNKS},
    nodes::{Home, in_time, settings},
    raw::{Client, ask_on},
};

/// How many streams a greedy peer opens: nearly all that a connection may have.
const MANY_STREAMS: usize = 100;

/// Bytes of a chunk of level 6, the largest that an honest node requests.
pub(crate) const MEBIBYTE: u64 = 1 << 20;

pub(crate) async fn serving(content: &Content) -> Home {
    // Longer than a test, so that the node does not disconnect a greedy peer that stalls.
    let stall = Duration::from_secs(600);
    let server = Home::with(Settings {
        stall,
        ..settings("server")
    })
    .await;
    server.share("original", content).await;
    server
}

/// Asserts that another peer can download all of the content.
pub(crate) async fn still_serves(server: &Home, content: &Content) {
    let modest = Home::start("modest").await;
    modest.fetch(content, &[server.address().await]).await;
}

pub(crate) const fn item(hash: Hash, level: u8, index: u64) -> Item {
    Item {
        hash,
        level,
        index,
        data: true,
    }
}

#[tokio::test]
async fn a_peer_that_opens_every_stream_gets_its_share_and_others_are_served() {
    let content = Content::new(THREE_CHUNKS, 1);
    let server = serving(&content).await;
    let greedy = Client::connect(&server).await;
    let mut streams = Vec::new();
    for _ in 0..MANY_STREAMS {
        streams.push(greedy.open(Protocol::Chunk).await);
    }
    let asks = streams.iter_mut().map(|stream| async {
        chunk::write_request(stream, &[item(content.hash(), 0, 0)]).await?;
        chunk::read_answer(stream).await
    });
    let answers = in_time(join_all(asks)).await;

    // The peer still holds all streams.
    still_serves(&server, &content).await;

    let answered = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(answered, MAX_INBOUND_STREAMS, "the others are reset");
    let refused = server.counted("pelago_streams_refused_total").await;
    assert_eq!(refused, (MANY_STREAMS - MAX_INBOUND_STREAMS) as u64);
}

#[tokio::test]
async fn streams_that_a_peer_has_ended_make_room_for_others() {
    let content = Content::new(100, 1);
    let server = serving(&content).await;
    let stranger = Client::connect(&server).await;
    for _ in 0..3 * MAX_INBOUND_STREAMS {
        let mut stream = stranger.open(Protocol::Chunk).await;
        let answer = ask_on(&mut stream, item(content.hash(), 0, 0)).await;
        assert!(matches!(answer.0, Answer::Data { .. }), "{answer:?}");
        stream.close().await.unwrap();
        // The node has ended the stream as well.
        in_time(stream.read_to_end(&mut Vec::new())).await.unwrap();
    }
}

#[tokio::test]
async fn the_node_does_not_wait_for_a_peer_that_never_completes_its_request() {
    let server = Home::start("server").await;
    let stranger = Client::connect(&server).await;
    let mut stream = stranger.open(Protocol::Availability).await;
    stream.write_all(&[0]).await.unwrap();
    stream.flush().await.unwrap();
    // The node closes or resets the stream.
    let _ = in_time(stream.read_to_end(&mut Vec::new())).await;
}

#[tokio::test]
async fn thousands_of_pipelined_requests_of_one_peer_leave_room_for_another() {
    let content = Content::new(8 * MEBIBYTE, 1);
    let server = serving(&content).await;
    let greedy = Client::connect(&server).await;
    // 8 streams with 1000 requests each, for 8 GB in all, and the peer reads nothing.
    let mut requests = Vec::new();
    for n in 0..1000 {
        let wanted = item(content.hash(), 6, n % 8);
        chunk::write_request(&mut requests, &[wanted])
            .await
            .unwrap();
    }
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(greedy.open(Protocol::Chunk).await);
    }
    let ask = |mut stream: pelago_behaviour::streams::Outbound| {
        let requests = requests.clone();
        tokio::spawn(async move {
            // The peer cannot send requests that the server does not read.
            let _ = stream.write_all(&requests).await;
            let _ = stream.flush().await;
            std::future::pending::<()>().await;
        })
    };
    // The node has answered a first request on each stream.
    for stream in &mut streams {
        ask_on(stream, item(content.hash(), 0, 0)).await;
    }
    let tasks: Vec<_> = streams.into_iter().map(ask).collect();

    still_serves(&server, &content).await;
    let streams = "pelago_serve_streams{protocol=\"chunk\"}";
    assert!(server.counted(streams).await >= 8);
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_modest_peer_is_served_while_a_greedy_one_takes_all_it_can_get() {
    let content = Content::new(8 * MEBIBYTE, 1);
    let server = serving(&content).await;
    let greedy = Client::connect(&server).await;
    let mut requests = Vec::new();
    for n in 0..256 {
        let wanted = item(content.hash(), 6, n % 8);
        chunk::write_request(&mut requests, &[wanted])
            .await
            .unwrap();
    }
    let mut tasks = Vec::new();
    for _ in 0..MAX_INBOUND_STREAMS {
        let (mut reader, mut writer) = greedy.open(Protocol::Chunk).await.split();
        let requests = requests.clone();
        tasks.push(tokio::spawn(async move {
            let ask = async {
                writer.write_all(&requests).await.unwrap();
                writer.flush().await.unwrap();
                std::future::pending::<()>().await;
            };
            let mut nowhere = futures::io::sink();
            let take = futures::io::copy(&mut reader, &mut nowhere);
            futures::future::select(Box::pin(ask), take).await;
        }));
    }

    still_serves(&server, &content).await;
    let served = server.node.peers().await.unwrap();
    assert_eq!(served.len(), 2, "the greedy one is still there");
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn one_request_is_answered_with_four_mebibytes_at_most() {
    let content = Content::new(8 * MEBIBYTE, 1);
    let server = serving(&content).await;
    let greedy = Client::connect(&server).await;
    let mut stream = greedy.open(Protocol::Chunk).await;
    // A block, then four chunks of 1 MiB, which exceed the 4 MiB of an answer together with the
    // block.
    let block = item(content.hash(), 0, 0);
    let mebibytes = (0..8).map(|n| item(content.hash(), 6, n));
    let items: Vec<_> = [block].into_iter().chain(mebibytes).collect();
    chunk::write_request(&mut stream, &items).await.unwrap();
    let mut received = 0;
    for asked in &items {
        let answer = in_time(chunk::read_answer(&mut stream)).await.unwrap();
        match answer {
            Answer::Data { length, .. } => {
                let mut data = Vec::new();
                chunk::read_data(&mut stream, length, &mut data)
                    .await
                    .unwrap();
                assert_eq!(data, content.answer(asked).1);
                received += u64::from(length);
            }
            busy => assert_eq!(busy, Answer::Busy(Duration::ZERO)),
        }
    }
    assert_eq!(received, 3 * MEBIBYTE + 16_384);
    assert!(received <= chunk::MAX_RESPONSE);
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts all panics from now on, also in detached tasks.
fn count_panics() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        previous(info);
    }));
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

/// Bytes that are not a message of any protocol.
fn nonsense() -> Vec<Vec<u8>> {
    let mut nonsense = vec![
        // Frames that are truncated, or shorter than their length.
        vec![],
        vec![0],
        vec![0xff; 4],
        vec![0, 0, 0, 0],
        framed(&[])[..2].to_vec(),
        [&[0, 0, 1, 0][..], b"short"].concat(),
        // CBOR: an integer, null, a map without end, a text that is not UTF-8.
        framed(&[0x00]),
        framed(&[0xf6]),
        framed(&[0xbf]),
        framed(&[0xa1, 0x62, 0xff, 0xfe, 0x00]),
        // Arrays, maps, bytes and texts of length 2^64-1.
        framed(&[&[0x9b][..], &[0xff; 8]].concat()),
        framed(&[&[0xbb][..], &[0xff; 8]].concat()),
        framed(&[&[0xa1, 0x61, b'h', 0x5b][..], &[0xff; 8]].concat()),
        framed(&[&[0xa1, 0x61, b'q', 0x7b][..], &[0xff; 8]].concat()),
        framed(&[&[0xa1, 0x61, b'i', 0x9b][..], &[0xff; 8]].concat()),
        // No items; an item without a hash, and one with a hash of 31 bytes.
        framed(&[0xa1, 0x61, b'i', 0x80]),
        framed(&[0xa1, 0x61, b'i', 0x81, 0xa0]),
        framed(
            &[
                &[0xa1, 0x61, b'i', 0x81, 0xa1, 0x61, b'h', 0x58, 31][..],
                &[7; 31],
            ]
            .concat(),
        ),
    ];
    // Arrays, maps and tags that are nested a thousand times, as a message and below an unknown
    // key, and as often as the longest frame allows.
    for (depth, open) in [
        (900, 0x81),
        (900, 0xa1),
        (900, 0xc1),
        (15_000, 0x81),
        (15_000, 0x9f),
    ] {
        nonsense.push(framed(&vec![open; depth]));
        nonsense.push(framed(
            &[&[0xa1, 0x61, b'x'][..], &vec![open; depth]].concat(),
        ));
    }
    // Random bytes, the same in every run.
    for seed in 0..40 {
        let noise = Content::new(1 + seed * 37, seed).bytes;
        nonsense.push(framed(&noise));
        nonsense.push(noise);
    }
    nonsense
}

#[tokio::test]
async fn no_nonsense_on_any_protocol_makes_a_node_panic_or_stop_serving() {
    count_panics();
    let content = Content::new(THREE_CHUNKS, 1);
    let server = serving(&content).await;
    let stranger = Client::connect(&server).await;
    for protocol in Protocol::ALL {
        let messages = nonsense();
        let says = messages.iter().map(|bytes| stranger.say(protocol, bytes));
        // Nearly as many at a time as the node allows streams: some may still be ending.
        let mut says: Vec<_> = says.collect();
        while !says.is_empty() {
            let some = says.split_off(says.len().saturating_sub(MAX_INBOUND_STREAMS / 2));
            join_all(some).await;
        }
    }
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
    // The same connection and the node still work.
    let last = item(content.hash(), 0, 40);
    assert_eq!(stranger.ask(last).await, content.answer(&last));
    still_serves(&server, &content).await;
    let malformed = "pelago_serve_refusals_total{reason=\"malformed\"}";
    assert!(server.counted(malformed).await > 0);
}

#[tokio::test]
async fn extreme_levels_and_indices_are_answered() {
    count_panics();
    let content = Content::new(THREE_CHUNKS, 1);
    let server = serving(&content).await;
    let stranger = Client::connect(&server).await;
    for level in [0, 4, 6, 8, 9, 63, 64, 255] {
        for index in [41, 1 << 32, 1 << 63, u64::MAX] {
            for data in [true, false] {
                let asked = Item {
                    data,
                    ..item(content.hash(), level, index)
                };
                let (answer, _) = stranger.ask(asked).await;
                let refused = matches!(answer, Answer::OutOfRange | Answer::Malformed);
                assert!(refused, "{asked:?}: {answer:?}");
            }
        }
    }
    let mut counted = 0;
    for reason in ["out_of_range", "malformed"] {
        let sample = format!("pelago_serve_refusals_total{{reason=\"{reason}\"}}");
        counted += server.counted(&sample).await;
    }
    assert_eq!(counted, 8 * 4 * 2);
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}
