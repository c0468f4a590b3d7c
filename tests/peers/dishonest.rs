//! Peers that send wrong data: the node detects and drops them, and downloads from another peer.
//!
//! ```text
//!          1. wrong answer           2. right answer
//!   liar <---------------- getter ----------------> honest
//!     ^                      |
//!     +----- 3. never again -+     the liar listens at two addresses, and is met again
//! ```

use std::{fs, ops::RangeInclusive};

use pelago::{Descriptor, Kind};
use pelago_behaviour::chunk::{Answer, Item};
use pelago_content::{leaf, padding};

use crate::{
    content::{Content, THREE_CHUNKS, encoded, two_leaves},
    nodes::{Home, assert_same, ended, request},
    scripted::{Act, Script, Scripted},
};

/// How many chunk streams a liar gets whose answers are wrong for any content.
const AT_ONCE: RangeInclusive<usize> = 1..=1;

/// How many a liar gets whose data fails its proof: one more, for the question that follows.
const AFTER_A_QUESTION: RangeInclusive<usize> = 2..=2;

/// How many a liar gets when only some proofs have the right length: it depends on the chunk that
/// is requested first.
const UP_TO_CHANCE: RangeInclusive<usize> = 1..=2;

/// Asserts that `content` arrives from an honest peer though a liar with `script` is asked first,
/// and that the liar gets `streams` chunk streams.
async fn is_found_out(content: &Content, script: Script, streams: RangeInclusive<usize>) {
    let liar = Scripted::start(script).await;
    let honest = Home::start("honest").await;
    honest.share("original", content).await;
    let getter = Home::asking_one_at_a_time("getter").await;

    // The getter asks the liar, then the liar at its other address, then the honest peer.
    let peers = [liar.address(), honest.address().await, liar.other_address()];
    let finished = getter.fetch(content, &peers).await;

    assert_eq!(finished.sources, 1, "one peer answered correctly");
    let honestly = getter.received_from(&honest).await;
    assert_eq!(honestly, content.descriptor.size());
    let asked = liar.asked();
    assert!(streams.contains(&asked.chunk_streams), "{asked:?}");
}

/// As [`is_found_out`], of a liar that answers with what `forge` makes of the right answer and its
/// data.
async fn forged_answers_are_found_out(
    content: &Content,
    streams: RangeInclusive<usize>,
    forge: impl Fn(&Item, &mut Answer, &mut Vec<u8>) + Send + Sync + 'static,
) {
    let truth = content.clone();
    let script = Script::claiming(content.descriptor, move |_, item| {
        let (mut answer, mut data) = truth.answer(&item);
        forge(&item, &mut answer, &mut data);
        Act::Send(encoded(&answer, &data))
    });
    is_found_out(content, script, streams).await;
}

async fn forged_proofs_are_found_out(
    streams: RangeInclusive<usize>,
    forge: impl Fn(&Item, &mut Vec<[u8; 32]>) + Send + Sync + 'static,
) {
    let content = Content::new(THREE_CHUNKS, 1);
    forged_answers_are_found_out(&content, streams, move |item, answer, _| {
        if let Answer::Data { proof, .. } = answer {
            forge(item, proof);
        }
    })
    .await;
}

#[tokio::test]
async fn a_subscription_answered_with_other_content_is_refused() {
    let content = Content::new(THREE_CHUNKS, 1);
    let other = Content::new(THREE_CHUNKS, 2).descriptor;
    let script = Script::claiming(other, |_, _| Act::Silence);
    is_found_out(&content, script, 0..=0).await;
}

#[tokio::test]
async fn a_chunk_whose_descriptor_does_not_hash_to_what_was_asked_is_refused() {
    // The bytes and their proof are right.
    let content = Content::new(THREE_CHUNKS, 1);
    let other = Content::new(THREE_CHUNKS, 2).descriptor;
    forged_answers_are_found_out(&content, AT_ONCE, move |_, answer, _| {
        if let Answer::Data { descriptor, .. } = answer {
            *descriptor = other;
        }
    })
    .await;
}

#[tokio::test]
async fn other_content_with_its_own_proofs_is_refused() {
    let content = Content::new(THREE_CHUNKS, 1);
    let other = Content::new(THREE_CHUNKS, 2);
    let script = Script::claiming(content.descriptor, move |_, item| {
        Act::Send(other.truth(&item))
    });
    is_found_out(&content, script, AT_ONCE).await;
}

#[tokio::test]
async fn a_proof_that_is_too_short_is_refused() {
    forged_proofs_are_found_out(AT_ONCE, |_, proof| proof.truncate(proof.len() - 1)).await;
}

#[tokio::test]
async fn a_proof_that_is_too_long_is_refused() {
    forged_proofs_are_found_out(AT_ONCE, |_, proof| proof.push([7; 32])).await;
}

#[tokio::test]
async fn a_proof_of_another_index_is_refused() {
    let content = Content::new(THREE_CHUNKS, 1);
    forged_proofs_are_found_out(UP_TO_CHANCE, move |item, proof| {
        let neighbour = Item {
            index: (item.index + 1) % 3,
            ..*item
        };
        if let (Answer::Data { proof: other, .. }, _) = content.answer(&neighbour) {
            *proof = other;
        }
    })
    .await;
}

#[tokio::test]
async fn wrong_bytes_with_the_right_proof_are_refused() {
    let content = Content::new(THREE_CHUNKS, 1);
    forged_answers_are_found_out(&content, AFTER_A_QUESTION, |_, _, data| data[1000] ^= 1).await;
}

#[tokio::test]
async fn a_peer_that_denies_a_chunk_which_the_content_has_is_asked_no_more() {
    let content = Content::new(THREE_CHUNKS, 1);
    let script = Script::claiming(content.descriptor, |_, _| {
        Act::Send(encoded(&Answer::OutOfRange, &[]))
    });
    is_found_out(&content, script, AT_ONCE).await;
}

#[tokio::test]
async fn sixty_four_bytes_of_two_leaves_are_not_the_32_kib_they_came_from() {
    let original = Content::new(32_768, 1);
    let leaves = two_leaves(&original);
    assert_eq!(leaves.descriptor.size(), 64);
    let twin = Descriptor::new(Kind::File, 64, original.descriptor.root()).unwrap();

    // The liar offers its own descriptor, immediately or with the first chunk.
    let bytes = leaves.bytes.clone();
    let offer = move |descriptor: Descriptor| {
        let (proof, length) = (Vec::new(), 64);
        let answer = Answer::Data {
            descriptor,
            proof,
            length,
        };
        Act::Send(encoded(&answer, &bytes))
    };
    let answer = offer.clone();
    let at_once = Script::claiming(twin, move |_, _| answer(twin));
    is_found_out(&original, at_once, 0..=0).await;
    let answer = offer.clone();
    let later = Script::claiming(original.descriptor, move |_, _| answer(twin));
    is_found_out(&original, later, AT_ONCE).await;
    // The liar offers the right descriptor: the length of the data is wrong.
    let descriptor = original.descriptor;
    let disguised = Script::claiming(descriptor, move |_, _| offer(descriptor));
    is_found_out(&original, disguised, AT_ONCE).await;
}

#[tokio::test]
async fn all_zero_siblings_prove_nothing() {
    let content = Content::new(THREE_CHUNKS, 1);
    forged_answers_are_found_out(&content, AFTER_A_QUESTION, |_, answer, data| {
        data.fill(0);
        if let Answer::Data { proof, .. } = answer {
            proof.fill([0; 32]);
        }
    })
    .await;
}

#[tokio::test]
async fn padding_that_the_verifier_knows_is_not_taken_from_a_peer() {
    // The neighbour of the last chunk is past the end, so the proof must not have its node.
    forged_proofs_are_found_out(UP_TO_CHANCE, |item, proof| {
        if item.index == 2 {
            proof.insert(0, padding(item.level));
        } else {
            proof.fill(padding(item.level));
        }
    })
    .await;
}

#[tokio::test]
async fn more_bytes_than_the_chunk_has_are_refused_before_they_are_read() {
    let content = Content::new(THREE_CHUNKS, 1);
    for length in [1, u32::MAX] {
        forged_answers_are_found_out(&content, AT_ONCE, move |_, answer, data| {
            if let Answer::Data { length: found, .. } = answer {
                *found = found.saturating_add(length);
            }
            data.push(0);
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_frame_of_4_gib_is_refused_before_it_is_read() {
    let content = Content::new(THREE_CHUNKS, 1);
    let script = Script::claiming(content.descriptor, |_, _| Act::Send(vec![0xff; 4]));
    is_found_out(&content, script, AT_ONCE).await;
}

#[tokio::test]
async fn an_answer_without_end_is_read_no_further_than_its_chunk() {
    let content = Content::new(THREE_CHUNKS, 1);
    let truth = content.clone();
    let script = Script::claiming(content.descriptor, move |_, item| {
        // The answer begins correctly, and never ends.
        Act::SendForever(truth.truth(&item))
    });
    is_found_out_after_one_chunk(&content, script).await;
}

/// As [`is_found_out`], of a liar whose first chunk is right.
async fn is_found_out_after_one_chunk(content: &Content, script: Script) {
    let liar = Scripted::start(script).await;
    let honest = Home::start("honest").await;
    honest.share("original", content).await;
    let getter = Home::asking_one_at_a_time("getter").await;
    let peers = [liar.address(), honest.address().await, liar.other_address()];
    let finished = getter.fetch(content, &peers).await;
    assert_eq!(finished.sources, 2);
    assert!(UP_TO_CHANCE.contains(&liar.asked().chunk_streams));
}

#[tokio::test]
async fn a_liar_that_is_gone_at_once_is_found_out() {
    let content = Content::new(THREE_CHUNKS, 1);
    let truth = content.clone();
    let script = Script::claiming(content.descriptor, move |_, item| {
        let mut answer = truth.truth(&item);
        *answer.last_mut().unwrap() ^= 1;
        Act::SendAndClose(answer)
    });
    is_found_out(&content, script, AFTER_A_QUESTION).await;
}

#[tokio::test]
async fn a_source_that_is_lost_inside_a_chunk_is_not_a_liar() {
    // source (closes the stream within its first answer) <--- getter, which has no other source
    let content = Content::new(THREE_CHUNKS, 1);
    let truth = content.clone();
    let source = Scripted::start(Script::claiming(content.descriptor, move |number, item| {
        let answer = truth.truth(&item);
        match number {
            0 => Act::SendAndClose(answer[..answer.len() / 2].to_vec()),
            _ => Act::Send(answer),
        }
    }))
    .await;
    let getter = Home::start("getter").await;
    getter.fetch(&content, &[source.address()]).await;
}

#[tokio::test]
async fn unrequested_answers_spoil_nothing() {
    let content = Content::new(1000, 1);
    let truth = content.clone();
    // liar <--- getter, which has no other source
    let liar = Scripted::start(Script::claiming(content.descriptor, move |_, item| {
        Act::SendForever(truth.truth(&item))
    }))
    .await;
    let getter = Home::start("getter").await;
    getter.fetch(&content, &[liar.address()]).await;
}

#[tokio::test]
async fn a_lie_costs_nothing_of_what_was_proven_before() {
    // liar (two chunks, then wrong data) <--- getter ---> honest, which is asked for the third
    // chunk only
    let content = Content::new(THREE_CHUNKS, 1);
    let truth = content.clone();
    let liar = Scripted::start(Script::claiming(content.descriptor, move |number, item| {
        let mut bytes = truth.truth(&item);
        if number == 2 {
            bytes.last_mut().into_iter().for_each(|last| *last ^= 1);
        }
        Act::Send(bytes)
    }))
    .await;
    let honest = Scripted::start(Script::honest(&content)).await;
    let getter = Home::asking_one_at_a_time("getter").await;

    let peers = [liar.address(), honest.address()];
    let finished = getter.fetch(&content, &peers).await;

    assert_eq!(finished.sources, 2);
    let lied_about = liar.asked().items[2];
    assert_eq!(honest.asked().items, [lied_about]);
}

#[tokio::test]
async fn a_download_that_only_a_liar_fed_keeps_what_was_proven_and_resumes_later() {
    // liar <--- getter, which fails; later: getter ---> honest
    let content = Content::new(THREE_CHUNKS, 1);
    let truth = content.clone();
    let liar = Scripted::start(Script::claiming(content.descriptor, move |number, item| {
        let mut bytes = truth.truth(&item);
        if number > 0 {
            bytes.last_mut().into_iter().for_each(|last| *last ^= 1);
        }
        Act::Send(bytes)
    }))
    .await;
    let getter = Home::start("getter").await;
    let copy = pelago::Output::At(getter.path("copy"));
    let mut wanted = request(content.hash(), copy, &[liar.address()]);
    wanted.timeout = std::time::Duration::from_millis(300);
    let download = getter.begin(wanted.clone()).await;

    let error = ended(&download).await.unwrap_err();
    assert_eq!(error.code(), "no-source", "{error}");
    assert!(error.to_string().contains("wrong data"), "{error}");
    assert!(!getter.path("copy").exists());
    let honest = Scripted::start(Script::honest(&content)).await;
    wanted.peers = vec![honest.address()];
    let finished = ended(&getter.begin(wanted).await).await.unwrap();

    assert_same(&finished.path, &content);
    let first = content.bytes_of(&liar.asked().items[0]);
    assert_eq!(finished.resumed_bytes, first);
    assert_eq!(finished.fetched_bytes, THREE_CHUNKS - first);
    assert_eq!(honest.asked().items.len(), 2);
}

/// The highest resident memory of this process so far, in bytes.
#[cfg(target_os = "linux")]
pub(crate) fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
    kibibytes.unwrap().parse::<u64>().unwrap() << 10
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_claimed_pebibyte_allocates_nothing() {
    use std::os::unix::fs::MetadataExt;

    use pelago::{DownloadState, TransferError};
    use pelago_content::MAX_SIZE;

    // liar (offers the requested descriptor) <--- getter
    let descriptor = Descriptor::new(Kind::File, MAX_SIZE, [7; 32]).unwrap();
    let geometry = descriptor.geometry();
    let liar = Scripted::start(Script::claiming(descriptor, move |_, item| {
        let chunk = geometry.chunk(item.level, item.index).unwrap();
        let proof = vec![leaf(b"x"); pelago_content::proof_len(geometry, chunk)];
        let bytes = chunk.bytes(geometry);
        let data = vec![0; (bytes.end - bytes.start) as usize];
        let length = data.len() as u32;
        let answer = Answer::Data {
            descriptor,
            proof,
            length,
        };
        Act::Send(encoded(&answer, &data))
    }))
    .await;
    let getter = Home::start("getter").await;
    let before = peak_memory();
    let copy = pelago::Output::At(getter.path("copy"));
    let mut wanted = request(descriptor.hash(), copy, &[liar.address()]);
    wanted.timeout = std::time::Duration::from_millis(300);
    let download = getter.begin(wanted).await;

    let error = ended(&download).await.unwrap_err();

    assert!(
        matches!(*error, TransferError::NoSource { .. }),
        "{error:?}"
    );
    let status = download.status().borrow().clone();
    assert_eq!(status.state, DownloadState::Failed);
    assert_eq!(
        (status.size, status.verified_bytes),
        (Some(MAX_SIZE), Some(0))
    );
    let part = fs::metadata(getter.path("copy.part")).unwrap();
    assert_eq!((part.len(), part.blocks()), (0, 0));
    // A bit for each claimed block would take 8 GiB. Other tests of this process take memory as
    // well.
    let grown = peak_memory() - before;
    assert!(grown < 256 << 20, "{grown} bytes more");
}
