//! People stop downloads at any moment, and what they are told is so.
//!
//! ```text
//!   a ---> b      b's person stops each download as it comes to its end
//! ```

use std::path::Path;

use pelago::{
    content::Hash,
    node::{Download, DownloadRequest, DownloadState, ManageError, Output},
};

use crate::{
    content::Content,
    nodes::{Home, assert_same, in_time, request},
};

/// Downloads that are stopped, each a little later in its life than the one before.
const ROUNDS: usize = 60;

/// Bytes of each: more than what is written without a record.
const SIZE: u64 = 300_000;

/// What a person was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Stopped,
    Done,
}

async fn is_finishing(download: &Download) {
    let mut status = download.status();
    let comes_to_its_end =
        |state: DownloadState| state == DownloadState::Finishing || state.is_ended();
    // An error means that it has ended.
    let _ = in_time(status.wait_for(|status| comes_to_its_end(status.state))).await;
}

/// Stops a download for good; every other is paused before that.
async fn stop(home: &Home, hash: Hash, pauses: bool) -> Told {
    let what = hash.to_string();
    if pauses {
        match in_time(home.node.pause(&what)).await {
            Ok(status) => assert_eq!(status.state, DownloadState::Paused),
            Err(error) => return done(&error),
        }
    }
    match in_time(home.node.cancel(&what)).await {
        Ok(_) => Told::Stopped,
        Err(error) if pauses => panic!("it was paused: {error}"),
        Err(error) => done(&error),
    }
}

fn done(error: &ManageError) -> Told {
    assert!(error.to_string().ends_with("is done already"), "{error}");
    Told::Done
}

async fn assert_is_so(home: &Home, told: Told, path: &Path, content: &Content) {
    let shares = home.node.list().await.unwrap();
    let is_shared = shares.iter().any(|share| share.hash == content.hash());
    match told {
        Told::Stopped => assert!(!path.exists() && !is_shared, "{}", path.display()),
        Told::Done => {
            assert_same(path, content);
            assert!(is_shared, "{}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_are_told_of_a_download_that_they_stopped_is_so() {
    let (a, b) = (Home::start("a").await, Home::start("b").await);
    let from = [a.address().await];
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let content = Content::new(SIZE, round as u64 + 1);
        a.share(&round.to_string(), &content).await;
        let path = b.path(&round.to_string());
        let wanted = DownloadRequest {
            seed: true,
            ..request(content.hash(), Output::At(path.clone()), &from)
        };
        let download = b.begin(wanted).await;
        is_finishing(&download).await;
        for _ in 0..round * 4 {
            tokio::task::yield_now().await;
        }
        let told = stop(&b, content.hash(), round % 2 == 0).await;
        assert_is_so(&b, told, &path, &content).await;
        all.push((told, path, content));
    }
    // Nothing came to its place later either.
    for (told, path, content) in &all {
        assert_is_so(&b, *told, path, content).await;
    }
    b.node.shutdown().await;
}
