//! Asks members to admit the user of this node.

use futures::{StreamExt, stream};
use libp2p::PeerId;
use pelago_behaviour::group::JoinOutcome;
use pelago_groups::{GroupId, JoinRequest};
use tokio::task::spawn_blocking;

use super::{
    ask::{AskError, Conversation, within},
    handle::{Groups, peers_of},
    own_join::{JoinStatus, OwnJoin},
    pace::Exchange,
};
use crate::{
    network::{Network, PeerAddress},
    store::DatabaseError,
};

/// Members that get the request of a user.
const MEMBERS: usize = 3;

/// Peers that are tried for that.
const TRIED: usize = 32;

/// Peers that are tried at a time.
const AT_A_TIME: usize = 4;

impl Groups {
    /// Hands the request of the user of this node to members, and notes how it stands.
    pub async fn ask_members(&self, network: &Network, id: GroupId) {
        if let Err(error) = ask(self, network, id).await {
            tracing::debug!(group = %id, %error, "a request to join failed");
        }
    }
}

/// Hands the request of the user of this node to up to three members, and notes how it stands.
///
/// # Errors
/// The database failed, or the node is shutting down.
async fn ask(groups: &Groups, network: &Network, id: GroupId) -> Result<(), AskError> {
    let Some(group) = groups.get(&id) else {
        return Ok(());
    };
    let Some(own) = group.own_join().filter(|own| own.status.is_sent()) else {
        return Ok(());
    };
    // A user who belonged to the group before may know more members than the link does.
    let known = peers_of(&group).filter(|peer| *peer != groups.local());
    let known = known.map(|peer| (Some(peer), None));
    let candidates: Vec<_> = named(own).chain(known).take(TRIED).collect();
    let asked = stream::iter(candidates).map(|(peer, address)| {
        let join = &own.join;
        async move {
            let asked = ask_one(groups, network, peer, address, id, join).await;
            asked
                .inspect_err(|error| tracing::debug!(%error, "a member did not answer"))
                .ok()?
        }
    });
    let answers = asked
        .buffer_unordered(AT_A_TIME)
        .filter_map(std::future::ready);
    let outcomes: Vec<_> = answers.take(MEMBERS).collect().await;
    note(groups, id, own.join.clone(), &outcomes).await
}

/// The addresses in the link.
fn named(own: &OwnJoin) -> impl Iterator<Item = (Option<PeerId>, Option<PeerAddress>)> {
    let addresses = own
        .peers
        .iter()
        .filter_map(|text| text.parse::<PeerAddress>().ok());
    addresses.map(|address| (address.peer(), Some(address)))
}

async fn ask_one(
    groups: &Groups,
    network: &Network,
    peer: Option<PeerId>,
    address: Option<PeerAddress>,
    id: GroupId,
    join: &JoinRequest,
) -> Result<Option<JoinOutcome>, AskError> {
    let addresses = address
        .iter()
        .map(|address| address.address().clone())
        .collect();
    let peer = match network.connect(peer, addresses).await {
        Ok(peer) => peer,
        Err(error) => {
            tracing::debug!(?peer, %error, "a member was not reached");
            return Ok(None);
        }
    };
    let mut conversation = Conversation::open(groups, network, peer, &Exchange::default()).await?;
    within(conversation.join(id, join, None)).await
}

/// Notes how the request stands. Only what proves it makes the user a member, so a peer can do no more
/// than deny.
async fn note(
    groups: &Groups,
    id: GroupId,
    join: JoinRequest,
    outcomes: &[JoinOutcome],
) -> Result<(), AskError> {
    let (groups, status) = (groups.clone(), status(outcomes));
    let is_told = !outcomes.is_empty();
    let noting = spawn_blocking(move || {
        groups.change(id, None, |group| {
            match group.join.as_mut().filter(|own| own.join == join) {
                Some(own) if own.status.is_pending() => own.status = status,
                // A member has it, and passes it on.
                Some(own) if own.status.is_sent() && is_told => group.join = None,
                _ => {}
            }
            Ok::<_, DatabaseError>(())
        })
    });
    Ok(noting.await.map_err(|_| AskError::Ending)??)
}

/// What follows from the answers of several members: one who knows nothing better is not believed.
fn status(outcomes: &[JoinOutcome]) -> JoinStatus {
    let refused = outcomes.iter().find_map(|outcome| match outcome {
        JoinOutcome::Rejected => Some(JoinStatus::Rejected),
        JoinOutcome::Revoked => Some(JoinStatus::Revoked),
        JoinOutcome::Used => Some(JoinStatus::Used),
        JoinOutcome::Pending | JoinOutcome::Accepted | JoinOutcome::Full => None,
    });
    let has = |outcome| outcomes.contains(&outcome);
    match refused {
        Some(refused) if !has(JoinOutcome::Pending) && !has(JoinOutcome::Accepted) => refused,
        _ if has(JoinOutcome::Full) => JoinStatus::Full,
        _ => JoinStatus::Pending,
    }
}
