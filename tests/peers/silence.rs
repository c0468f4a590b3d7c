//! Peers that stall: the node notices, and uses another source.
//!
//! ```text
//!   silent <--- getter ---> honest        the getter asks the silent peer first, and alone
//! ```

use std::{net::TcpListener, time::Duration};

use pelago::{Settings, WaitReason};

use crate::{
    content::{Content, THREE_CHUNKS},
    nodes::{Home, in_time, settings},
    scripted::{Act, Script, Scripted, has_all},
};

/// The pause between two bytes: the peer sends fewer than 1 KiB in the time for a stall.
const PAUSE: Duration = Duration::from_millis(100);

async fn is_left_for_another(content: &Content, script: Script) {
    let silent = Scripted::start(script).await;
    let honest = Home::start("honest").await;
    honest.share("original", content).await;
    let getter = Home::asking_one_at_a_time("getter").await;
    let peers = [silent.address(), honest.address().await];
    let finished = getter.fetch(content, &peers).await;
    assert_eq!(finished.sources, 1);
    let honestly = getter.received_from(&honest).await;
    assert_eq!(honestly, content.descriptor.size());
    let asked = silent.asked();
    assert_eq!(asked.subscriptions, 1, "{asked:?}");
}

#[tokio::test]
async fn a_peer_that_never_says_what_it_has_is_left() {
    let content = Content::new(THREE_CHUNKS, 1);
    let mut script = Script::honest(&content);
    script.availability = Box::new(|_| Act::Silence);
    is_left_for_another(&content, script).await;
}

#[tokio::test]
async fn a_peer_that_says_what_it_has_a_byte_at_a_time_is_left() {
    let content = Content::new(THREE_CHUNKS, 1);
    let descriptor = content.descriptor;
    let mut script = Script::honest(&content);
    script.availability = Box::new(move |_| Act::Trickle(has_all(&descriptor), PAUSE));
    is_left_for_another(&content, script).await;
}

#[tokio::test]
async fn a_peer_that_takes_requests_and_never_answers_is_left() {
    let content = Content::new(THREE_CHUNKS, 1);
    let script = Script::claiming(content.descriptor, |_, _| Act::Silence);
    is_left_for_another(&content, script).await;
}

#[tokio::test]
async fn a_download_says_that_nothing_arrives_and_from_whom() {
    let content = Content::new(THREE_CHUNKS, 1);
    let script = Script::claiming(content.descriptor, |_, _| Act::Silence);
    let silent = Scripted::start(script).await;
    let getter = Home::with(Settings {
        stall: Duration::from_secs(600),
        ..settings("getter")
    })
    .await;
    let download = getter.download(content.hash(), &[silent.address()]).await;
    let mut status = download.status();
    let says = status.wait_for(|status| matches!(status.waits, Some(WaitReason::Data { .. })));
    let waits = in_time(says).await.unwrap().waits.clone().unwrap();
    let from = getter.node.peers().await.unwrap()[0].peer_id;
    let text = waits.to_string();
    assert!(text.contains(&format!("s from {from}")), "{text}");
}

#[tokio::test]
async fn a_peer_that_answers_a_byte_at_a_time_is_left() {
    let content = Content::new(THREE_CHUNKS, 1);
    let truth = content.clone();
    let script = Script::claiming(content.descriptor, move |_, item| {
        Act::Trickle(truth.truth(&item), PAUSE)
    });
    is_left_for_another(&content, script).await;
}

#[tokio::test]
async fn a_peer_that_closes_inside_a_chunk_is_left() {
    let content = Content::new(THREE_CHUNKS, 1);
    let truth = content.clone();
    let script = Script::claiming(content.descriptor, move |_, item| {
        let mut bytes = truth.truth(&item);
        bytes.truncate(bytes.len() / 2);
        Act::SendAndClose(bytes)
    });
    is_left_for_another(&content, script).await;
}

#[tokio::test]
async fn a_listener_that_never_shakes_hands_delays_no_download() {
    // The system accepts the connection, and the program does not.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = deaf.local_addr().unwrap().to_string();
    let content = Content::new(THREE_CHUNKS, 1);
    let honest = Home::start("honest").await;
    honest.share("original", &content).await;
    let getter = Home::start("getter").await;
    let peers = [deaf.parse().unwrap(), honest.address().await];
    getter.fetch(&content, &peers).await;
}
