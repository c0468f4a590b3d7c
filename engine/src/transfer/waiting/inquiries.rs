//! The next inquiry of a waiting download, and its time. Pure: the time is an argument.
//!
//! Holds the pauses, which double: a peer that the user named is asked repeatedly whether it shares
//! the content now, a peer that turned up is asked once, and the DHT is searched repeatedly.
//! Inquiries in vain are repeated less and less often.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;

use crate::network::PeerAddress;

/// The pause before a peer that had nothing is asked again. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause for a peer that the user named.
const NAMED_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause for a peer that turned up by itself, and the longest time that it is
/// remembered.
const LAST_PAUSE: Duration = Duration::from_secs(600);

/// The pause before the first look-up, as the download made one before it waited; and the longest
/// pause.
const FIRST_LOOK_UP: Duration = Duration::from_secs(10);
const LAST_LOOK_UP: Duration = Duration::from_secs(600);

/// The maximum number of peers that are remembered, apart from those that the user named.
const MAX_PEERS: usize = 32;

/// One inquiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Inquiry {
    /// Ask the DHT which peers have the content.
    LookUp,
    /// Ask a peer that the user named whether it has the content.
    Named(PeerAddress),
    /// Ask a peer that turned up whether it has the content.
    Peer(PeerId),
}

/// The inquiries of a waiting download.
#[derive(Debug)]
pub(in crate::transfer) struct Inquiries {
    look_up: Pause,
    named: Vec<(PeerAddress, Pause)>,
    turned_up: HashMap<PeerId, TurnedUp>,
}

/// When to ask, and how long to wait after that.
#[derive(Clone, Copy, Debug)]
struct Pause {
    due: Instant,
    next: Duration,
    longest: Duration,
}

#[derive(Debug)]
struct TurnedUp {
    /// Whether the peer is to be asked.
    is_due: bool,
    pause: Pause,
}

impl Pause {
    const fn new(due: Instant, next: Duration, longest: Duration) -> Self {
        Self { due, next, longest }
    }

    /// The inquiry was in vain.
    fn in_vain(&mut self, now: Instant) {
        self.due = now + self.next;
        self.next = (self.next * 2).min(self.longest);
    }
}

impl Inquiries {
    /// The inquiries of a download that has just asked all peers it knows, including those that the
    /// user `named`.
    pub(in crate::transfer) fn new(named: &[PeerAddress], now: Instant) -> Self {
        let mut inquiries = Self {
            look_up: Pause::new(now + FIRST_LOOK_UP, 2 * FIRST_LOOK_UP, LAST_LOOK_UP),
            named: Vec::new(),
            turned_up: HashMap::new(),
        };
        inquiries.know(named, now);
        inquiries
    }

    /// The user named these peers, and the download has asked them already.
    pub(in crate::transfer) fn know(&mut self, named: &[PeerAddress], now: Instant) {
        for address in named {
            if self.named.iter().all(|(known, _)| known != address) {
                self.name(address.clone(), now);
                self.asked(&Inquiry::Named(address.clone()), now);
            }
        }
    }

    /// The user named a peer, which is asked now.
    pub(super) fn name(&mut self, address: PeerAddress, now: Instant) {
        let pause = Pause::new(now, FIRST_PAUSE, NAMED_PAUSE);
        match self.named.iter_mut().find(|(known, _)| *known == address) {
            Some((_, known)) => *known = pause,
            None => self.named.push((address, pause)),
        }
    }

    /// A peer connected, asked for the same content, or has a provider record. It is asked now,
    /// unless it was asked in vain a short time ago.
    pub(super) fn turned_up(&mut self, peer: PeerId, now: Instant) {
        for (_, pause) in self
            .named
            .iter_mut()
            .filter(|(a, _)| a.peer() == Some(peer))
        {
            pause.due = pause.due.min(now);
        }
        if let Some(known) = self.remember(peer, now) {
            known.is_due = true;
        }
    }

    /// A peer says that it has the content. Returns whether to believe that now: a peer whose
    /// claims were in vain is believed less and less often.
    pub(super) fn believes(&mut self, peer: PeerId, now: Instant) -> bool {
        let Some(known) = self.remember(peer, now) else {
            return false;
        };
        let believes = known.pause.due <= now;
        if believes {
            known.is_due = false;
            known.pause.in_vain(now);
        }
        believes
    }

    fn remember(&mut self, peer: PeerId, now: Instant) -> Option<&mut TurnedUp> {
        if self.turned_up.len() >= MAX_PEERS && !self.turned_up.contains_key(&peer) {
            // Peers that may be asked again anyway need no memory.
            self.turned_up
                .retain(|_, known| known.is_due || known.pause.due > now);
            if self.turned_up.len() >= MAX_PEERS {
                return None;
            }
        }
        Some(self.turned_up.entry(peer).or_insert_with(|| TurnedUp {
            is_due: false,
            pause: Pause::new(now, FIRST_PAUSE, LAST_PAUSE),
        }))
    }

    /// The next inquiry, and when to make it.
    pub(super) fn next(&self) -> (Instant, Inquiry) {
        let named = self.named.iter().map(|(address, pause)| {
            let ask = Inquiry::Named(address.clone());
            (pause.due, ask)
        });
        let turned_up = self.turned_up.iter().filter(|(_, known)| known.is_due);
        let turned_up = turned_up.map(|(peer, known)| (known.pause.due, Inquiry::Peer(*peer)));
        let look_up = (self.look_up.due, Inquiry::LookUp);
        let asks = named.chain(turned_up).min_by_key(|(due, _)| *due);
        match asks {
            Some(ask) if ask.0 <= look_up.0 => ask,
            _ => look_up,
        }
    }

    /// The inquiry was made. If it found a source, the next wait begins with new pauses.
    pub(super) fn asked(&mut self, inquiry: &Inquiry, now: Instant) {
        match inquiry {
            Inquiry::LookUp => self.look_up.in_vain(now),
            Inquiry::Named(address) => {
                let mut named = self.named.iter_mut();
                if let Some((_, pause)) = named.find(|(known, _)| known == address) {
                    pause.in_vain(now);
                }
            }
            Inquiry::Peer(peer) => {
                if let Some(known) = self.turned_up.get_mut(peer) {
                    known.is_due = false;
                    known.pause.in_vain(now);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes all inquiries of this many seconds in vain, and returns each with its time in seconds.
    fn asks(inquiries: &mut Inquiries, start: Instant, seconds: u64) -> Vec<(u64, Inquiry)> {
        let (mut asked, end) = (Vec::new(), start + Duration::from_secs(seconds));
        loop {
            let (due, inquiry) = inquiries.next();
            if due > end {
                return asked;
            }
            inquiries.asked(&inquiry, due);
            asked.push(((due - start).as_secs(), inquiry));
        }
    }

    #[test]
    fn a_named_peer_is_asked_again_with_pauses_that_grow() {
        let (address, start): (PeerAddress, _) = ("10.0.0.1:80".parse().unwrap(), Instant::now());
        let mut inquiries = Inquiries::new(std::slice::from_ref(&address), start);
        let asked = asks(&mut inquiries, start, 300);
        let of = |wanted: &Inquiry| -> Vec<u64> {
            let same = asked.iter().filter(|(_, inquiry)| inquiry == wanted);
            same.map(|(at, _)| *at).collect()
        };
        let times = of(&Inquiry::Named(address.clone()));
        assert_eq!(times, [2, 6, 14, 30, 62, 122, 182, 242]);
        assert_eq!(of(&Inquiry::LookUp), [10, 30, 70, 150]);
        // A peer that the user names once more is asked immediately.
        let now = start + Duration::from_secs(300);
        inquiries.name(address.clone(), now);
        assert_eq!(inquiries.next(), (now, Inquiry::Named(address)));
    }

    #[test]
    fn a_peer_that_turns_up_is_asked_once_and_not_again_at_once() {
        let (peer, start) = (PeerId::random(), Instant::now());
        let mut inquiries = Inquiries::new(&[], start);
        inquiries.turned_up(peer, start);
        let ask = Inquiry::Peer(peer);
        assert_eq!(inquiries.next(), (start, ask.clone()));
        inquiries.asked(&ask, start);
        assert_eq!(inquiries.next().1, Inquiry::LookUp);
        // It connects and disconnects all the time.
        let now = start + Duration::from_secs(1);
        inquiries.turned_up(peer, now);
        assert_eq!(inquiries.next(), (start + FIRST_PAUSE, ask));
    }

    #[test]
    fn claims_in_vain_are_believed_less_and_less_often() {
        let (peer, start) = (PeerId::random(), Instant::now());
        let mut inquiries = Inquiries::new(&[], start);
        let seconds = (0..3600).map(|second| start + Duration::from_secs(second));
        let believed = seconds.filter(|now| inquiries.believes(peer, *now)).count();
        assert_eq!(believed, 14);
    }

    #[test]
    fn only_a_limited_number_of_peers_is_remembered() {
        let start = Instant::now();
        let mut inquiries = Inquiries::new(&[], start);
        for _ in 0..2 * MAX_PEERS {
            inquiries.turned_up(PeerId::random(), start);
        }
        assert_eq!(inquiries.turned_up.len(), MAX_PEERS);
        asks(&mut inquiries, start, 1);
        let later = start + LAST_PAUSE;
        inquiries.turned_up(PeerId::random(), later);
        assert_eq!(inquiries.turned_up.len(), 1);
    }
}
