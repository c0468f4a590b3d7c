//! At which relays this node reserves a place.
//!
//! Relays are ordinary nodes. Of those that offer it, the ones nearest to this node's id are asked:
//! a peer that knows nothing but the id looks there. Two are held, from different sites, so that one
//! failure leaves one.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId, core::transport::ListenerId, kad::KBucketKey, multiaddr::Protocol,
};
use pelago_behaviour::Origin;

/// Relays to hold.
const WANTED: usize = 2;

/// Nodes that offer to be a relay to remember, at most: connected peers, the first ones.
const MAX_OFFERS: usize = 256;

/// Relays by which a peer is sought whose addresses are unknown, at most. It has reserved at two of
/// the nearest ones.
const MAX_TRIED: usize = 6;

/// The pause after the first refusal; each further one is twice as long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_secs(600);

/// Failures in a row after which a node is forgotten; it offers again if it is connected.
const MAX_FAILURES: u32 = 16;

/// A connected node that offers to be a relay.
struct Offer {
    /// Where this node has reached it.
    address: Multiaddr,
    origin: Origin,
    /// The reservation, or the request for one.
    held: Option<Held>,
    /// Whether it was dialed over UDP.
    is_tried_over_udp: bool,
    failures: u32,
    /// When it may be asked.
    due: Instant,
}

struct Held {
    listener: ListenerId,
    is_accepted: bool,
}

/// The relays of one node.
pub(in crate::network) struct Relays {
    local: KBucketKey<PeerId>,
    offers: HashMap<PeerId, Offer>,
}

impl Relays {
    pub(in crate::network) fn new(local: PeerId) -> Self {
        Self {
            local: local.into(),
            offers: HashMap::new(),
        }
    }

    /// `peer`, which this node has reached at `address`, offers to be a relay.
    pub(in crate::network) fn offered(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        if let Some(known) = self.offers.get_mut(&peer) {
            known.origin = Origin::new(peer, &address);
            known.address = address;
        } else if self.offers.len() < MAX_OFFERS {
            let offer = Offer {
                origin: Origin::new(peer, &address),
                address,
                held: None,
                is_tried_over_udp: false,
                failures: 0,
                due: now,
            };
            self.offers.insert(peer, offer);
        }
    }

    /// Whether to dial the relay `peer` over UDP: once, as it shows to which port a router changes
    /// the one of this node.
    pub(in crate::network) fn try_over_udp(&mut self, peer: &PeerId) -> bool {
        let offer = self.offers.get_mut(peer);
        offer.is_some_and(|offer| !std::mem::replace(&mut offer.is_tried_over_udp, true))
    }

    /// `peer` does not offer it any more, or is not connected. A reservation at it ends with an event.
    pub(in crate::network) fn withdrawn(&mut self, peer: &PeerId) {
        if self
            .offers
            .get(peer)
            .is_some_and(|offer| offer.held.is_none())
        {
            self.offers.remove(peer);
        }
    }

    /// The next relay to ask, with the address to listen at; `None` if there are enough, or if none may be asked
    /// now.
    pub(in crate::network) fn next(&self, now: Instant) -> Option<(PeerId, Multiaddr)> {
        if self.is_satisfied() {
            return None;
        }
        let due = self.free().filter(|(_, offer)| offer.due <= now);
        let nearest = due.min_by_key(|(peer, _)| self.local.distance(&KBucketKey::from(**peer)));
        nearest.map(|(peer, offer)| (*peer, circuit(*peer, &offer.address)))
    }

    /// Addresses of `peer` through the relays at which it may have reserved: those nearest to it.
    pub(in crate::network) fn circuits_to(&self, peer: PeerId) -> Vec<(PeerId, Multiaddr)> {
        let key = KBucketKey::from(peer);
        let mut offers: Vec<_> = self.offers.iter().collect();
        offers.sort_by_key(|(relay, _)| key.distance(&KBucketKey::from(**relay)));
        let nearest = offers.into_iter().take(MAX_TRIED);
        let through = nearest.map(|(relay, offer)| (*relay, circuit(*relay, &offer.address)));
        through.collect()
    }

    /// When [`next`](Self::next) may have another answer.
    pub(in crate::network) fn due(&self) -> Option<Instant> {
        if self.is_satisfied() {
            return None;
        }
        self.free().map(|(_, offer)| offer.due).min()
    }

    /// `peer` was asked; `listener` stands for the reservation.
    pub(in crate::network) fn asked(&mut self, peer: PeerId, listener: ListenerId) {
        if let Some(offer) = self.offers.get_mut(&peer) {
            offer.held = Some(Held {
                listener,
                is_accepted: false,
            });
        }
    }

    /// The reservation was made.
    pub(in crate::network) fn accepted(&mut self, listener: ListenerId) {
        let mut offers = self.offers.values_mut();
        let offer = offers.find(|offer| offer.is_held_by(listener));
        if let Some(offer) = offer {
            offer.failures = 0;
            offer.held = Some(Held {
                listener,
                is_accepted: true,
            });
        }
    }

    /// The reservation was refused, or has ended. Returns whether it was one.
    pub(in crate::network) fn ended(&mut self, listener: ListenerId, now: Instant) -> bool {
        let mut offers = self.offers.iter_mut();
        let Some((peer, offer)) = offers.find(|(_, offer)| offer.is_held_by(listener)) else {
            return false;
        };
        let peer = *peer;
        offer.held = None;
        self.not_asked(&peer, now);
        true
    }

    /// `peer` cannot be asked.
    pub(in crate::network) fn not_asked(&mut self, peer: &PeerId, now: Instant) {
        if let Some(offer) = self.offers.get_mut(peer) {
            offer.refused(now);
            if offer.failures >= MAX_FAILURES {
                self.offers.remove(peer);
            }
        }
    }

    /// The relays at which this node has a reservation.
    pub(in crate::network) fn held(&self) -> Vec<PeerId> {
        let is_accepted = |offer: &Offer| offer.held.as_ref().is_some_and(|held| held.is_accepted);
        let held = self.offers.iter().filter(|(_, offer)| is_accepted(offer));
        held.map(|(peer, _)| *peer).collect()
    }

    fn is_satisfied(&self) -> bool {
        self.held_or_asked().count() >= WANTED
    }

    fn held_or_asked(&self) -> impl Iterator<Item = &Offer> {
        self.offers.values().filter(|offer| offer.held.is_some())
    }

    /// The relays that are neither held nor neighbours of one that is.
    fn free(&self) -> impl Iterator<Item = (&PeerId, &Offer)> {
        let is_near = |offer: &Offer| {
            self.held_or_asked().any(|held| {
                let site = held.origin.site();
                held.origin == offer.origin || (site.is_some() && site == offer.origin.site())
            })
        };
        let offers = self.offers.iter();
        offers.filter(move |(_, offer)| offer.held.is_none() && !is_near(offer))
    }
}

impl Offer {
    fn is_held_by(&self, listener: ListenerId) -> bool {
        self.held
            .as_ref()
            .is_some_and(|held| held.listener == listener)
    }

    fn refused(&mut self, now: Instant) {
        // Doubled eight times, it is far beyond the last one.
        let pause = FIRST_PAUSE * 2_u32.pow(self.failures.min(8));
        self.failures = self.failures.saturating_add(1);
        self.due = now + pause.min(LAST_PAUSE);
    }
}

/// The address through `relay`, which is at `address`.
fn circuit(relay: PeerId, address: &Multiaddr) -> Multiaddr {
    let relay = address.clone().with(Protocol::P2p(relay));
    relay.with(Protocol::P2pCircuit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: u8) -> Multiaddr {
        format!("/ip4/5.{host}.1.1/tcp/4001").parse().unwrap()
    }

    /// Asks the next relay.
    fn ask(relays: &mut Relays, now: Instant) -> Option<(PeerId, ListenerId)> {
        let (peer, _) = relays.next(now)?;
        let listener = ListenerId::next();
        relays.asked(peer, listener);
        Some((peer, listener))
    }

    #[test]
    fn the_nearest_relays_from_two_sites_are_held() {
        let (local, now) = (PeerId::random(), Instant::now());
        let mut relays = Relays::new(local);
        let mut peers: Vec<_> = (0..6).map(|_| PeerId::random()).collect();
        let distance = |peer: &PeerId| KBucketKey::from(local).distance(&KBucketKey::from(*peer));
        peers.sort_by_key(distance);
        // The two nearest ones are neighbours.
        for (number, peer) in peers.iter().enumerate() {
            relays.offered(*peer, at(number.max(1) as u8), now);
        }
        let (first, listener) = ask(&mut relays, now).unwrap();
        assert_eq!(first, peers[0]);
        assert!(relays.held().is_empty(), "it has not answered yet");
        relays.accepted(listener);
        assert_eq!(relays.held(), [first]);
        let (second, listener) = ask(&mut relays, now).unwrap();
        assert_eq!(second, peers[2]);
        assert_eq!(relays.next(now), None);
        assert_eq!(relays.due(), None);

        assert!(relays.ended(listener, now));
        assert_eq!(ask(&mut relays, now).unwrap().0, peers[3], "it was refused");
        assert!(!relays.ended(ListenerId::next(), now));
    }

    #[test]
    fn a_peer_is_sought_through_the_relays_nearest_to_it() {
        let (mut relays, now) = (Relays::new(PeerId::random()), Instant::now());
        let peer = PeerId::random();
        let mut all: Vec<_> = (0..10).map(|_| PeerId::random()).collect();
        for relay in &all {
            relays.offered(*relay, at(1), now);
        }
        let distance = |relay: &PeerId| KBucketKey::from(peer).distance(&KBucketKey::from(*relay));
        all.sort_by_key(distance);
        let circuits = relays.circuits_to(peer);
        assert!(
            circuits
                .iter()
                .map(|(relay, _)| relay)
                .eq(&all[..MAX_TRIED])
        );
        let first = format!("/ip4/5.1.1.1/tcp/4001/p2p/{}/p2p-circuit", all[0]);
        assert_eq!(circuits[0].1.to_string(), first);
    }

    #[test]
    fn a_relay_that_refuses_is_asked_again_with_growing_pauses() {
        let (mut relays, mut now) = (Relays::new(PeerId::random()), Instant::now());
        let peer = PeerId::random();
        relays.offered(peer, at(1), now);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let (_, listener) = ask(&mut relays, now).unwrap();
            relays.ended(listener, now);
            assert_eq!(relays.next(now), None);
            let due = relays.due().unwrap();
            pauses.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        let (_, listener) = ask(&mut relays, now).unwrap();
        relays.accepted(listener);
        relays.withdrawn(&peer);
        assert_eq!(relays.held(), [peer], "it ends with an event");
        relays.ended(listener, now);
        relays.withdrawn(&peer);
        assert_eq!(relays.due(), None);
    }
}
