//! How many addresses are dialed at a time, and in total. Pure: time is an argument.
//!
//! Every dialed address counts against its host and against the peer that named it. A dial that
//! reaches the host is refunded, so that only failed dials are limited. The number of accounts is
//! bounded; the least recently used one is forgotten first.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{NamedBy, Refusal};
use crate::{Origin, Prefix};

#[cfg(test)]
mod tests;

/// The limits of one account.
#[derive(Clone, Copy)]
struct Limit {
    /// Running dials.
    at_a_time: u32,
    /// Failed dials in one burst.
    burst: u32,
    /// The time after which one more is allowed.
    refill: Duration,
}

/// For one peer that names addresses: 8 at a time, and 32 in total within 8 minutes. The same for
/// one host, so that many namers together cannot do to it what one cannot.
const NAMED: Limit = Limit {
    at_a_time: 8,
    burst: 24,
    refill: Duration::from_secs(60),
};

/// For all namers of one site: four times as much, as an institution may have many nodes.
const SITE: Limit = Limit {
    at_a_time: 32,
    burst: 96,
    refill: Duration::from_secs(15),
};

/// For one global host that a person named, or where a peer was met. A link names up to 16 peers,
/// each of which is retried every 8 s, so this is far more than a person needs.
const TRUSTED: Limit = Limit {
    at_a_time: 64,
    burst: 64,
    refill: Duration::from_secs(1),
};

/// Accounts to keep, at most: about 200 bytes each.
const MAX_ACCOUNTS: usize = 8192;

/// The holder of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    /// A host that peers named.
    Host(Origin),
    /// A host that a person named, or where a peer was met.
    TrustedHost(Origin),
    /// A peer that names others.
    Namer(Origin),
    /// Namers that are neighbours.
    Site(Prefix),
}

struct Account {
    under_way: u32,
    /// Failed and running dials that time has not refunded yet.
    spent: u32,
    /// When `spent` was last updated.
    since: Instant,
}

/// The accounts charged for one dialed address. To be returned with [`Budget::ended`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// The host of the address.
    pub(crate) host: Origin,
    holders: [Option<Holder>; 3],
}

/// The accounts.
#[derive(Default)]
pub(crate) struct Budget(HashMap<Holder, Account>);

impl Holder {
    const fn limit(&self) -> Limit {
        match self {
            Self::Host(_) | Self::Namer(_) => NAMED,
            Self::Site(_) => SITE,
            Self::TrustedHost(_) => TRUSTED,
        }
    }
}

impl Account {
    fn refresh(&mut self, limit: Limit, now: Instant) {
        if self.spent == 0 {
            self.since = now;
            return;
        }
        let elapsed = now.saturating_duration_since(self.since);
        let refills = elapsed.as_nanos() / limit.refill.as_nanos();
        let refills = u32::try_from(refills).unwrap_or(u32::MAX);
        self.spent = self.spent.saturating_sub(refills);
        self.since = match self.spent {
            0 => now,
            _ => self.since + limit.refill * refills,
        };
    }
}

impl Budget {
    /// Charges a dial of an address of `host`.
    pub(crate) fn begin(
        &mut self,
        by: &NamedBy,
        host: Origin,
        now: Instant,
    ) -> Result<Charge, Refusal> {
        let holders = match by {
            // In a person's own network many nodes may share an address.
            NamedBy::User | NamedBy::Reached | NamedBy::Record if !host.is_global() => [None; 3],
            NamedBy::User | NamedBy::Reached | NamedBy::Record => {
                [Some(Holder::TrustedHost(host)), None, None]
            }
            NamedBy::LocalNetwork => [Some(Holder::Host(host)), None, None],
            NamedBy::Peer(namer) => [
                Some(Holder::Host(host)),
                Some(Holder::Namer(namer.origin)),
                namer.origin.site().map(Holder::Site),
            ],
        };
        for holder in holders.into_iter().flatten() {
            self.may_begin(&holder, now)?;
        }
        for holder in holders.into_iter().flatten() {
            let account = self.account(holder, now);
            account.under_way += 1;
            account.spent += 1;
        }
        Ok(Charge { host, holders })
    }

    /// Ends a dial; `is_given_back` if it reached its host or was never made.
    pub(crate) fn ended(&mut self, charge: &Charge, is_given_back: bool) {
        for holder in charge.holders.into_iter().flatten() {
            if let Some(account) = self.0.get_mut(&holder) {
                account.under_way = account.under_way.saturating_sub(1);
                account.spent = account.spent.saturating_sub(u32::from(is_given_back));
            }
        }
    }

    fn may_begin(&mut self, holder: &Holder, now: Instant) -> Result<(), Refusal> {
        let limit = holder.limit();
        let Some(account) = self.0.get_mut(holder) else {
            return Ok(());
        };
        account.refresh(limit, now);
        // Running dials may yet be refunded.
        let in_vain = account.spent.saturating_sub(account.under_way);
        if in_vain >= limit.burst {
            Err(Refusal::Spent)
        } else if account.under_way >= limit.at_a_time || account.spent >= limit.burst {
            Err(Refusal::Busy)
        } else {
            Ok(())
        }
    }

    fn account(&mut self, holder: Holder, now: Instant) -> &mut Account {
        if self.0.len() >= MAX_ACCOUNTS && !self.0.contains_key(&holder) {
            self.forget_one(now);
        }
        self.0.entry(holder).or_insert(Account {
            under_way: 0,
            spent: 0,
            since: now,
        })
    }

    /// Forgets the accounts without charges, or else the least recently used one.
    fn forget_one(&mut self, now: Instant) {
        self.0.retain(|holder, account| {
            account.refresh(holder.limit(), now);
            account.under_way > 0 || account.spent > 0
        });
        if self.0.len() >= MAX_ACCOUNTS {
            let by_use = |(_, account): &(&Holder, &Account)| (account.under_way, account.since);
            let oldest = self.0.iter().min_by_key(by_use).map(|(holder, _)| *holder);
            oldest.map(|holder| self.0.remove(&holder));
        }
    }
}
