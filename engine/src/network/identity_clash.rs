//! Detects another node with the identity of this one, as after copying a data folder. Pure: time
//! is an argument.
//!
//! A dial that reaches our own id led either to this node, in which case an incoming connection
//! failed here at about the same time, or to another node. The other node sees the reverse: an
//! incoming connection from our id without a dial of its own.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use libp2p::Multiaddr;

/// How far apart the two ends of one connection to this node may be seen.
const WINDOW: Duration = Duration::from_secs(3);

/// Unpaired ends to keep, at most; beyond that, the oldest are forgotten.
const MAX_WAITING: usize = 64;

/// Another node has our identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityClash {
    /// The address of the other node, or that from which it connected.
    pub address: Multiaddr,
}

/// Dials that reached our own id, and incoming connections that failed.
#[derive(Default)]
pub(super) struct SelfDials {
    outgoing: VecDeque<(Instant, Multiaddr)>,
    incoming: VecDeque<Incoming>,
}

struct Incoming {
    at: Instant,
    address: Multiaddr,
    /// Whether the other side has proven that it has our id.
    has_our_id: bool,
}

impl SelfDials {
    /// Records that a dial of `address` reached a node with our id.
    pub(super) fn outgoing(&mut self, address: Multiaddr, now: Instant) {
        push(&mut self.outgoing, (now, address));
    }

    /// Records that an incoming connection from `address` failed, possibly because the other side
    /// has our id.
    pub(super) fn incoming(&mut self, address: Multiaddr, has_our_id: bool, now: Instant) {
        let incoming = Incoming {
            at: now,
            address,
            has_our_id,
        };
        push(&mut self.incoming, incoming);
    }

    /// When to call [`judge`](Self::judge) next.
    pub(super) fn next(&self) -> Option<Instant> {
        let outgoing = self.outgoing.front().map(|(at, _)| *at + WINDOW);
        let certain = self.incoming.iter().find(|incoming| incoming.has_our_id);
        let incoming = certain.map(|incoming| incoming.at + 2 * WINDOW);
        outgoing.into_iter().chain(incoming).min()
    }

    /// Pairs the two ends of connections to this node; an end without a partner belongs to another
    /// node with our identity.
    pub(super) fn judge(&mut self, now: Instant) -> Option<IdentityClash> {
        let is_old = |at: Instant| now.saturating_duration_since(at) >= WINDOW;
        let mut clash = None;
        while let Some((at, _)) = self.outgoing.front()
            && is_old(*at)
        {
            let (at, address) = self.outgoing.pop_front()?;
            let near = |incoming: &Incoming| {
                let apart = incoming.at.max(at) - incoming.at.min(at);
                apart < WINDOW
            };
            // Prefers the end that is certain to one that failed for an unknown reason.
            let certain = self.incoming.iter().position(|i| near(i) && i.has_our_id);
            match certain.or_else(|| self.incoming.iter().position(near)) {
                Some(twin) => {
                    self.incoming.remove(twin);
                }
                None => clash = Some(IdentityClash { address }),
            }
        }
        // All dials that may be the other end of these have been judged.
        while let Some(incoming) = self.incoming.front()
            && now.saturating_duration_since(incoming.at) >= 2 * WINDOW
        {
            let incoming = self.incoming.pop_front()?;
            if incoming.has_our_id {
                let address = incoming.address;
                clash = Some(IdentityClash { address });
            }
        }
        clash
    }
}

fn push<T>(queue: &mut VecDeque<T>, new: T) {
    if queue.len() >= MAX_WAITING {
        queue.pop_front();
    }
    queue.push_back(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()
    }

    /// The result of dials and incoming connections at these milliseconds.
    fn judged(outgoing: &[u64], incoming: &[(u64, bool)]) -> Vec<IdentityClash> {
        let start = Instant::now();
        let at = |milliseconds: &u64| start + Duration::from_millis(*milliseconds);
        let mut dials = SelfDials::default();
        for milliseconds in outgoing {
            dials.outgoing(address(1), at(milliseconds));
        }
        for (milliseconds, has_our_id) in incoming {
            dials.incoming(address(2), *has_our_id, at(milliseconds));
        }
        let mut clashes = Vec::new();
        while let Some(next) = dials.next() {
            clashes.extend(dials.judge(next));
        }
        clashes
    }

    #[test]
    fn a_dial_to_ourselves_has_two_ends() {
        assert_eq!(judged(&[0], &[(5, true)]), []);
        assert_eq!(
            judged(&[5], &[(0, false)]),
            [],
            "the dialer may hang up first"
        );
        assert_eq!(judged(&[0, 1, 2], &[(1, true), (1, false), (3, true)]), []);
    }

    #[test]
    fn a_dial_without_an_incoming_attempt_led_to_another_node() {
        let clash = IdentityClash {
            address: address(1),
        };
        assert_eq!(judged(&[0], &[]), std::slice::from_ref(&clash));
        assert_eq!(judged(&[0, 1], &[(0, true)]), std::slice::from_ref(&clash));
        assert_eq!(judged(&[0], &[(9_000, false)]), [clash]);
    }

    #[test]
    fn an_attempt_by_our_id_without_a_dial_is_of_another_node() {
        let clash = IdentityClash {
            address: address(2),
        };
        assert_eq!(judged(&[], &[(0, true)]), [clash]);
        assert_eq!(judged(&[], &[(0, false)]), [], "any attempt may fail");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut dials = SelfDials::default();
        let now = Instant::now();
        for _ in 0..1000 {
            dials.outgoing(address(1), now);
            dials.incoming(address(2), false, now);
        }
        assert_eq!(
            (dials.outgoing.len(), dials.incoming.len()),
            (MAX_WAITING, MAX_WAITING)
        );
    }
}
