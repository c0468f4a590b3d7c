//! How the providers of one key are divided among hosts and sites. Pure.

use std::collections::HashMap;

use crate::{Origin, Prefix};

/// The share of one host, and of one site, among the providers of a key: a household, or an
/// office, with the same file. More are kept, and returned, only while there is space.
const MAX_PROVIDERS_PER_KEY_AND_HOST: usize = 4;
const MAX_PROVIDERS_PER_KEY_AND_SITE: usize = 8;

/// The number of records of one key from each host and each site.
#[derive(Default)]
pub(super) struct KeyQuotas {
    hosts: HashMap<Origin, usize>,
    sites: HashMap<Prefix, usize>,
}

impl KeyQuotas {
    pub(super) fn of(origins: impl Iterator<Item = Origin>) -> Self {
        let mut quotas = Self::default();
        origins.for_each(|origin| quotas.add(origin));
        quotas
    }

    /// Counts one more record of `origin`.
    pub(super) fn add(&mut self, origin: Origin) {
        *self.hosts.entry(origin).or_default() += 1;
        if let Some(site) = origin.site() {
            *self.sites.entry(site).or_default() += 1;
        }
    }

    /// Whether the host or the site of `origin` has more than its share.
    pub(super) fn exceeds(&self, origin: Origin) -> bool {
        self.of_host(origin) > MAX_PROVIDERS_PER_KEY_AND_HOST
            || self.of_site(origin) > MAX_PROVIDERS_PER_KEY_AND_SITE
    }

    pub(super) fn is_host_full(&self, origin: Origin) -> bool {
        self.of_host(origin) >= MAX_PROVIDERS_PER_KEY_AND_HOST
    }

    pub(super) fn is_site_full(&self, origin: Origin) -> bool {
        self.of_site(origin) >= MAX_PROVIDERS_PER_KEY_AND_SITE
    }

    fn of_host(&self, origin: Origin) -> usize {
        self.hosts.get(&origin).copied().unwrap_or(0)
    }

    fn of_site(&self, origin: Origin) -> usize {
        let site = origin.site().and_then(|site| self.sites.get(&site));
        site.copied().unwrap_or(0)
    }
}
