//! How much of the store each host, site and provider uses.

use std::{collections::HashMap, hash::Hash};

use libp2p::PeerId;

use crate::{Origin, Prefix};

/// The number of records of each.
#[derive(Default)]
pub(super) struct Usage {
    hosts: HashMap<Origin, usize>,
    sites: HashMap<Prefix, usize>,
    providers: HashMap<PeerId, Provider>,
}

#[derive(Default)]
struct Provider {
    records: usize,
    is_reached: bool,
}

impl Usage {
    pub(super) fn add(&mut self, origin: Origin, provider: PeerId, is_reached: bool) {
        *self.hosts.entry(origin).or_default() += 1;
        if let Some(site) = origin.site() {
            *self.sites.entry(site).or_default() += 1;
        }
        let provider = self.providers.entry(provider).or_default();
        provider.records += 1;
        provider.is_reached |= is_reached;
    }

    pub(super) fn remove(&mut self, origin: Origin, provider: &PeerId) {
        less_one(&mut self.hosts, &origin);
        if let Some(site) = origin.site() {
            less_one(&mut self.sites, &site);
        }
        if let Some(known) = self.providers.get_mut(provider) {
            known.records -= 1;
            if known.records == 0 {
                self.providers.remove(provider);
            }
        }
    }

    /// How many records come from this host.
    pub(super) fn of_host(&self, origin: Origin) -> usize {
        self.hosts.get(&origin).copied().unwrap_or(0)
    }

    /// How many records come from its site; 0 if it has no site.
    pub(super) fn of_site(&self, origin: Origin) -> usize {
        let site = origin.site().and_then(|site| self.sites.get(&site));
        site.copied().unwrap_or(0)
    }

    /// Records that this node has connected to the provider.
    pub(super) fn reached(&mut self, provider: &PeerId) {
        if let Some(known) = self.providers.get_mut(provider) {
            known.is_reached = true;
        }
    }

    /// Whether this node has connected to the provider since it has a record of it.
    pub(super) fn is_reached(&self, provider: &PeerId) -> bool {
        self.providers
            .get(provider)
            .is_some_and(|known| known.is_reached)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.sites.is_empty() && self.providers.is_empty()
    }
}

fn less_one<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
