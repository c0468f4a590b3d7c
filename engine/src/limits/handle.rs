//! All limits of a node, which can change while it runs.

use std::sync::Arc;

use libp2p::PeerId;
use tokio::sync::watch;

use super::{
    Rate, Rates,
    bucket::granule,
    gate::{Gate, PeerGates},
};

/// The limits of a node. A handle: clones share them. The default has no limits.
#[derive(Clone, Default)]
pub struct Limits(Arc<Shared>);

#[derive(Default)]
struct Shared {
    rates: watch::Sender<Rates>,
    upload: Direction,
    download: Direction,
    /// Of content that goes through relays.
    relayed: PeerGates,
}

/// The gates of one direction.
#[derive(Default)]
struct Direction {
    all: Gate,
    peers: PeerGates,
}

/// The rates that limit one direction at present.
#[derive(Clone, Copy)]
struct DirectionRates {
    all: Option<Rate>,
    per_peer: Option<Rate>,
}

impl Limits {
    /// Limits with these rates.
    #[must_use]
    pub fn new(rates: Rates) -> Self {
        let limits = Self::default();
        limits.change(|now| *now = rates);
        limits
    }

    /// The current rates.
    #[must_use]
    pub fn rates(&self) -> Rates {
        *self.0.rates.borrow()
    }

    /// Changes the rates, with immediate effect for all who wait, and returns the new ones.
    pub fn change(&self, change: impl FnOnce(&mut Rates)) -> Rates {
        let mut rates = Rates::default();
        self.0.rates.send_if_modified(|now| {
            let before = *now;
            change(now);
            rates = *now;
            rates != before
        });
        rates
    }

    /// Waits until some of `wanted` bytes may go to `peer`; returns how many.
    pub async fn upload(&self, peer: PeerId, wanted: usize) -> usize {
        let rates_of = |rates: &Rates| DirectionRates {
            all: rates.upload,
            per_peer: rates.upload_per_peer,
        };
        self.pass(&self.0.upload, rates_of, peer, wanted).await
    }

    /// The same through a relay, whose bytes others pay for.
    pub async fn upload_relayed(&self, peer: PeerId, wanted: usize) -> usize {
        let bytes = granule(Rate::RELAYED).min(wanted as u64);
        self.0.relayed.of(peer).pass(Rate::RELAYED, bytes).await;
        self.upload(peer, bytes as usize).await
    }

    /// Waits until some of `wanted` bytes may come from `peer`; returns how many.
    pub async fn download(&self, peer: PeerId, wanted: usize) -> usize {
        let rates_of = |rates: &Rates| DirectionRates {
            all: rates.download,
            per_peer: rates.download_per_peer,
        };
        self.pass(&self.0.download, rates_of, peer, wanted).await
    }

    /// The limit that downloads are waiting for at this moment, if any.
    #[must_use]
    pub fn holding_downloads(&self) -> Option<Rate> {
        let (rates, direction) = (self.rates(), &self.0.download);
        let all = rates.download.filter(|_| direction.all.is_waited_for());
        all.or_else(|| {
            rates
                .download_per_peer
                .filter(|_| direction.peers.any_waited_for())
        })
    }

    async fn pass(
        &self,
        direction: &Direction,
        rates_of: impl Fn(&Rates) -> DirectionRates,
        peer: PeerId,
        wanted: usize,
    ) -> usize {
        if rates_of(&self.0.rates.borrow()).is_none() {
            return wanted;
        }
        let mut rates = self.0.rates.subscribe();
        loop {
            let rates_of = rates_of(&rates.borrow_and_update());
            let bytes = rates_of.granule(wanted as u64);
            tokio::select! {
                biased;
                // The sender lives as long as `self`.
                _ = rates.changed() => {}
                () = direction.pass(rates_of, peer, bytes) => return bytes as usize,
            }
        }
    }
}

impl Direction {
    /// The peer's own limit comes first: while one peer waits for it, others pass.
    async fn pass(&self, rates_of: DirectionRates, peer: PeerId, bytes: u64) {
        if let Some(rate) = rates_of.per_peer {
            self.peers.of(peer).pass(rate, bytes).await;
        }
        if let Some(rate) = rates_of.all {
            self.all.pass(rate, bytes).await;
        }
    }
}

impl DirectionRates {
    fn is_none(self) -> bool {
        self.all.is_none() && self.per_peer.is_none()
    }

    fn granule(self, wanted: u64) -> u64 {
        let rates = [self.all, self.per_peer].into_iter().flatten();
        rates.map(granule).fold(wanted, u64::min)
    }
}

#[cfg(test)]
mod tests;
