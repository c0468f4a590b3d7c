//! The peers that links name, and which of them are invalid.

use std::fmt;

use pelago_content::Link;

use super::{InvalidAddress, PeerAddress};

/// The most peers of a link that are asked. The author of the link chose them, and a waiting
/// download dials each of them again and again.
const MAX_ASKED: usize = 16;

/// The peers of a link that are invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPeers {
    first: InvalidAddress,
    invalid: usize,
    all: usize,
}

impl InvalidPeers {
    /// The invalid peers of `link`; `None` if all are valid.
    #[must_use]
    pub fn of(link: &Link) -> Option<Self> {
        let parsed = link.peers.iter().map(|peer| peer.parse::<PeerAddress>());
        let errors: Vec<_> = parsed.filter_map(Result::err).collect();
        Some(Self {
            first: errors.first()?.clone(),
            invalid: errors.len(),
            all: link.peers.len(),
        })
    }
}

impl fmt::Display for InvalidPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            first,
            invalid,
            all,
        } = self;
        write!(
            f,
            "{invalid} of the {all} peers in the link are invalid: {first}. The link may be \
             truncated: get it again, or name a peer with --peer HOST:PORT"
        )
    }
}

/// The valid peers of a link. Logs the others.
pub(super) fn peers_of(link: &Link) -> Vec<PeerAddress> {
    if let Some(invalid) = InvalidPeers::of(link) {
        tracing::warn!("{invalid}");
    }
    let peers = link.peers.iter().filter_map(|peer| peer.parse().ok());
    peers.take(MAX_ASKED).collect()
}

#[cfg(test)]
mod tests {
    use pelago_content::Hash;

    use super::*;

    #[test]
    fn only_the_first_peers_of_a_link_are_asked() {
        let mut link = Link::new(Hash::from_bytes([1; 32]));
        link.peers = (1..=64)
            .map(|port| format!("/ip4/127.0.0.1/tcp/{port}"))
            .collect();
        assert_eq!(peers_of(&link).len(), MAX_ASKED);
    }

    #[test]
    fn a_truncated_peer_is_named_with_its_defect() {
        let mut link = Link::new(Hash::from_bytes([1; 32]));
        assert_eq!(InvalidPeers::of(&link), None);
        link.peers = vec![
            "/ip4/10.0.0.1/tcp/80".to_owned(),
            "/ip4/10.0.0.1/tcp/80/p2p/12D3Koo".to_owned(),
            "/ip4/10.0.0".to_owned(),
        ];
        assert_eq!(peers_of(&link).len(), 1);
        let text = InvalidPeers::of(&link).unwrap().to_string();
        let beginning =
            "2 of the 3 peers in the link are invalid: \"/ip4/10.0.0.1/tcp/80/p2p/12D3Koo\"";
        assert!(text.starts_with(beginning), "{text}");
        link.peers = vec![format!("/ip4/10.0.0.1/tcp/80{}", "\u{1b}[2J")];
        assert!(
            !InvalidPeers::of(&link)
                .unwrap()
                .to_string()
                .contains('\u{1b}')
        );
    }
}
