//! The peers that links and records name, and what is damaged of them.

use std::fmt;

use pelago_content::Link;

use super::{InvalidAddress, PeerAddress};

/// Peers of a link that are asked, at most. Whoever made the link names them, and each is dialed again and
/// again while a download waits.
const MAX_ASKED: usize = 16;

/// Peers that a link names and that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedPeers {
    first: InvalidAddress,
    damaged: usize,
    all: usize,
}

impl DamagedPeers {
    /// What is damaged of the peers of `link`; `None` if nothing is.
    #[must_use]
    pub fn of(link: &Link) -> Option<Self> {
        let parsed = link.peers.iter().map(|peer| peer.parse::<PeerAddress>());
        let errors: Vec<_> = parsed.filter_map(Result::err).collect();
        Some(Self {
            first: errors.first()?.clone(),
            damaged: errors.len(),
            all: link.peers.len(),
        })
    }
}

impl fmt::Display for DamagedPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            first,
            damaged,
            all,
        } = self;
        write!(
            f,
            "{damaged} of the {all} peers that the link names cannot be asked: {first}. Was the link cut? Get \
             it again, or name a peer with --peer HOST:PORT"
        )
    }
}

/// The peers that a link names and that can be asked. The others are reported at once.
pub(super) fn peers_of(link: &Link) -> Vec<PeerAddress> {
    if let Some(damaged) = DamagedPeers::of(link) {
        tracing::warn!("{damaged}");
    }
    let peers = link.peers.iter().filter_map(|peer| peer.parse().ok());
    peers.take(MAX_ASKED).collect()
}

#[cfg(test)]
mod tests {
    use pelago_content::Hash;

    use super::*;

    #[test]
    fn a_link_has_a_few_peers_asked_whatever_it_names() {
        let mut link = Link::new(Hash::from_bytes([1; 32]));
        link.peers = (1..=64)
            .map(|port| format!("/ip4/127.0.0.1/tcp/{port}"))
            .collect();
        assert_eq!(peers_of(&link).len(), MAX_ASKED);
    }

    #[test]
    fn a_peer_that_was_cut_is_named_with_what_is_wrong_of_it() {
        let mut link = Link::new(Hash::from_bytes([1; 32]));
        assert_eq!(DamagedPeers::of(&link), None);
        link.peers = vec![
            "/ip4/10.0.0.1/tcp/80".to_owned(),
            "/ip4/10.0.0.1/tcp/80/p2p/12D3Koo".to_owned(),
            "/ip4/10.0.0".to_owned(),
        ];
        assert_eq!(peers_of(&link).len(), 1);
        let told = DamagedPeers::of(&link).unwrap().to_string();
        let beginning = "2 of the 3 peers that the link names cannot be asked: \"/ip4/10.0.0.1/tcp/80/p2p/12D3Koo\"";
        assert!(told.starts_with(beginning), "{told}");
        link.peers = vec![format!("/ip4/10.0.0.1/tcp/80{}", "\u{1b}[2J")];
        assert!(
            !DamagedPeers::of(&link)
                .unwrap()
                .to_string()
                .contains('\u{1b}')
        );
    }
}
