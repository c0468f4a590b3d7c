//! Sources whose files have other content, because a program wrote to them without a trace. The
//! getter asks such a source a question that lets it find out, takes the file from another source,
//! and the other files from this one.
//!
//! ```text
//!          1. all but `b`, and a question about it          2. `b`
//!   wrong <------------------------------------- getter ----------> honest, which connects later
//! ```

use std::time::Duration;

use pelago::{Download, Output, Settings};
use pelago_behaviour::chunk::{Answer, Item};

use crate::{
    content::{Content, THREE_CHUNKS, encoded},
    nodes::{Home, assert_same, ended, in_time, request, settings},
    scripted::{Act, Script, Scripted},
    tree::{Tree, file, files_in, manifest},
};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A folder of four files, of three chunks each.
fn folder() -> (Tree, [Content; 4]) {
    let files = [1, 2, 3, 4].map(|seed| Content::new(THREE_CHUNKS, seed));
    let entries = NAMES.iter().zip(&files);
    let root = manifest(entries.map(|(name, content)| file(name, content)).collect());
    let contents = [root].into_iter().chain(files.iter().cloned());
    let blocks = files.len() as u64 * files[0].descriptor.geometry().blocks();
    (Tree::new(contents, blocks), files)
}

/// The bytes of the right answer, with one wrong byte.
fn wrong(content: &Content, item: &Item) -> Vec<u8> {
    let (answer, mut data) = content.answer(item);
    data[0] ^= 1;
    encoded(&answer, &data)
}

/// Whether the item is the question that follows a failed proof. Requests for manifests of one
/// block look the same.
fn is_question(item: &Item) -> bool {
    item.level == 0 && item.data && item.hash != folder().0.hash()
}

/// The answer of a source to that question.
type Reply = fn(&Content, &Item) -> Vec<u8>;

fn withdrawn(_: &Content, _: &Item) -> Vec<u8> {
    encoded(&Answer::Changed, &[])
}

/// The script of a source that has the folder with other content in `lost`.
fn wrong_about(lost: &[usize], reply: Reply) -> Script {
    let (tree, files) = folder();
    let lost: Vec<_> = lost.iter().map(|at| files[*at].clone()).collect();
    let truth = tree.clone();
    tree.doing(move |_, item| {
        let content = lost.iter().find(|content| content.hash() == item.hash);
        Act::Send(match content {
            Some(content) if is_question(&item) => reply(content, &item),
            Some(content) => wrong(content, &item),
            None => truth.truth(&item),
        })
    })
}

/// Waits until the download has `count` of the files.
async fn has_files(download: &Download, count: u64) {
    let mut status = download.status();
    let has_them = |status: &pelago::DownloadStatus| {
        status.size == Some(4 * THREE_CHUNKS) && status.verified_bytes >= Some(count * THREE_CHUNKS)
    };
    in_time(status.wait_for(has_them)).await.unwrap();
}

fn assert_folder(download: &pelago::Finished) {
    let expected = NAMES.iter().zip(folder().1);
    let expected = expected.map(|(name, file)| ((*name).to_owned(), file.bytes));
    assert!(files_in(&download.path) == expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_source_that_is_wrong_about_a_file_gives_the_others_and_is_asked_about_that_one() {
    // Whether the source finds out or has the right content again, the file comes from another
    // source.
    let replies: [Reply; 3] = [
        withdrawn,
        |_, _| encoded(&Answer::Absent, &[]),
        Content::truth,
    ];
    for reply in replies {
        let (tree, files) = folder();
        let source = Scripted::start(wrong_about(&[1], reply)).await;
        let getter = Home::start("getter").await;
        let download = getter.download(tree.hash(), &[source.address()]).await;
        has_files(&download, 3).await;
        let asked = source
            .until(|asked| asked.items.iter().any(is_question))
            .await;
        let questions: Vec<_> = asked
            .items
            .iter()
            .filter(|item| is_question(item))
            .collect();
        assert!(questions.iter().all(|item| item.hash == files[1].hash()));
        // The question is about the first block of the chunk that failed.
        let failed = |item: &&Item| item.hash == files[1].hash() && !is_question(item);
        let mut failed = asked.items.iter().filter(failed);
        assert!(failed.any(|chunk| questions[0].index == chunk.index << chunk.level));

        let honest = Scripted::start(tree.script()).await;
        getter.node.connect(&honest.address()).await.unwrap();

        let finished = ended(&download).await.unwrap();
        assert_folder(&finished);
        assert_eq!(finished.sources, 2);
        let items = honest.asked().items;
        assert!(
            items.iter().all(|item| item.hash == files[1].hash()),
            "{items:?}"
        );
    }
}

#[tokio::test]
async fn a_source_that_is_wrong_about_three_files_is_asked_no_more() {
    let (tree, files) = folder();
    let source = Scripted::start(wrong_about(&[0, 1, 2], withdrawn)).await;
    // A long time for stalls: on a busy machine, the getter could otherwise drop the source for
    // that.
    let getter = Home::with(Settings {
        max_sources: 1,
        max_asked: 1,
        stall: Duration::from_secs(10),
        ..settings("getter")
    })
    .await;
    let honest = Scripted::start(tree.script()).await;
    let peers = [source.address(), honest.address(), source.other_address()];
    let finished = ended(&getter.download(tree.hash(), &peers).await)
        .await
        .unwrap();
    assert_folder(&finished);
    // One stream for the folder, one for each question, and none when the getter meets the source
    // again.
    assert_eq!(source.asked().chunk_streams, 4, "{:?}", source.asked());
    let asked_of_honest = |n: usize| {
        let items = honest.asked().items;
        items.iter().any(|item| item.hash == files[n].hash())
    };
    assert!([0, 1, 2].into_iter().all(asked_of_honest));
}

/// The error of a download whose only source is `source`.
async fn failure(source: &Scripted, content: pelago_content::Hash) -> String {
    let getter = Home::start("getter").await;
    let copy = Output::At(getter.path("copy"));
    let mut wanted = request(content, copy, &[source.address(), source.other_address()]);
    // Long enough for all questions, also on a busy machine.
    wanted.timeout = Duration::from_secs(2);
    let error = ended(&getter.begin(wanted).await).await.unwrap_err();
    assert_eq!(error.code(), "no-source", "{error}");
    error.to_string()
}

#[tokio::test]
async fn the_reason_for_losing_a_file_is_reported_and_only_three_make_a_liar() {
    let (tree, files) = folder();
    let untrue = "sent wrong data";
    for (lost, says, is_liar) in [
        (&[1][..], "is not asked for 1 file any more", false),
        (&[1, 3], "is not asked for 2 files any more", false),
        (
            &[0, 1, 3],
            "3 files that it offers have other content",
            true,
        ),
    ] {
        let source = Scripted::start(wrong_about(lost, withdrawn)).await;
        let message = failure(&source, tree.hash()).await;
        assert!(message.contains(says), "{message}");
        assert_eq!(message.contains(untrue), is_liar, "{message}");
        let names_one = files
            .iter()
            .any(|file| message.contains(&file.hash().to_string()));
        assert!(names_one || is_liar, "{message}");
    }
    // A wrong answer to the question is wrong data.
    let source = Scripted::start(wrong_about(&[1], wrong)).await;
    let message = failure(&source, tree.hash()).await;
    assert!(message.contains(untrue), "{message}");
}

#[tokio::test]
async fn a_source_of_one_file_with_a_wrong_byte_is_left_and_another_completes_it() {
    let content = Content::new(THREE_CHUNKS, 1);
    let truth = content.clone();
    let script = || {
        let truth = truth.clone();
        Script::claiming(content.descriptor, move |_, item| {
            let chunk = item.index << item.level;
            Act::Send(match (is_question(&item), chunk < 16) {
                (true, _) => withdrawn(&truth, &item),
                (false, true) => wrong(&truth, &item),
                (false, false) => truth.truth(&item),
            })
        })
    };
    let source = Scripted::start(script()).await;
    let message = failure(&source, content.hash()).await;
    assert!(
        message.contains("may have changed since it was shared"),
        "{message}"
    );
    assert!(!message.contains("wrong data"), "{message}");
    source
        .until(|asked| asked.items.iter().any(is_question))
        .await;

    let source = Scripted::start(script()).await;
    let honest = Home::start("honest").await;
    honest.share("original", &content).await;
    let getter = Home::asking_one_at_a_time("getter").await;
    let peers = [
        source.address(),
        honest.address().await,
        source.other_address(),
    ];
    let finished = getter.fetch(&content, &peers).await;
    assert_same(&finished.path, &content);
    assert_eq!(source.asked().chunk_streams, 2, "{:?}", source.asked());
}

#[tokio::test]
async fn a_question_without_an_answer_does_not_stop_the_download() {
    let content = Content::new(THREE_CHUNKS, 1);
    let truth = content.clone();
    let source = Scripted::start(Script::claiming(content.descriptor, move |_, item| {
        if is_question(&item) {
            Act::Silence
        } else {
            Act::Send(wrong(&truth, &item))
        }
    }))
    .await;
    let honest = Home::start("honest").await;
    honest.share("original", &content).await;
    let getter = Home::asking_one_at_a_time("getter").await;
    let peers = [source.address(), honest.address().await];
    getter.fetch(&content, &peers).await;
}
