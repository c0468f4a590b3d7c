//! Finds out what content is and which peers have it, before any of it is downloaded.
//!
//! Asks the peers that a download would ask, and reads the first update of each; of a folder also
//! its top manifest, if that is one small chunk. An update is only a claim: a peer counts if it
//! sends a node of the content with its proof.

use std::{collections::BTreeMap, time::Duration};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use libp2p::PeerId;
use pelago_behaviour::{
    Protocol, Stall,
    availability::Availability,
    chunk::{self, Answer, Item},
};
use pelago_content::{
    BLOCK_SIZE, Descriptor, EntryKind, Hash, Kind, Manifest, STORED_LEVEL, verify, verify_node,
};
use thiserror::Error;
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    outcomes::Outcomes,
    receiving::{Inflow, receive},
    roster::describe,
    services::members_of,
    source::End,
    subscription,
};
use crate::{
    access::Circle,
    limits::Limits,
    network::{Candidate, Discovery, Network, PeerAddress, Settling, steady_pace},
};

/// The maximum number of peers that are asked at a time.
const ASKED_AT_A_TIME: usize = 16;

/// How long one peer may take to answer.
const PEER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long further holders are awaited after the first one.
const GATHERING: Duration = Duration::from_secs(1);

/// Why a peer does not count that says it has the content.
const UNPROVEN: &str = "it claims to have it, but sent none of it";

/// The maximum number of holders that are asked for a folder's manifest, one after another, while
/// the user waits.
const ASKED_FOR_MANIFEST: usize = 3;

/// Facts about content before it is downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Kind, size and root of the content.
    pub descriptor: Descriptor,
    /// The name that a peer gives it. Untrusted.
    pub name: Option<String>,
    /// Its size; `None` for a folder whose size is not cheap to find out.
    pub totals: Option<Totals>,
    /// The peers that have it, or some of it, with the number of bytes.
    pub holders: Vec<(PeerId, u64)>,
}

/// The size of content. For a folder it is a claim of those who made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes in all files.
    pub bytes: u64,
    /// The number of files.
    pub files: u64,
    /// The number of sub-folders directly in it; `None` if its manifest was not read.
    pub subfolders: Option<u64>,
}

/// No peer that was asked has the content.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{tried}")]
pub struct NoHolder {
    /// Which peers were asked, with the outcomes.
    pub tried: String,
    /// How long the search lasted.
    pub after: Duration,
}

/// How long to look for the first holder.
#[derive(Clone, Copy, Debug)]
pub struct OpenPatience {
    /// How long at most.
    pub timeout: Duration,
    /// Whether to end as soon as all peers in reach were asked in vain, and 3 s have passed.
    pub gives_up: bool,
}

/// Asks `given` peers in the circle for `hash`, and all that discovery finds there. Ends a moment after the first
/// holder, or after `patience`.
///
/// # Errors
/// [`NoHolder`].
pub async fn open(
    network: &Network,
    limits: &Limits,
    hash: Hash,
    circle: &Circle,
    given: Vec<PeerAddress>,
    patience: OpenPatience,
) -> Result<Opened, NoHolder> {
    let (found, no_holder) = gather(network, hash, circle, given, patience).await;
    let Some(first) = found.values().next() else {
        return Err(no_holder);
    };
    let (descriptor, name) = (
        first.descriptor,
        found.values().find_map(|has| has.name.clone()),
    );
    let totals = match descriptor.kind() {
        Kind::File => Some(Totals {
            bytes: descriptor.size(),
            files: 1,
            subfolders: None,
        }),
        Kind::Folder => {
            let peers = found.keys().copied().take(ASKED_FOR_MANIFEST);
            folder_totals(network, limits, &descriptor, peers).await
        }
    };
    let max_bytes = totals.map_or(u64::MAX, |totals| totals.bytes);
    let holder = |(peer, has): (PeerId, Availability)| {
        let bytes = has.blocks.len().saturating_mul(BLOCK_SIZE);
        (peer, bytes.min(max_bytes))
    };
    Ok(Opened {
        descriptor,
        name,
        totals,
        holders: found.into_iter().map(holder).collect(),
    })
}

/// The peers that have some of `hash`, and the outcomes of asking others.
async fn gather(
    network: &Network,
    hash: Hash,
    circle: &Circle,
    given: Vec<PeerAddress>,
    patience: OpenPatience,
) -> (BTreeMap<PeerId, Availability>, NoHolder) {
    let (among, pace) = (
        members_of(circle.clone()),
        Box::new(|| steady_pace().boxed()),
    );
    let mut discovery = Discovery::find(network, hash, given, among, pace);
    let mut answers = FuturesUnordered::new();
    let (mut found, mut outcomes) = (BTreeMap::new(), Outcomes::default());
    let begun = Instant::now();
    let mut until = begun + patience.timeout;
    let mut settling = patience.gives_up.then(|| network.settling());
    loop {
        tokio::select! {
            Some(candidate) = discovery.next(), if answers.len() < ASKED_AT_A_TIME => {
                answers.push(ask(network, hash, circle, candidate));
            }
            Some(answer) = answers.next() => match answer {
                Ok((peer, has)) => {
                    found.insert(peer, has);
                    until = until.min(Instant::now() + GATHERING);
                }
                Err((who, end)) => outcomes.record(who, &end),
            },
            () = sleep_until(until) => break,
            () = Settling::settled(&mut settling), if answers.is_empty() => break,
        }
    }
    let tried = outcomes.summary(answers.len(), 0);
    let after = begun.elapsed();
    (found, NoHolder { tried, after })
}

/// The first update of a candidate that sends a node which proves it.
///
/// # Errors
/// The candidate, and why it is not a holder.
async fn ask(
    network: &Network,
    hash: Hash,
    circle: &Circle,
    candidate: Candidate,
) -> Result<(PeerId, Availability), (String, End)> {
    let unreached = describe(&candidate, candidate.peer);
    let silent = || format!("it did not answer within {} s", PEER_TIMEOUT.as_secs());
    let connected = match timeout(PEER_TIMEOUT, network.reach(candidate)).await {
        Ok(connected) => connected.map_err(|error| error.to_string()),
        Err(_) => Err(silent()),
    };
    let peer = connected.map_err(|why| (unreached, End::Unreachable(why)))?;
    let answer = async {
        let (has, _) = subscription::subscribe(network, peer, hash, circle, PEER_TIMEOUT).await?;
        match prove(network, peer, &has).await {
            Some(()) => Ok(has),
            None => Err(End::Refused(UNPROVEN.to_owned())),
        }
    };
    let answered = timeout(PEER_TIMEOUT, answer).await;
    let answered = answered.unwrap_or_else(|_| Err(End::Lost(silent())));
    // A peer counts once, whichever addresses it was reached at.
    answered
        .map(|has| (peer, has))
        .map_err(|end| (peer.to_string(), end))
}

/// Requests a node of what a peer says it has; `None` if it does not send one with its proof. A
/// peer that has only a part is asked for the first block of that part. For a folder, its manifest
/// is requested.
async fn prove(network: &Network, peer: PeerId, has: &Availability) -> Option<()> {
    let descriptor = has.descriptor;
    let geometry = descriptor.geometry();
    let is_whole = descriptor.kind() == Kind::Folder || has.blocks.len() >= geometry.blocks();
    let (level, block) = match has.blocks.iter().next() {
        Some(first) if !is_whole => (0, first.start),
        _ => (STORED_LEVEL, 0),
    };
    let chunk = geometry.chunk_of_block(level, block).ok()?;
    let item = Item {
        hash: descriptor.hash(),
        level: chunk.level(),
        index: chunk.index(),
        data: false,
    };
    let stream = network.open(peer, Protocol::Chunk).await.ok()?;
    let mut stream = Stall::new(stream, PEER_TIMEOUT);
    chunk::write_request(&mut stream, &[item]).await.ok()?;
    let answer = chunk::read_answer(&mut stream).await.ok()?;
    answer.check(&item).ok()?;
    match answer {
        Answer::Node { proof, node, .. } => verify_node(&descriptor, chunk, node, &proof).ok(),
        _ => None,
    }
}

/// The size of a folder by its top manifest; `None` if that is larger than a chunk.
async fn folder_totals(
    network: &Network,
    limits: &Limits,
    folder: &Descriptor,
    holders: impl Iterator<Item = PeerId>,
) -> Option<Totals> {
    if folder.size() > BLOCK_SIZE << STORED_LEVEL {
        return None;
    }
    for peer in holders {
        let manifest = timeout(PEER_TIMEOUT, fetch(network, limits, folder, peer)).await;
        if let Ok(Some(manifest)) = manifest {
            return Some(Totals::of(&manifest));
        }
    }
    None
}

/// The verified manifest; `None` if `peer` does not send it.
async fn fetch(
    network: &Network,
    limits: &Limits,
    folder: &Descriptor,
    peer: PeerId,
) -> Option<Manifest> {
    let item = Item {
        hash: folder.hash(),
        level: STORED_LEVEL,
        index: 0,
        data: true,
    };
    let stream = network.open(peer, Protocol::Chunk).await.ok()?;
    let mut stream = Stall::new(stream, PEER_TIMEOUT);
    chunk::write_request(&mut stream, &[item]).await.ok()?;
    let answer = chunk::read_answer(&mut stream).await.ok()?;
    answer.check(&item).ok()?;
    let Answer::Data { proof, length, .. } = answer else {
        return None;
    };
    let mut data = vec![0; length as usize];
    let inflow = Inflow::default();
    receive(limits, &inflow, peer, &mut stream, &mut data)
        .await
        .ok()?;
    network.traffic().received(peer, length.into());
    let chunk = folder.geometry().chunk(item.level, item.index).ok()?;
    verify(folder, chunk, &data, &proof).ok()?;
    Manifest::from_bytes(&data).ok()
}

impl Totals {
    /// The totals by the manifest of the folder.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let (mut totals, mut subfolders) = (Self::default(), 0);
        for entry in manifest.entries() {
            let (bytes, files) = match &entry.kind {
                EntryKind::File { descriptor, .. } => (descriptor.size(), 1),
                EntryKind::Folder { bytes, files, .. } => {
                    subfolders += 1;
                    (*bytes, *files)
                }
                EntryKind::Symlink { .. } => (0, 0),
            };
            totals.bytes = totals.bytes.saturating_add(bytes);
            totals.files = totals.files.saturating_add(files);
        }
        Self {
            subfolders: Some(subfolders),
            ..totals
        }
    }
}
