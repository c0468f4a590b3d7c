//! Sources that claim blocks in as many runs as possible take a bounded amount of memory.

use std::{fs, sync::Arc, time::Duration};

use pelago::{Descriptor, Kind, Output, PeerAddress};
use pelago_behaviour::{
    availability::{Availability, MAX_RUNS},
    chunk::Answer,
};
use pelago_content::{BLOCK_SIZE, BlockRanges};

use crate::{
    content::{Content, THREE_CHUNKS, encoded},
    nodes::{Home, in_time, request},
    scripted::{Act, Script, Scripted, having_all, update},
};

/// How many sources send scattered claims.
const SOURCES: usize = 24;

/// How many updates each of them sends, with 2048 runs and as many suggestions each.
const UPDATES: u64 = 60;

/// Bytes by which the memory of this process, with the node and the peers, may grow. All claims as
/// runs of blocks would take more than twice as much.
const MAY_GROW: u64 = 160 << 20;

/// How long the getter may take to read all updates.
const PATIENCE: Duration = Duration::from_secs(120);

/// An update that claims every second block of part `number` of the content.
fn scattered(descriptor: &Descriptor, number: u64) -> Vec<u8> {
    let runs = MAX_RUNS as u64;
    let parts = runs * number..runs * (number + 1);
    let blocks: BlockRanges = parts.map(|n| 2 * n..2 * n + 1).collect();
    update(Availability {
        suggested: blocks.clone(),
        blocks,
        ..Availability::none(*descriptor)
    })
}

/// The resident memory of this process in bytes.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let resident = pages.split(' ').nth(1).unwrap();
    resident.parse::<u64>().unwrap() * 4096
}

/// ```text
///   24 liars (each claims every second block, in 60 updates) <--- getter
/// ```
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_that_scatter_what_they_have_do_not_fill_the_memory() {
    let blocks = 2 * MAX_RUNS as u64 * UPDATES;
    let descriptor = Descriptor::new(Kind::File, blocks * BLOCK_SIZE, [7; 32]).unwrap();
    let others: Arc<[_]> = (1..UPDATES).map(|n| scattered(&descriptor, n)).collect();
    let mut liars = Vec::new();
    for _ in 0..SOURCES {
        let busy = |_, _| Act::Send(encoded(&Answer::Busy(Duration::from_secs(1)), &[]));
        let mut script = Script::claiming(descriptor, busy);
        let others = Arc::clone(&others);
        script.availability =
            Box::new(move |_| Act::SendAll(scattered(&descriptor, 0), Arc::clone(&others)));
        liars.push(Scripted::start(script).await);
    }
    let getter = Home::start("getter").await;
    let peers: Vec<PeerAddress> = liars.iter().map(Scripted::address).collect();
    let before = resident();

    let target = Output::At(getter.path("copy"));
    let mut wanted = request(descriptor.hash(), target, &peers);
    // No source sends a block, and the download must not end before all updates are read.
    wanted.timeout = 2 * PATIENCE;
    let download = getter.begin(wanted).await;
    for liar in &liars {
        let mut asked = liar.watch();
        let answered = asked.wait_for(|asked| asked.subscriptions_answered > 0);
        tokio::time::timeout(PATIENCE, answered)
            .await
            .expect("the node reads it")
            .unwrap();
    }

    let grown = resident().saturating_sub(before);
    assert!(grown < MAY_GROW, "{} MiB", grown >> 20);
    let cancelled = getter.node.cancel(&descriptor.hash().to_string()).await;
    cancelled.unwrap();
    drop(download);
}

/// ```text
///   liar (claims every second block) <--- getter ---> honest
/// ```
#[tokio::test]
async fn a_download_with_a_source_that_scatters_still_ends() {
    let content = Content::new(THREE_CHUNKS, 1);
    let descriptor = content.descriptor;
    let mut script = Script::honest(&content);
    let mut has = having_all(&descriptor);
    has.blocks = (0..20).map(|n| 2 * n..2 * n + 1).collect();
    has.suggested = has.blocks.clone();
    let first = update(has.clone());
    let others: Arc<[_]> = vec![first.clone(); 50].into();
    script.availability = Box::new(move |_| Act::SendAll(first.clone(), Arc::clone(&others)));
    let liar = Scripted::start(script).await;
    let honest = Scripted::start(Script::honest(&content)).await;
    let getter = Home::start("getter").await;
    let peers = [liar.address(), honest.address()];
    in_time(getter.fetch(&content, &peers)).await;
}
