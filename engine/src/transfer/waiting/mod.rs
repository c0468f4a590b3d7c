//! A download that waits for a source, and holds no stream, no file and no turn meanwhile.
//!
//! It waits until the user stops it, until a peer with the content connects, asks for the same
//! content, lists it, has a provider record, or is named by the user, or until this node shares the
//! content. [`Inquiries`] decides what it
//! asks, and when; all waiting downloads of a node share one [`InquiryBudget`].

mod attached;
mod budget;
mod inquiries;

use std::time::{Duration, Instant};

use futures::{FutureExt, future::BoxFuture};
use libp2p::PeerId;
use rand::seq::SliceRandom as _;
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc, watch,
    },
    time::{sleep_until, timeout},
};

pub(super) use self::attached::{AttachedWait, MAX_ATTACHED};
pub(super) use self::budget::{InquiryBudget, InquiryKind};
pub(super) use self::inquiries::Inquiries;
use self::inquiries::Inquiry;
use super::{Wanted, subscription::ask};
use crate::{
    access::Circle,
    network::{Network, PeerAddress},
};

/// How long one inquiry may take.
const INQUIRY_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum number of providers, or of members of a group, that are asked after one look-up.
const MAX_PROVIDERS: usize = 16;

/// A hint at a source of a download.
#[derive(Clone, Debug)]
pub(super) enum Offer {
    /// This peer asked for the same content, so it has some of it or soon will.
    Asked(PeerId),
    /// This peer lists the content.
    Listed(PeerId),
    /// The user named this peer.
    Named(PeerAddress),
    /// This node shares all of the content now.
    Own,
}

/// A source of a download that waited for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundSource {
    /// This peer says that it has the content.
    Peer(PeerId),
    /// This node shares it.
    Own,
}

/// The number of downloads that wait for a source. A handle: clones share it.
#[derive(Clone, Default)]
pub(super) struct Waiters(watch::Sender<usize>);

/// Counts as a waiting download until it is dropped.
pub(super) struct Waiter(Waiters);

impl Waiters {
    pub(super) fn enter(&self) -> Waiter {
        self.0.send_modify(|waiting| *waiting += 1);
        Waiter(self.clone())
    }

    pub(super) fn count(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.0.send_modify(|waiting| *waiting -= 1);
    }
}

/// The search of one download for a source.
pub(super) struct SourceSearch<'a> {
    pub(super) circle: &'a Circle,
    pub(super) network: &'a Network,
    pub(super) budget: &'a InquiryBudget,
    pub(super) wanted: &'a Wanted,
    /// How long a peer may be silent.
    pub(super) stall: Duration,
}

/// The outcome of an inquiry.
struct Answer {
    inquiry: Inquiry,
    /// Peers that may have the content.
    providers: Vec<PeerId>,
    /// A peer that says that it has the content.
    found: Option<PeerId>,
}

impl SourceSearch<'_> {
    /// Waits until a peer says that it has the content, or this node shares it. Peers that connect
    /// are in `arrivals`.
    pub(super) async fn found(
        &self,
        inquiries: &mut Inquiries,
        offers: &mut mpsc::Receiver<Offer>,
        mut arrivals: broadcast::Receiver<PeerId>,
    ) -> FoundSource {
        let mut running: Option<BoxFuture<'_, Answer>> = None;
        loop {
            let (due, inquiry) = inquiries.next();
            let is_running = running.is_some();
            let answered = async {
                match &mut running {
                    Some(running) => running.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                answer = answered => {
                    running = None;
                    let now = Instant::now();
                    inquiries.asked(&answer.inquiry, now);
                    if let Some(peer) = answer.found {
                        return FoundSource::Peer(peer);
                    }
                    for peer in answer.providers.into_iter().filter(|peer| self.may_ask(peer)) {
                        inquiries.turned_up(peer, now);
                    }
                }
                arrived = arrivals.recv() => match arrived {
                    Ok(peer) if self.may_ask(&peer) => inquiries.turned_up(peer, Instant::now()),
                    // A peer whose arrival was missed has a record, or lists the content.
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    // The node shuts down, and this task with it.
                    Err(RecvError::Closed) => std::future::pending().await,
                },
                Some(offer) = offers.recv() => {
                    let now = Instant::now();
                    match offer {
                        Offer::Named(address) => inquiries.name(address, now),
                        Offer::Asked(peer) if self.may_ask(&peer) => inquiries.turned_up(peer, now),
                        Offer::Listed(peer)
                            if self.may_ask(&peer) && inquiries.believes(peer, now) =>
                        {
                            return FoundSource::Peer(peer);
                        }
                        Offer::Own => return FoundSource::Own,
                        Offer::Asked(_) | Offer::Listed(_) => {}
                    }
                }
                () = sleep_until(due.into()), if !is_running => {
                    running = Some(self.inquire(inquiry).boxed());
                }
            }
        }
    }

    fn may_ask(&self, peer: &PeerId) -> bool {
        let allowed = self.wanted.allowed.as_ref();
        *peer != self.network.local_peer_id()
            && self.circle.has(peer)
            && allowed.is_none_or(|allowed| allowed.contains(peer))
    }

    /// Makes one inquiry, when the budget grants it.
    async fn inquire(&self, inquiry: Inquiry) -> Answer {
        let kind = match &inquiry {
            Inquiry::LookUp => InquiryKind::LookUp,
            Inquiry::Named(_) | Inquiry::Peer(_) => InquiryKind::Question,
        };
        self.budget.permit(kind).await;
        let (mut providers, mut found) = (Vec::new(), None);
        let ask = async {
            match &inquiry {
                Inquiry::LookUp => self.look_up(&mut providers).await,
                Inquiry::Named(address) => {
                    let at = vec![address.address().clone()];
                    found = self.ask(address.peer(), at).await;
                }
                Inquiry::Peer(peer) => found = self.ask(Some(*peer), Vec::new()).await,
            }
        };
        // An inquiry that takes too long is in vain.
        let _ = timeout(INQUIRY_TIMEOUT, ask).await;
        Answer {
            inquiry,
            providers,
            found,
        }
    }

    async fn look_up(&self, providers: &mut Vec<PeerId>) {
        if let Some(mut members) = self.circle.members() {
            members.shuffle(&mut rand::rng());
            providers.extend(members.into_iter().take(MAX_PROVIDERS));
            return;
        }
        if let Ok(mut found) = self.network.find_providers(self.wanted.hash).await {
            while let Some(peer) = found.recv().await {
                providers.push(peer);
                if providers.len() >= MAX_PROVIDERS {
                    return;
                }
            }
        }
    }

    /// The peer, if it says that it has some of the content.
    async fn ask(&self, peer: Option<PeerId>, at: Vec<libp2p::Multiaddr>) -> Option<PeerId> {
        let connected = self.network.connect(peer, at).await.ok()?;
        if !self.may_ask(&connected) {
            return None;
        }
        let (hash, stall) = (self.wanted.hash, self.stall);
        let has = ask(self.network, connected, hash, self.circle, stall)
            .await
            .ok()?;
        has.map(|_| connected)
    }
}
