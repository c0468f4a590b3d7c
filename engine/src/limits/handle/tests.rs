//! Limits on a paused clock, which advances to the next timer when all tasks wait.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

use super::*;

/// Bytes that a caller asks for at a time: a large chunk.
const CHUNK: usize = 4 << 20;

fn rate(bytes: u64) -> Option<Rate> {
    Some(Rate::new(bytes).unwrap())
}

fn upload(bytes: u64) -> Limits {
    Limits::new(Rates {
        upload: rate(bytes),
        ..Rates::default()
    })
}

/// A task that moves bytes for as long as it lives, and how many it has moved.
struct Mover {
    moved: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Mover {
    fn uploads(limits: &Limits, peer: PeerId) -> Self {
        let (limits, moved) = (limits.clone(), Arc::new(AtomicU64::new(0)));
        let counter = Arc::clone(&moved);
        let task = tokio::spawn(async move {
            loop {
                let bytes = limits.upload(peer, CHUNK).await;
                counter.fetch_add(bytes as u64, Relaxed);
            }
        });
        let task = task.abort_handle();
        Self { moved, task }
    }

    fn moved(&self) -> u64 {
        self.moved.load(Relaxed)
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[track_caller]
fn assert_close(found: u64, expected: u64) {
    let error = found.abs_diff(expected) as f64 / expected as f64;
    assert!(error <= 0.05, "{found} bytes where {expected} are due");
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn each_rate_is_held_over_ten_seconds() {
    for bytes in [1_000, 50_000, 1_000_000, 1_999_999, 20_000_000, 200_000_000] {
        for movers in [1, 7] {
            let limits = upload(bytes);
            let peers = (0..movers).map(|_| Mover::uploads(&limits, PeerId::random()));
            let peers: Vec<_> = peers.collect();
            for ten in 1..=3 {
                seconds(10).await;
                let moved = peers.iter().map(Mover::moved).sum();
                assert_close(moved, bytes * 10 * ten);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_late_loses_nothing() {
    let limits = upload(200_000_000);
    let (began, mut moved) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(10) {
        moved += limits.upload(PeerId::random(), CHUNK).await;
        if began.elapsed().as_millis() % 100 < 50 {
            sleep(Duration::from_millis(50)).await;
        }
    }
    assert_close(moved as u64, 2_000_000_000);
}

#[tokio::test(start_paused = true)]
async fn downloads_and_uploads_do_not_count_against_each_other() {
    let limits = Limits::new(Rates {
        upload: rate(50_000),
        download: rate(1_000_000),
        ..Rates::default()
    });
    let (peer, mut downloaded) = (PeerId::random(), 0);
    let uploads = Mover::uploads(&limits, peer);
    let downloads = async {
        loop {
            downloaded += limits.download(peer, CHUNK).await;
        }
    };
    assert!(timeout(Duration::from_secs(10), downloads).await.is_err());
    assert_close(uploads.moved(), 500_000);
    assert_close(downloaded as u64, 10_000_000);
}

#[tokio::test(start_paused = true)]
async fn two_movers_that_share_a_limit_get_half_each() {
    let limits = upload(1_000_000);
    let early = Mover::uploads(&limits, PeerId::random());
    seconds(10).await;
    let (before, late) = (early.moved(), Mover::uploads(&limits, PeerId::random()));
    seconds(10).await;
    assert_close(late.moved(), 5_000_000);
    assert_close(early.moved() - before, 5_000_000);
}

#[tokio::test(start_paused = true)]
async fn each_peer_has_its_limit_and_all_have_theirs() {
    let limits = Limits::new(Rates {
        upload: rate(1_000_000),
        upload_per_peer: rate(300_000),
        ..Rates::default()
    });
    let [twice, once] = [PeerId::random(), PeerId::random()];
    let of_two = [(); 2].map(|()| Mover::uploads(&limits, twice));
    let of_one = Mover::uploads(&limits, once);
    seconds(10).await;
    assert_close(of_two.iter().map(Mover::moved).sum(), 3_000_000);
    assert_close(of_one.moved(), 3_000_000);
    let more = [(); 3].map(|()| Mover::uploads(&limits, PeerId::random()));
    let all = || {
        more.iter()
            .chain(&of_two)
            .chain([&of_one])
            .map(Mover::moved)
    };
    let before: u64 = all().sum();
    seconds(10).await;
    assert_close(all().sum::<u64>() - before, 10_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_change_holds_at_once() {
    let limits = upload(50_000);
    let mover = Mover::uploads(&limits, PeerId::random());
    for bytes in [50_000, 20_000_000, 1_000_000, 200_000_000, 50_000] {
        limits.change(|rates| rates.upload = rate(bytes));
        let before = mover.moved();
        seconds(10).await;
        assert_close(mover.moved() - before, bytes * 10);
    }
}

#[tokio::test(start_paused = true)]
async fn waiters_resume_immediately_when_the_limit_is_lifted() {
    let limits = upload(1_000);
    let peer = PeerId::random();
    assert_eq!(
        limits.upload(peer, CHUNK).await,
        100,
        "what is held at first"
    );
    let waiting = [(); 3].map(|()| {
        let limits = limits.clone();
        tokio::spawn(async move { limits.upload(peer, CHUNK).await })
    });
    tokio::task::yield_now().await;
    let lifted = Instant::now();
    limits.change(|rates| *rates = Rates::default());
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), CHUNK);
    }
    assert_eq!(lifted.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_gives_up_takes_nothing_from_others() {
    let limits = upload(1_000_000);
    let mover = Mover::uploads(&limits, PeerId::random());
    let (began, mut moved, mut given_up) = (Instant::now(), 0, 0);
    while began.elapsed() < Duration::from_secs(10) {
        let impatient = limits.upload(PeerId::random(), CHUNK);
        match timeout(Duration::from_millis(1), impatient).await {
            Ok(bytes) => moved += bytes as u64,
            Err(_) => given_up += 1,
        }
    }
    assert!(given_up > 1_000, "{given_up}");
    assert_close(mover.moved() + moved, 10_000_000);
}

#[tokio::test(start_paused = true)]
async fn peers_that_are_gone_are_forgotten() {
    let limits = Limits::new(Rates {
        upload_per_peer: rate(50_000),
        ..Rates::default()
    });
    let stays = Mover::uploads(&limits, PeerId::random());
    for _ in 0..1_000 {
        limits.upload(PeerId::random(), CHUNK).await;
        sleep(Duration::from_millis(10)).await;
    }
    assert!(limits.0.upload.peers.len() < 64, "ten a tenth of a second");
    assert_close(stays.moved(), 500_000);
}

#[tokio::test(start_paused = true)]
async fn without_limits_all_passes() {
    let limits = Limits::default();
    let peer = PeerId::random();
    assert_eq!(limits.upload(peer, CHUNK).await, CHUNK);
    assert_eq!(limits.download(peer, 0).await, 0);
}

#[tokio::test(start_paused = true)]
async fn it_shows_which_limit_downloads_wait_for() {
    for per_peer in [false, true] {
        let limits = Limits::default();
        limits.change(|rates| match per_peer {
            true => rates.download_per_peer = rate(50_000),
            false => rates.download = rate(50_000),
        });
        assert_eq!(limits.holding_downloads(), None);
        let downloads = limits.clone();
        let held = tokio::spawn(async move {
            let peer = PeerId::random();
            loop {
                downloads.download(peer, CHUNK).await;
            }
        });
        sleep(Duration::from_millis(1050)).await;
        assert_eq!(limits.holding_downloads(), rate(50_000));
        held.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn content_goes_slowly_through_relays_to_each_peer() {
    let limits = Limits::default();
    let begun = Instant::now();
    let send = async |peer| {
        let mut sent = 0;
        while sent < 4 * Rate::RELAYED.bytes() as usize {
            sent += limits.upload_relayed(peer, CHUNK).await;
        }
    };
    tokio::join!(send(PeerId::random()), send(PeerId::random()));
    let took = begun.elapsed();
    assert!(
        took > Duration::from_millis(3_700) && took < Duration::from_millis(4_100),
        "{took:?}"
    );
}
