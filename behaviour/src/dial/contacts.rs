//! To which sites this node has sent something. Pure: time is an argument.
//!
//! Routers let in what comes from hosts to which they have passed something, so that only a
//! connection from elsewhere shows that others reach this node.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::Prefix;

/// How long a site counts as contacted: longer than routers remember.
const CONTACT_TIME: Duration = Duration::from_secs(600);

/// Sites to remember, at most; beyond that, the oldest are forgotten.
const MAX_CONTACTS: usize = 1024;

/// The sites of the last dials, the newest last.
#[derive(Default)]
pub(crate) struct Contacts(VecDeque<(Prefix, Instant)>);

impl Contacts {
    /// This node dials a host of `site`.
    pub(crate) fn note(&mut self, site: Prefix, now: Instant) {
        self.0.retain(|(known, _)| *known != site);
        if self.0.len() >= MAX_CONTACTS {
            self.0.pop_front();
        }
        self.0.push_back((site, now));
    }

    /// Whether a host of `site` was dialed in the last ten minutes.
    pub(crate) fn is_recent(&self, site: Prefix, now: Instant) -> bool {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < CONTACT_TIME;
        let mut contacts = self.0.iter();
        contacts.any(|(known, at)| *known == site && is_recent(*at))
    }
}

#[cfg(test)]
mod tests {
    use libp2p::{Multiaddr, PeerId};

    use super::*;
    use crate::Origin;

    fn site(number: usize) -> Prefix {
        let remote = format!("/ip4/5.{}.{}.1/tcp/1", number / 256, number % 256);
        let remote: Multiaddr = remote.parse().unwrap();
        Origin::new(PeerId::random(), &remote).site().unwrap()
    }

    #[test]
    fn contacts_are_remembered_for_ten_minutes_and_bounded() {
        let (mut contacts, start) = (Contacts::default(), Instant::now());
        contacts.note(site(0), start);
        assert!(contacts.is_recent(site(0), start + CONTACT_TIME / 2));
        assert!(!contacts.is_recent(site(0), start + CONTACT_TIME));
        assert!(!contacts.is_recent(site(1), start));
        contacts.note(site(0), start + CONTACT_TIME);
        assert!(contacts.is_recent(site(0), start + CONTACT_TIME));
        (1..=MAX_CONTACTS).for_each(|number| contacts.note(site(number), start));
        assert_eq!(contacts.0.len(), MAX_CONTACTS);
        assert!(!contacts.is_recent(site(0), start));
    }
}
