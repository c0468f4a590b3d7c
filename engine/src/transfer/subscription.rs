//! The availability stream: asks one peer which blocks of some content it has.
//!
//! The question does not contain the hash. Anything that does, such as a request for a chunk, is
//! sent only after the peer has proven on this stream that it has the hash. A question within a group
//! goes to its members only, and only an answer within that group counts.
//!
//! A peer that serves as many streams as it can resets the next one. That says nothing about the
//! content, so the question is soon repeated on the same connection.

use std::{io, ops::ControlFlow, time::Duration};

use libp2p::PeerId;
use pelago_behaviour::{
    FrameError, Protocol, Stall,
    availability::{self, Availability, Request, Update},
    chunk::WrongAnswer,
};
use pelago_content::{BlockRanges, Hash};
use tokio::time::sleep;

use super::source::End;
use crate::{
    access::Circle,
    network::{Network, Outgoing, StreamDemand},
};

/// The pause before the next stream after a peer refused one. Each further pause is twice as long:
/// the peer may not know yet that a stream of ours has just ended.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

/// After this many refusals in a row, the peer makes way for others.
pub(super) const MAX_REFUSED: u32 = 8;

/// How long a source keeps a stream at least while other downloads wait for one with this peer.
/// Long enough for the cost of opening a stream to be small.
const MIN_HOLD: Duration = Duration::from_secs(1);

/// The pause between an update and the next one. Peers that follow the protocol send four a second.
pub(super) const UPDATE_PAUSE: Duration = Duration::from_millis(100);

/// Why a peer is refused that says which blocks it has, but does not prove that it has the hash.
const UNPROVEN: &str = "it did not prove that it has the hash of what it offers";

/// An open availability stream to a peer that has proven that it has the hash.
pub(super) struct Subscription {
    pub(super) updates: Stall<Outgoing>,
    pub(super) demand: StreamDemand,
}

/// Asks `peer` which blocks of `hash` it has. Returns its first update, and the stream of the
/// further ones.
///
/// # Errors
/// [`End::Absent`] only if the peer says so, or answers outside the group of the circle;
/// [`End::NotAMember`] if it is not in the circle; [`End::Busy`] if it refuses each stream;
/// [`End::Dishonest`] if it says which blocks it has, but does not prove that it has the hash.
pub(super) async fn subscribe(
    network: &Network,
    peer: PeerId,
    hash: Hash,
    circle: &Circle,
    stall: Duration,
) -> Result<(Availability, Subscription), End> {
    let local = network.local_peer_id();
    let request = Request::new(&hash, &local, &peer).within(circle.group());
    for refused in 0..MAX_REFUSED {
        // Each time: the peer may have left the group.
        if !circle.has(&peer) {
            return Err(End::NotAMember);
        }
        let stream = network.open(peer, Protocol::Availability).await?;
        let demand = stream.held.demand();
        let mut updates = Stall::new(stream, stall);
        match first_update(&mut updates, &request).await {
            // A node that does not know groups answers outside them.
            Ok(Some(Update::Has(has))) if has.group != request.group => return Err(End::Absent),
            Ok(Some(Update::Has(has))) if has.descriptor.hash() == hash => {
                let proof = has.proof.filter(|proof| proof.shows(&hash, &peer, &local));
                if proof.is_none() {
                    return Err(End::Dishonest(UNPROVEN.to_owned()));
                }
                updates.disarm();
                return Ok((has, Subscription { updates, demand }));
            }
            Ok(Some(Update::Has(_))) => {
                return Err(End::Dishonest(WrongAnswer::Descriptor.to_string()));
            }
            Ok(Some(Update::Absent)) => return Err(End::Absent),
            // The stream ended before an answer.
            Ok(None) => {}
            Err(FrameError::Io(error)) if is_refusal(&error) => {}
            Err(error) => return Err(error.into()),
        }
        drop(updates);
        sleep(refused_pause(refused)).await;
    }
    Err(End::Busy)
}

/// Asks `peer` which blocks of `hash` it has, and passes what it states to `take`: all that it has,
/// and then what is new, for as long as `take` continues and no other request needs the stream.
/// Returns whether `take` ended it.
///
/// # Errors
/// Why the peer states nothing: it has none of it, proves nothing, or is gone.
pub async fn listen(
    network: &Network,
    peer: PeerId,
    hash: Hash,
    circle: &Circle,
    stall: Duration,
    mut take: impl FnMut(&BlockRanges) -> ControlFlow<()>,
) -> Result<bool, NotStated> {
    let subscribed = subscribe(network, peer, hash, circle, stall).await;
    let (has, mut subscription) = subscribed.map_err(|_| NotStated)?;
    if take(&has.blocks).is_break() {
        return Ok(true);
    }
    loop {
        sleep(UPDATE_PAUSE).await;
        let update = tokio::select! {
            update = availability::read_update(&mut subscription.updates) => update,
            () = hold(&mut subscription.demand) => return Ok(false),
        };
        match update {
            Ok(Some(Update::Has(has))) if has.descriptor.hash() == hash => {
                if take(&has.blocks).is_break() {
                    return Ok(true);
                }
            }
            _ => return Ok(false),
        }
    }
}

/// A peer does not state what it has of some content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotStated;

/// The first update of `peer` on `hash`; `None` if it says that it has nothing of it.
///
/// # Errors
/// As [`subscribe`].
pub(super) async fn ask(
    network: &Network,
    peer: PeerId,
    hash: Hash,
    circle: &Circle,
    stall: Duration,
) -> Result<Option<Availability>, End> {
    match subscribe(network, peer, hash, circle, stall).await {
        Ok((has, _)) => Ok(Some(has)),
        Err(End::Absent) => Ok(None),
        Err(end) => Err(end),
    }
}

async fn first_update(
    updates: &mut Stall<Outgoing>,
    request: &Request,
) -> Result<Option<Update>, FrameError> {
    availability::write_request(updates, request).await?;
    availability::read_update(updates).await
}

/// The pause after a refusal that follows `before` others.
pub(super) fn refused_pause(before: u32) -> Duration {
    REFUSED_PAUSE * 2_u32.pow(before.min(MAX_REFUSED))
}

/// Whether a stream that ended with `error` before it was useful was refused. A silent peer refuses
/// nothing; if the connection is gone, the next stream shows it.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::TimedOut
}

/// Waits until others wait for a stream, and this one was held for a moment.
pub(super) async fn hold(demand: &mut StreamDemand) {
    sleep(MIN_HOLD).await;
    demand.until_demanded().await;
}
