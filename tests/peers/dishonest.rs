//! Peers that send wrong data: each is detected and dropped, and the file comes from another.
//!
//! ```text
//!          1. wrong answer           2. right answer
//!   liar <---------------- getter ----------------> honest
//!     ^                      |
//!     +----- 3. never again -+     the liar listens at two addresses, and is met again
//! ```

use std::{fs, ops::RangeInclusive};

use pelago::content::{Descriptor, Kind, leaf, padding};
use pelago_behaviour::chunk::{Answer, Item};

use crate::{
    content::{Content, THREE_CHUNKS, encoded, two_leaves},
    nodes::{Home, assert_same, ended, request},
    scripted::{Act, Script, Scripted},
};

/// Chunk streams to a liar whose answers are wrong for any content.
const AT_ONCE: RangeInclusive<usize> = 1..=1;

/// Chunk streams to a liar whose data fails its proof: one more, for the question that follows.
const AFTER_A_QUESTION: RangeInclusive<usize> = 2..=2;

/// The same where only some proofs have the right length. Chance decides which is requested first.
const UP_TO_CHANCE: RangeInclusive<usize> = 1..=2;

/// Starts a liar with `script`; `content` has to come from another peer, with the liar asked for
/// chunks on `streams` streams in total.
async fn is_found_out(content: &Content, script: Script, streams: RangeInclusive<usize>) {
    let liar = Scripted::start(script).await;
    let honest = Home::start("honest").await;
    honest.share("original", content).await;
    let getter = Home::asking_one_at_a_time("getter").await;

    // Asked in this order: the liar, the liar again, the honest one.
    let peers = [liar.address(), honest.address().await, liar.other_address()];
    let finished = getter.fetch(content, &peers).await;

    assert_eq!(finished.sources, 1, "only one peer told the truth");
    let honestly = getter.received_from(&honest).await;
    assert_eq!(honestly, content.descriptor.size());
    let asked = liar.asked();
    assert!(streams.contains(&asked.chunk_streams), "{asked:?}");
}

/// Every chunk is answered with what `forge` makes of the true answer and its data.
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
    // All else is true: the bytes, and their proof.
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

    // Offered under its own descriptor, immediately or with the first chunk.
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
    let told = offer.clone();
    let at_once = Script::claiming(twin, move |_, _| told(twin));
    is_found_out(&original, at_once, 0..=0).await;
    let told = offer.clone();
    let later = Script::claiming(original.descriptor, move |_, _| told(twin));
    is_found_out(&original, later, AT_ONCE).await;
    // Offered under the true descriptor: the length gives it away.
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
    // The last chunk has a neighbour wholly past the end, whose node has no place in a proof.
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
        // It begins as it should, and never ends.
        Act::SendForever(truth.truth(&item))
    });
    is_found_out_after_one_chunk(&content, script).await;
}

/// Like [`is_found_out`], of a liar whose first chunk is true.
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
    // source (closes in the midst of its first answer) <--- getter: it is the only source
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
    // liar <--- getter: it is the only source
    let liar = Scripted::start(Script::claiming(content.descriptor, move |_, item| {
        Act::SendForever(truth.truth(&item))
    }))
    .await;
    let getter = Home::start("getter").await;
    getter.fetch(&content, &[liar.address()]).await;
}

#[tokio::test]
async fn a_lie_costs_nothing_of_what_was_proven_before() {
    // liar (two chunks, then wrong data) <--- getter ---> honest: asked for the third chunk only
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
    // liar <--- getter, which gives up; later: getter ---> honest
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
    let copy = pelago::node::Output::At(getter.path("copy"));
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

/// Bytes of memory that this process has at most held so far.
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

    use pelago::{
        content::MAX_SIZE,
        transfer::{DownloadError, DownloadState},
    };

    // liar (its descriptor is what is asked for) <--- getter
    let descriptor = Descriptor::new(Kind::File, MAX_SIZE, [7; 32]).unwrap();
    let geometry = descriptor.geometry();
    let liar = Scripted::start(Script::claiming(descriptor, move |_, item| {
        let chunk = geometry.chunk(item.level, item.index).unwrap();
        let proof = vec![leaf(b"x"); pelago::content::proof_len(geometry, chunk)];
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
    let copy = pelago::node::Output::At(getter.path("copy"));
    let mut wanted = request(descriptor.hash(), copy, &[liar.address()]);
    wanted.timeout = std::time::Duration::from_millis(300);
    let download = getter.begin(wanted).await;

    let error = ended(&download).await.unwrap_err();

    assert!(
        matches!(*error, DownloadError::NoSource { .. }),
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
    // A bit for each claimed block would be 8 GiB. What else there is, other tests take meanwhile.
    let grown = peak_memory() - before;
    assert!(grown < 256 << 20, "{grown} bytes more");
}
