//! People stop downloads at any moment, and the answers are true.
//!
//! ```text
//!   a ---> b      b's person stops each download as it comes to its end
//! ```

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use pelago::{
    content::Hash,
    node::{Download, DownloadRequest, DownloadState, ManageError, Output, ShareRequest},
};

use crate::{
    content::Content,
    nodes::{Home, assert_same, ended, in_time, request},
};

/// Downloads that are stopped, each a little later in its life than the one before.
const ROUNDS: usize = 40;

/// The longest time between the start of the last step of a download and the command that stops it.
const LONGEST: Duration = Duration::from_millis(200);

/// Bytes of each: more than what is written without a record.
const SIZE: u64 = 300_000;

/// The answer to a person.
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

/// Content that `a` shares, and where `b` wants it.
struct Wanted {
    hash: Hash,
    path: PathBuf,
    /// Its content by the paths of its files; the path of a single file is empty.
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
        let share = ShareRequest {
            rehash: false,
            skip_unsupported: false,
            path: root,
            name: None,
            unlisted: false,
        };
        Self {
            hash: a.node.share(share, |_| {}).await.unwrap().hash,
            path: b.path(&name),
            files: files.into(),
        }
    }

    async fn assert_is_so(&self, home: &Home, told: Told) {
        let shares = home.node.list().await.unwrap();
        let is_shared = shares.iter().any(|share| share.hash == self.hash);
        let path = &self.path;
        match told {
            Told::Stopped => {
                assert!(!path.exists() && !is_shared, "{}", path.display());
                let part = path.with_extension("part");
                assert!(!part.exists(), "{}", part.display());
            }
            Told::Done => {
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
    // The first is not stopped: the others are within twice the time that its end takes.
    let (download, since) = begin(&all[0]).await;
    ended(&download).await.unwrap();
    let longest = (since.elapsed() * 2).min(LONGEST);
    let mut ends = vec![Told::Done];
    for (wanted, round) in all.iter().zip(0..).skip(1) {
        let (_, since) = begin(wanted).await;
        while since.elapsed() < longest * round / ROUNDS as u32 {
            tokio::task::yield_now().await;
        }
        let told = stop(b, wanted.hash, round % 2 == 0).await;
        wanted.assert_is_so(b, told).await;
        ends.push(told);
    }
    // Nothing came to its place later either.
    for (wanted, told) in all.iter().zip(ends) {
        wanted.assert_is_so(b, told).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_about_a_stopped_file_are_true() {
    let (a, b) = (Home::start("a").await, Home::start("b").await);
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        all.push(Wanted::file(&a, &b, round).await);
    }
    stop_each(&a, &b, all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_about_a_stopped_folder_are_true() {
    let (a, b) = (Home::start("a").await, Home::start("b").await);
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        all.push(Wanted::folder(&a, &b, round).await);
    }
    stop_each(&a, &b, all).await;
}
