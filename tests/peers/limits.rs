//! Limits on speed between nodes.
//!
//! ```text
//!   giver <--- getter        one of them is limited
//! ```
//!
//! The tests check only the maximum: a busy machine may be slower.

use std::time::Duration;

use futures::future::join_all;
use pelago::{DownloadStatus, Rate, Rates, Settings};
use tokio::time::Instant;

use crate::{
    content::Content,
    nodes::{Home, ended, settings},
};

/// How much passes immediately: a tenth of a second's worth.
const HELD: Duration = Duration::from_millis(100);

/// The factor by which rounding may change the rate.
const ROUNDED: f64 = 0.99;

fn rate(bytes: u64) -> Option<Rate> {
    Some(Rate::new(bytes).unwrap())
}

/// A node with `limits` and the default time for stalls.
async fn limited(name: &str, limits: Rates) -> Home {
    let stall = Settings::default().stall;
    Home::with(Settings {
        limits,
        stall,
        ..settings(name)
    })
    .await
}

/// Downloads `size` bytes, and asserts that it takes at least the time for `rate` bytes a second.
async fn takes_its_time(giver: &Home, getter: &Home, size: u64, rate: u64) {
    let content = Content::new(size, 1);
    giver.share("original", &content).await;
    let began = Instant::now();
    let finished = getter.fetch(&content, &[giver.address().await]).await;
    let least = Duration::from_secs_f64(size as f64 / rate as f64 * ROUNDED) - HELD;
    let took = began.elapsed();
    assert!(
        took >= least,
        "{took:?} for {size} bytes at {rate} a second"
    );
    assert_eq!(finished.sources, 1);
}

#[tokio::test]
async fn a_download_is_no_faster_than_its_limit() {
    let download = rate(400_000);
    let giver = Home::start("giver").await;
    let rates = Rates {
        download,
        ..Rates::default()
    };
    let getter = limited("getter", rates).await;
    takes_its_time(&giver, &getter, 800_000, 400_000).await;
}

#[tokio::test]
async fn an_upload_is_no_faster_than_its_limit() {
    let upload_per_peer = rate(400_000);
    let rates = Rates {
        upload_per_peer,
        ..Rates::default()
    };
    let giver = limited("giver", rates).await;
    let getter = Home::start("getter").await;
    takes_its_time(&giver, &getter, 800_000, 400_000).await;
}

/// The limit is so low that the first requested chunk takes longer than the time for stalls.
#[tokio::test]
async fn a_slow_upload_does_not_stall() {
    let upload = rate(50_000);
    let rates = Rates {
        upload,
        ..Rates::default()
    };
    let giver = limited("giver", rates).await;
    // In this test, a node notices a stall after 1 s.
    let getter = Home::start("getter").await;
    takes_its_time(&giver, &getter, 200_000, 50_000).await;
}

#[tokio::test]
async fn a_slow_download_does_not_stall() {
    let download = rate(50_000);
    let giver = Home::start("giver").await;
    let rates = Rates {
        download,
        ..Rates::default()
    };
    let getter = limited("getter", rates).await;
    takes_its_time(&giver, &getter, 200_000, 50_000).await;
}

/// ```text
///   giver <---.
///   giver <--- getter        the getter's limit is far below what the givers could send
///   giver <---'
/// ```
///
/// If the getter requested more than it may read, the givers would take it for a peer that stalls.
#[tokio::test]
async fn many_sources_of_a_slow_download_do_not_stall() {
    let content = Content::new(1_600_000, 1);
    let download = rate(400_000);
    let rates = Rates {
        download,
        ..Rates::default()
    };
    let getter = limited("getter", rates).await;
    let mut givers = Vec::new();
    for name in ["first", "second", "third", "fourth"] {
        let giver = Home::start(name).await;
        giver.share("original", &content).await;
        givers.push(giver);
    }
    let peers = join_all(givers.iter().map(Home::address)).await;
    let download = getter.download(content.hash(), &peers).await;
    let mut status = download.status();
    let lost = async {
        let all = |status: &DownloadStatus| status.sources == 4;
        status.wait_for(all).await.unwrap();
        let fewer = |status: &DownloadStatus| status.sources < 4;
        status.wait_for(fewer).await.unwrap();
        assert!(status.borrow().state.is_ended(), "a source was lost");
        std::future::pending::<()>().await;
    };
    tokio::select! {
        finished = ended(&download) => assert_eq!(finished.unwrap().sources, 4),
        () = lost => {}
    }
}

#[tokio::test]
async fn a_limit_that_is_lifted_delays_no_waiting_transfer() {
    let content = Content::new(800_000, 1);
    let download = rate(1_000);
    let giver = Home::start("giver").await;
    giver.share("original", &content).await;
    let rates = Rates {
        download,
        ..Rates::default()
    };
    let getter = limited("getter", rates).await;
    let peers = [giver.address().await];
    let download = getter.download(content.hash(), &peers).await;
    let mut status = download.status();
    status.wait_for(|status| status.sources > 0).await.unwrap();
    // At the earlier rate, the download would take longer than a test may.
    getter.node.set_limits(|rates| *rates = Rates::default());
    ended(&download).await.unwrap();
}
