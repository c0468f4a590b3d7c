//! How many addresses are dialed at a time, and in all. Pure: the time is an argument.
//!
//! Every dialed address counts against its host and against the peer that named it. A dial that reaches the
//! host is given back, so that only dials in vain are limited. The number of accounts is bounded; the one
//! that was used longest ago is forgotten first.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{NamedBy, Refusal};
use crate::{Origin, Prefix};

#[cfg(test)]
mod tests;

/// What one account allows.
#[derive(Clone, Copy)]
struct Limit {
    /// Dials at a time.
    at_a_time: u32,
    /// Dials in vain at once.
    burst: u32,
    /// After how long one more is allowed.
    refill: Duration,
}

/// For one peer that names addresses: 8 at a time, and 32 in all within 8 minutes. The same for one host, so
/// that many namers together cannot do to it what one cannot.
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

/// To one global host at the word of a person, or where a peer was met. A link names up to 16 peers and
/// each is tried again every 8 s, so that this is far from what a person needs.
const TRUSTED: Limit = Limit {
    at_a_time: 64,
    burst: 64,
    refill: Duration::from_secs(1),
};

/// Accounts that are kept, at most: about 200 bytes each.
const MAX_ACCOUNTS: usize = 8192;

/// Whose account it is.
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
    /// Dials in vain that were not yet given back by time.
    spent: u32,
    /// When `spent` was last brought up to date.
    since: Instant,
}

/// What one dialed address is counted against. To be given back with [`Budget::ended`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// The host that the address leads to.
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
    /// Counts a dial of an address of `host`.
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

    /// A dial has ended; `is_given_back` if it reached its host or was never made.
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
        // Those under way may yet be given back.
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

    /// Makes room: for all that have nothing to remember, or else for the one used longest ago.
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
