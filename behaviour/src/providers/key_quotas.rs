//! How the providers of one key are shared out among where they come from. Pure.

use std::collections::HashMap;

use super::records::StoredRecord;
use crate::{Origin, Prefix};

/// The share of one host, and of one site, in the providers of a key: a household, or an office, that has the
/// same file. More are kept, and answered, only where there is room.
const MAX_PROVIDERS_PER_KEY_AND_HOST: usize = 4;
const MAX_PROVIDERS_PER_KEY_AND_SITE: usize = 8;

/// How many records of one key each host and each site has.
#[derive(Default)]
pub(super) struct KeyQuotas {
    hosts: HashMap<Origin, usize>,
    sites: HashMap<Prefix, usize>,
}

impl KeyQuotas {
    pub(super) fn of<'a>(entries: impl Iterator<Item = &'a StoredRecord>) -> Self {
        let mut quotas = Self::default();
        entries.for_each(|entry| quotas.take(entry));
        quotas
    }

    /// Counts one more.
    pub(super) fn take(&mut self, entry: &StoredRecord) {
        let origin = entry.origin();
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
