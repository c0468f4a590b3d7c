//! Reads the catalogues of peers for downloads that wait for a source.
//!
//! One catalogue serves all of them. Nothing is read while no download waits, and each catalogue
//! counts towards the budget that all waiting downloads share. A peer is asked when it connects,
//! and again after pauses that double, so that content it shares later is found.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use tokio::{sync::broadcast::error::RecvError, time::sleep_until};

use super::{catalogues, core::NodeCore};
use crate::access::Circle;

/// The pause before a peer is asked again. Each further pause is twice as long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_secs(300);

/// When to ask which peer. Pure: the time is an argument. For each peer: when it is due, and the
/// pause after that.
#[derive(Default)]
struct Schedule(HashMap<PeerId, (Instant, Duration)>);

impl Schedule {
    /// Sets the connected peers: new ones are due now, and others are forgotten.
    fn connected(&mut self, peers: &[PeerId], now: Instant) {
        self.0.retain(|peer, _| peers.contains(peer));
        for peer in peers {
            self.0.entry(*peer).or_insert((now, FIRST_PAUSE));
        }
    }

    fn next(&self) -> Option<(Instant, PeerId)> {
        self.0.iter().map(|(peer, (due, _))| (*due, *peer)).min()
    }

    fn asked(&mut self, peer: &PeerId, now: Instant) {
        if let Some((due, pause)) = self.0.get_mut(peer) {
            *due = now + *pause;
            *pause = (*pause * 2).min(LAST_PAUSE);
        }
    }
}

/// Offers content in the catalogues of peers to downloads that wait, for as long as the node runs.
pub(super) async fn run(core: Arc<NodeCore>) {
    let mut waiters = core.transfers.waiters();
    loop {
        if waiters.wait_for(|waiting| *waiting > 0).await.is_err() {
            return;
        }
        let mut schedule = Schedule::default();
        let mut arrivals = core.network.arrivals();
        while *waiters.borrow_and_update() > 0 {
            let Ok(peers) = core.network.peers().await else {
                return;
            };
            let peers: Vec<_> = peers.into_iter().map(|peer| peer.peer_id).collect();
            schedule.connected(&peers, Instant::now());
            let (due, peer) = match schedule.next() {
                Some((due, peer)) => (due, Some(peer)),
                None => (Instant::now() + LAST_PAUSE, None),
            };
            tokio::select! {
                () = sleep_until(due.into()) => {
                    if let Some(peer) = peer {
                        core.transfers.may_list().await;
                        schedule.asked(&peer, Instant::now());
                        offer_listed(&core, peer).await;
                    }
                }
                arrived = arrivals.recv() => if let Err(RecvError::Closed) = arrived {
                    return;
                },
                changed = waiters.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }
}

/// Reads the catalogues of a peer: of each group in which downloads wait and that it is in, and the
/// one for everyone if others wait. Downloads that wait for content in one resume.
async fn offer_listed(core: &NodeCore, peer: PeerId) {
    let waiting = core.transfers.waiting();
    let groups: BTreeSet<_> = waiting.iter().map(|(_, group)| *group).collect();
    for group in groups {
        if !Circle::of(group, &core.memberships).has(&peer) {
            continue;
        }
        let take = |hash| {
            if waiting.contains(&(hash, group)) {
                core.transfers.offer_listed(&hash, group, peer);
            }
        };
        if let Err(error) = catalogues::of_connected(&core.network, peer, group, take).await {
            tracing::debug!(%peer, error, "the catalogue is missing or incomplete");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_asked_when_it_connects_and_then_less_and_less_often() {
        let ([first, second], start) = ([PeerId::random(), PeerId::random()], Instant::now());
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(), None);
        schedule.connected(&[first], start);
        let mut asked = Vec::new();
        let mut now = start;
        for _ in 0..8 {
            let (due, peer) = schedule.next().unwrap();
            now = due;
            schedule.connected(&[first], now);
            schedule.asked(&peer, now);
            asked.push((now - start).as_secs());
        }
        assert_eq!(asked, [0, 5, 15, 35, 75, 155, 315, 615]);
        schedule.connected(&[first, second], now);
        assert_eq!(schedule.next(), Some((now, second)));
        // A peer that disconnected and came back is asked again.
        schedule.connected(&[second], now);
        schedule.asked(&second, now);
        schedule.connected(&[first, second], now);
        assert_eq!(schedule.next(), Some((now, first)));
    }
}
