//! Peers that request much and read nothing: the node still serves others.
//!
//! ```text
//!   48 slow peers ===> server <--- honest        the slow peers hold all buffers
//! ```

use pelago::Hash;
use pelago_behaviour::{Protocol, chunk, streams::Outbound};

use crate::{
    content::Content,
    nodes::in_time,
    raw::Client,
    serving::{MEBIBYTE, item, serving, still_serves},
};

/// How many peers read nothing.
pub(crate) const SLOW: usize = 48;

/// How many chunks each peer requests: more than the 4 MiB that it may have at a time.
pub(crate) const REQUESTS: u64 = 16;

/// Requests far more than may be buffered, and reads nothing.
pub(crate) async fn ask_for_much(slow: &Client, hash: Hash) -> Outbound {
    let mut stream = slow.open(Protocol::Chunk).await;
    for n in 0..REQUESTS {
        let wanted = item(hash, chunk::MAX_LEVEL, n % 2);
        in_time(chunk::write_request(&mut stream, &[wanted]))
            .await
            .unwrap();
    }
    stream
}

#[tokio::test]
async fn many_that_take_nothing_do_not_keep_an_honest_peer_waiting() {
    let content = Content::new(8 * MEBIBYTE, 1);
    let server = serving(&content).await;
    let mut held = Vec::new();
    for _ in 0..SLOW {
        let slow = Client::connect(&server).await;
        let stream = ask_for_much(&slow, content.hash()).await;
        held.push((slow, stream));
    }
    // The slow peers hold all buffers that new peers may have.
    in_time(async {
        while server.counted("pelago_serve_unsent_waiting").await == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(server.counted("pelago_serve_unsent_bytes").await <= 64 * MEBIBYTE);

    still_serves(&server, &content).await;
}

#[tokio::test]
async fn many_that_ask_without_end_do_not_keep_an_honest_peer_waiting() {
    let content = Content::new(8 * MEBIBYTE, 1);
    let server = serving(&content).await;
    let mut asking = Vec::new();
    for _ in 0..SLOW / 4 {
        let greedy = Client::connect(&server).await;
        let mut stream = greedy.open(Protocol::Chunk).await;
        let hash = content.hash();
        // Proofs of blocks, for which the node has to read and hash, as fast as peers can request
        // them.
        asking.push(tokio::spawn(async move {
            let _connected = greedy;
            for n in 0.. {
                let wanted = chunk::Item {
                    data: false,
                    ..item(hash, 0, n % 512)
                };
                if chunk::write_request(&mut stream, &[wanted]).await.is_err()
                    || chunk::read_answer(&mut stream).await.is_err()
                {
                    return;
                }
            }
        }));
    }

    still_serves(&server, &content).await;
    asking.iter().for_each(tokio::task::JoinHandle::abort);
}
