//! People stop downloads at any moment, and the reported results are right.
//!
//! ```text
//!   a ---> b      the person at b stops each download near its end
//! ```

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use futures::FutureExt;
use pelago::{
    CodedError, Download, DownloadRequest, DownloadState, Hash, ManageError, Output, ShareRequest,
};
use tokio::runtime::Builder;

use crate::{
    content::Content,
    nodes::{Home, assert_same, ended, in_time, request, settings},
};

/// How many downloads are stopped, each a little later than the one before.
const ROUNDS: usize = 40;

/// The longest time between the start of the last step of a download and the command that stops it.
const LONGEST: Duration = Duration::from_millis(200);

/// Bytes of each: more than a download writes without a record.
const SIZE: u64 = 300_000;

/// The result that a person gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reported {
    Stopped,
    Done,
}

async fn is_finishing(download: &Download) {
    let mut status = download.status();
    let is_near_its_end =
        |state: DownloadState| state == DownloadState::Finishing || state.is_ended();
    // An error means that it has ended.
    let _ = in_time(status.wait_for(|status| is_near_its_end(status.state))).await;
}

/// Cancels a download; pauses it before if `pauses`.
async fn stop(home: &Home, hash: Hash, pauses: bool) -> Reported {
    let what = hash.to_string();
    if pauses {
        match in_time(home.node.pause(&what, None)).await {
            Ok(status) => assert_eq!(status.state, DownloadState::Paused),
            Err(error) => return done(&error),
        }
    }
    match in_time(home.node.cancel(&what)).await {
        Ok(_) => Reported::Stopped,
        Err(error) if pauses => panic!("it was paused: {error}"),
        Err(error) => done(&error),
    }
}

fn done(error: &ManageError) -> Reported {
    assert!(error.to_string().ends_with("is done already"), "{error}");
    Reported::Done
}

/// Content that `a` shares, and the target of `b`'s download.
struct Wanted {
    hash: Hash,
    path: PathBuf,
    /// Paths and contents of the files. The path of a single file is empty.
    files: Vec<(String, Content)>,
}

impl Wanted {
    async fn file(a: &Home, b: &Home, round: usize) -> Self {
        let (name, content) = (round.to_string(), Content::new(SIZE, round as u64 + 1));
        Self {
            hash: a.share(&name, &content).await.hash,
            path: b.path(&name),
            files: vec![(String::new(), content)],
        }
    }

    async fn folder(a: &Home, b: &Home, round: usize) -> Self {
        let (name, seed) = (format!("folder {round}"), round as u64 + 1000);
        let files = [("small", 1000), ("in/small", 20_000), ("in/large", SIZE)];
        let files = files.map(|(path, size)| (path.to_owned(), Content::new(size, seed + size)));
        let root = a.path(&name);
        for (path, content) in &files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &content.bytes).unwrap();
        }
        let share = ShareRequest::new(root);
        Self {
            hash: a.node.share(share, |_| {}).await.unwrap().hash,
            path: b.path(&name),
            files: files.into(),
        }
    }

    async fn assert_is_so(&self, home: &Home, reported: Reported) {
        let shares = home.node.list().await.unwrap();
        let is_shared = shares.iter().any(|share| share.hash == self.hash);
        let path = &self.path;
        match reported {
            Reported::Stopped => {
                assert!(!path.exists() && !is_shared, "{}", path.display());
                let part = path.with_extension("part");
                assert!(!part.exists(), "{}", part.display());
            }
            Reported::Done => {
                assert!(is_shared, "{}", path.display());
                for (inner, content) in &self.files {
                    match inner.as_str() {
                        "" => assert_same(path, content),
                        inner => assert_same(&path.join(inner), content),
                    }
                }
            }
        }
    }
}

async fn stop_each(a: &Home, b: &Home, all: Vec<Wanted>) {
    let from = [a.address().await];
    let begin = async |wanted: &Wanted| {
        let download = b.begin(DownloadRequest {
            seed: true,
            ..request(wanted.hash, Output::At(wanted.path.clone()), &from)
        });
        let download = download.await;
        is_finishing(&download).await;
        (download, Instant::now())
    };
    // The first download is not stopped. The time that its end takes bounds when the others are.
    let (download, since) = begin(&all[0]).await;
    ended(&download).await.unwrap();
    let longest = (since.elapsed() * 2).min(LONGEST);
    let mut ends = vec![Reported::Done];
    for (wanted, round) in all.iter().zip(0..).skip(1) {
        let (_, since) = begin(wanted).await;
        while since.elapsed() < longest * round / ROUNDS as u32 {
            tokio::task::yield_now().await;
        }
        let reported = stop(b, wanted.hash, round % 2 == 0).await;
        wanted.assert_is_so(b, reported).await;
        ends.push(reported);
    }
    // The results still hold after all rounds.
    for (wanted, reported) in all.iter().zip(ends) {
        wanted.assert_is_so(b, reported).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_about_a_stopped_file_are_right() {
    let (a, b) = (Home::start("a").await, Home::start("b").await);
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        all.push(Wanted::file(&a, &b, round).await);
    }
    stop_each(&a, &b, all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_about_a_stopped_folder_are_right() {
    let (a, b) = (Home::start("a").await, Home::start("b").await);
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        all.push(Wanted::folder(&a, &b, round).await);
    }
    stop_each(&a, &b, all).await;
}

/// Files in the folder that is removed.
const MANY: usize = 500;

/// Waits until the states of all downloads are as `are_so` says.
async fn until_states(home: &Home, are_so: impl Fn(&[DownloadState]) -> bool) {
    let until = async {
        loop {
            let listed = home.node.downloads();
            let states: Vec<_> = listed.iter().map(|listed| listed.state).collect();
            if are_so(&states) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    in_time(until).await;
}

/// ```text
///   a ---> b      b removes a folder with its data, but neither the caller nor the node waits for that
/// ```
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_is_completed_without_its_caller_and_by_the_next_run_of_the_node() {
    let a = Home::start("a").await;
    let root = a.path("box");
    fs::create_dir(&root).unwrap();
    for number in 0..MANY {
        fs::write(root.join(number.to_string()), number.to_string()).unwrap();
    }
    let share = ShareRequest::new(root);
    let hash = a.node.share(share, |_| {}).await.unwrap().hash;
    let mut b = Home::on_disk("b").await;
    let from = [a.address().await];
    for restarts in [false, true] {
        let copy = b.path("copy");
        let download = DownloadRequest {
            seed: true,
            ..request(hash, Output::At(copy.clone()), &from)
        };
        ended(&b.begin(download).await).await.unwrap();
        let what = hash.to_string();
        let refused = b.node.resume(&what).await.unwrap_err();
        assert_eq!(refused.to_string(), "\"box\" is done already");

        // The caller is gone after the first step.
        let removal = b.node.remove_download(&what, true);
        assert!(removal.now_or_never().is_none());
        let is_begun = |states: &[DownloadState]| !states.contains(&DownloadState::Done);
        until_states(&b, is_begun).await;
        if restarts {
            b = b.restart(settings("b")).await;
        }

        until_states(&b, <[_]>::is_empty).await;
        assert!(!copy.exists());
        let shares = b.node.list().await.unwrap();
        assert!(shares.iter().all(|share| share.hash != hash));
    }
}

/// ```text
///   a      a person downloads again what is being removed
/// ```
#[test]
fn what_is_being_removed_is_not_downloaded_until_that_is_complete() {
    // One thread that blocks keeps their order: the request comes before the data is removed.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build();
    runtime.unwrap().block_on(async {
        let a = Home::on_disk("a").await;
        let content = Content::new(SIZE, 1);
        a.share("original", &content).await;
        let (hash, copy) = (content.hash(), a.path("copy"));
        let wanted = || DownloadRequest {
            seed: true,
            ..request(hash, Output::At(copy.clone()), &[])
        };
        ended(&a.begin(wanted()).await).await.unwrap();

        let what = hash.to_string();
        let removal = a.node.remove_download(&what, true);
        assert!(removal.now_or_never().is_none());
        until_states(&a, |states| states == [DownloadState::Removing]).await;
        let refused = a.node.download(wanted()).await.map(drop).unwrap_err();
        assert_eq!(refused.code(), "being-removed", "{refused}");

        until_states(&a, <[_]>::is_empty).await;
        assert!(!copy.exists());
        ended(&a.begin(wanted()).await).await.unwrap();
        assert_same(&copy, &content);
    });
}
