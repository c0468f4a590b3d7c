//! The addresses of peers in a link, whose text names each peer once: an address without a peer
//! belongs to the peer of the one before it.

/// What stands before the id of a peer, at the end of an address.
const PEER: &str = "/p2p/";

/// The values that a link has for these addresses, in their order; but addresses of unknown peers
/// come before those of known ones, to which they would be taken to belong.
#[must_use]
pub fn shortened_peers(peers: &[String]) -> Vec<&str> {
    let is_of_unknown = |peer: &&str| peer.starts_with('/') && split(peer).is_none();
    let first_known = peers.iter().position(|peer| split(peer).is_some());
    let (before, rest) = peers.split_at(first_known.unwrap_or(peers.len()));
    let rest = || rest.iter().map(String::as_str);
    let mut shortened: Vec<_> = before.iter().map(String::as_str).collect();
    shortened.extend(rest().filter(is_of_unknown));
    let mut last = None;
    for peer in rest().filter(|peer| !is_of_unknown(peer)) {
        match split(peer) {
            Some((address, id)) if last == Some(id) && !address.is_empty() => {
                shortened.push(address);
            }
            Some((_, id)) => {
                last = Some(id);
                shortened.push(peer);
            }
            None => shortened.push(peer),
        }
    }
    shortened
}

/// Reads the values one after another, and returns each address with its peer.
#[derive(Debug, Default)]
pub struct PeerReader {
    last: Option<String>,
}

impl PeerReader {
    /// The next address.
    pub fn read(&mut self, value: String) -> String {
        match (split(&value), &self.last) {
            (Some((_, id)), _) => {
                self.last = Some(id.to_owned());
                value
            }
            (None, Some(last)) if value.starts_with('/') => format!("{value}{PEER}{last}"),
            (None, _) => value,
        }
    }
}

/// An address, and the id of the peer at its end.
fn split(peer: &str) -> Option<(&str, &str)> {
    let (address, id) = peer.rsplit_once(PEER)?;
    let is_split =
        (address.is_empty() || address.starts_with('/')) && !id.is_empty() && !id.contains('/');
    is_split.then_some((address, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_is_named_once_and_read_for_each_of_its_addresses() {
        let peers = [
            "/ip4/10.0.0.1/tcp/1/p2p/A",
            "/ip6/::1/tcp/1/p2p/A",
            "/ip4/10.0.0.3/tcp/1/p2p/R/p2p-circuit/p2p/A",
            "host:80",
            "/ip4/10.0.0.2/tcp/1/p2p/B",
            "/ip4/10.0.0.1/udp/1/quic-v1/p2p/A",
            "/p2p/A",
        ]
        .map(str::to_owned);
        let short = shortened_peers(&peers);
        assert_eq!(
            short,
            [
                "/ip4/10.0.0.1/tcp/1/p2p/A",
                "/ip6/::1/tcp/1",
                "/ip4/10.0.0.3/tcp/1/p2p/R/p2p-circuit",
                "host:80",
                "/ip4/10.0.0.2/tcp/1/p2p/B",
                "/ip4/10.0.0.1/udp/1/quic-v1/p2p/A",
                "/p2p/A",
            ]
        );
        let mut reader = PeerReader::default();
        let read: Vec<_> = short
            .into_iter()
            .map(|value| reader.read(value.to_owned()))
            .collect();
        assert_eq!(read, peers);
    }

    #[test]
    fn an_address_of_an_unknown_peer_stays_one() {
        let peers = ["/ip4/10.0.0.1/tcp/1/p2p/A", "/ip4/10.0.0.2/tcp/1"].map(str::to_owned);
        let short = shortened_peers(&peers);
        let mut reader = PeerReader::default();
        let read: Vec<_> = short
            .iter()
            .map(|value| reader.read((*value).to_owned()))
            .collect();
        assert_eq!(read, [peers[1].clone(), peers[0].clone()]);
    }
}
