//! Decides which addresses each dial tries, and keeps account of it. Pure: time is an argument.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol, swarm::ConnectionId};

use super::{
    NamedBy, Namer, Refusal, Subnets,
    budget::{Budget, Charge},
    check,
    contacts::Contacts,
    named_addresses::{MAX_ADDRESSES_PER_NAME, NamedAddresses},
};
use crate::{AddressScope, Origin, addresses::Addresses, is_relayed, private::Outsiders, relay_of};

#[cfg(test)]
mod tests;

/// Disconnected peers to remember as namers, at most: the addresses they named may be tried later.
const MAX_DEPARTED: usize = 1024;

/// Announced dials that have not begun, at most; they begin immediately.
const MAX_EXPECTED: usize = 64;

/// Running dials whose charges are known, at most: more than there are connections.
const MAX_DIALS: usize = 4096;

/// Time after which a dial counts as ended without a report: far beyond every time-out.
const LOST_AFTER: Duration = Duration::from_secs(120);

/// A running dial.
struct Dial {
    charges: Vec<Charge>,
    since: Instant,
}

/// The connected peers, the known addresses of others, and the accounts of dials.
pub(crate) struct Planner {
    local: PeerId,
    outsiders: Outsiders,
    pub(crate) subnets: Subnets,
    pub(crate) book: Addresses,
    named_addresses: NamedAddresses,
    budget: Budget,
    pub(crate) contacts: Contacts,
    connections: HashMap<PeerId, HashMap<ConnectionId, Namer>>,
    departed: VecDeque<(PeerId, Namer)>,
    expected: VecDeque<(ConnectionId, NamedBy)>,
    dials: HashMap<ConnectionId, Dial>,
}

impl Planner {
    /// The planner of the node `local`, which leaves `outsiders` alone.
    pub(crate) fn new(local: PeerId, outsiders: Outsiders) -> Self {
        Self {
            local,
            outsiders,
            subnets: Subnets::default(),
            book: Addresses::default(),
            named_addresses: NamedAddresses::default(),
            budget: Budget::default(),
            contacts: Contacts::default(),
            connections: HashMap::new(),
            departed: VecDeque::new(),
            expected: VecDeque::new(),
            dials: HashMap::new(),
        }
    }

    /// `peer` is connected from, or at, `remote`.
    pub(crate) fn connected(&mut self, peer: PeerId, id: ConnectionId, remote: &Multiaddr) {
        let namer = Namer::new(peer, remote);
        self.connections.entry(peer).or_default().insert(id, namer);
        self.departed.retain(|(departed, _)| *departed != peer);
    }

    /// A connection was closed.
    pub(crate) fn disconnected(&mut self, peer: PeerId, id: ConnectionId) {
        let Some(connections) = self.connections.get_mut(&peer) else {
            return;
        };
        let namer = connections.remove(&id);
        if connections.is_empty() {
            self.connections.remove(&peer);
            if self.departed.len() >= MAX_DEPARTED {
                self.departed.pop_front();
            }
            self.departed.extend(namer.map(|namer| (peer, namer)));
        }
    }

    /// `peer` as a namer, judged by its nearest connection.
    pub(crate) fn namer(&self, peer: &PeerId) -> Option<Namer> {
        let connected = self.connections.get(peer).into_iter();
        let nearest = connected
            .flat_map(HashMap::values)
            .min_by_key(|namer| namer.scope);
        let departed = || self.departed.iter().find(|(departed, _)| departed == peer);
        nearest
            .or_else(|| departed().map(|(_, namer)| namer))
            .copied()
    }

    /// Those of `addresses` that `namer` may name.
    pub(crate) fn allowed(&self, namer: Namer, addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
        let by = NamedBy::Peer(namer);
        let addresses = addresses.into_iter();
        addresses
            .filter(|address| check(&by, address, &self.subnets).is_ok())
            .collect()
    }

    /// Records that `namer` names `addresses` of `peer`.
    pub(crate) fn add_named(&mut self, namer: Namer, peer: PeerId, addresses: Vec<Multiaddr>) {
        let mut addresses = self.allowed(namer, addresses);
        addresses.truncate(MAX_ADDRESSES_PER_NAME);
        self.named_addresses.add(namer, peer, addresses);
    }

    /// Records that `by` named the addresses in the dial `id`.
    pub(crate) fn expect(&mut self, id: ConnectionId, by: NamedBy) {
        if self.expected.len() >= MAX_EXPECTED {
            self.expected.pop_front();
        }
        self.expected.push_back((id, by));
    }

    /// Begins a dial with the addresses `brought`: charges them, and returns further addresses to
    /// try.
    pub(crate) fn begin(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        brought: &[Multiaddr],
        now: Instant,
    ) -> Result<Vec<Multiaddr>, Refusal> {
        // Behaviours add no addresses: an unannounced dial comes from the program that owns the
        // swarm.
        let expected = self.expected.iter().position(|(known, _)| *known == id);
        let expected = expected.and_then(|at| self.expected.remove(at));
        let expected = expected.map(|(_, by)| by);
        // A person may know that the peer has the key now.
        let is_outsider = |peer| expected != Some(NamedBy::User) && self.outsiders.has(&peer, now);
        if peer.is_some_and(is_outsider) {
            return Err(Refusal::Outsider);
        }
        let by = expected.unwrap_or(NamedBy::User);
        let mut dial = Dial {
            charges: Vec::new(),
            since: now,
        };
        for address in brought {
            match self.charge(&by, peer, address, now) {
                Ok(charge) => dial.charges.push(charge),
                Err(refusal) => {
                    self.give_back(&dial);
                    return Err(refusal);
                }
            }
        }
        let mut more = Vec::new();
        for (address, by) in peer.map_or_else(Vec::new, |peer| self.known(&peer)) {
            if brought.contains(&address) || more.contains(&address) {
                continue;
            }
            if let Ok(charge) = self.charge(&by, peer, &address, now) {
                dial.charges.push(charge);
                more.push(address);
            }
        }
        self.note(id, dial, now);
        // The first eight addresses are tried at once: dead ones must not hold up the way through a
        // relay, which begins a moment later in any case.
        more.sort_by_key(|address| !is_relayed(address));
        Ok(more)
    }

    /// Those of `addresses`, from a table of peers that were met, that the dial `id` may try as
    /// well.
    pub(crate) fn extend(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        now: Instant,
    ) -> Vec<Multiaddr> {
        let known = self.known(&peer);
        let bare = addresses.into_iter().map(without_peer);
        let new = bare.filter(|address| !known.iter().any(|(known, _)| known == address));
        let mut more = Vec::new();
        for address in new {
            if let Ok(charge) = self.charge(&NamedBy::Record, Some(peer), &address, now) {
                if let Some(dial) = self.dials.get_mut(&id) {
                    dial.charges.push(charge);
                }
                more.push(address);
            }
        }
        more
    }

    /// A dial reached its peer at `remote`: refunds the charges of that host.
    pub(crate) fn reached(&mut self, id: ConnectionId, peer: PeerId, remote: &Multiaddr) {
        let host = Origin::new(peer, remote);
        if let Some(dial) = self.dials.remove(&id) {
            for charge in &dial.charges {
                self.budget.ended(charge, charge.host == host);
            }
        }
    }

    /// A dial failed; `was_made` unless none of its addresses was tried.
    pub(crate) fn failed(&mut self, id: ConnectionId, was_made: bool) {
        if let Some(dial) = self.dials.remove(&id) {
            match was_made {
                true => dial
                    .charges
                    .iter()
                    .for_each(|c| self.budget.ended(c, false)),
                false => self.give_back(&dial),
            }
        }
    }

    /// Whether a global address of `peer` is known that leads through no relay.
    pub(crate) fn knows_global(&self, peer: &PeerId) -> bool {
        let is_global = |at: &Multiaddr| AddressScope::of(at) == Some(AddressScope::Global);
        let known = self.known(peer);
        known.iter().any(|(at, _)| is_global(at) && !is_relayed(at))
    }

    /// All known addresses of `peer`, the best evidence first.
    fn known(&self, peer: &PeerId) -> Vec<(Multiaddr, NamedBy)> {
        let named = self.named_addresses.of(peer).into_iter();
        let named = named.map(|(address, namer)| (without_peer(address), NamedBy::Peer(namer)));
        self.book.of(peer).iter().cloned().chain(named).collect()
    }

    fn charge(
        &mut self,
        by: &NamedBy,
        peer: Option<PeerId>,
        address: &Multiaddr,
        now: Instant,
    ) -> Result<Charge, Refusal> {
        if relay_of(address) == Some(self.local) {
            return Err(Refusal::Ourselves);
        }
        check(by, address, &self.subnets)?;
        // Only a person names a peer without an id; other hosts are identified by address.
        let host = Origin::new(peer.unwrap_or(self.local), address);
        let charge = self.budget.begin(by, host, now)?;
        if let Some(site) = host.site() {
            self.contacts.note(site, now);
        }
        Ok(charge)
    }

    fn give_back(&mut self, dial: &Dial) {
        dial.charges.iter().for_each(|c| self.budget.ended(c, true));
    }

    fn note(&mut self, id: ConnectionId, dial: Dial, now: Instant) {
        if self.dials.len() >= MAX_DIALS {
            let is_lost = |dial: &Dial| now.duration_since(dial.since) > LOST_AFTER;
            let lost: Vec<_> = self
                .dials
                .extract_if(|_, dial| is_lost(dial))
                .map(|(_, dial)| dial)
                .collect();
            let lost = lost.iter().flat_map(|dial| &dial.charges);
            lost.for_each(|charge| self.budget.ended(charge, false));
        }
        self.dials.insert(id, dial);
    }
}

/// The address without the id of its peer.
fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if let Some(Protocol::P2p(_)) = address.iter().last() {
        address.pop();
    }
    address
}
