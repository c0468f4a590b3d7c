//! Selects peers by id, or by a name, which any peer can choose for itself.
//!
//! A name is bound to the peer that it was first used for. Another peer never takes its place
//! silently. If several peers have the name, an error shows their ids.

use std::time::Duration;

use libp2p::PeerId;
use tokio::time::{Instant, timeout_at};

use super::{DownloadError, blocking::blocking, core::NodeCore};
use crate::network;

/// How long to wait for the peer that a name is bound to, while another peer of that name is
/// connected.
const GRACE: Duration = Duration::from_secs(3);

/// How long connected peers may take to tell their names, when a name is used for the first time.
const INTRODUCTION: Duration = Duration::from_secs(1);

/// The result of a selection.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Selected {
    Peer(PeerId),
    /// This peer, to which the name is bound from now on.
    New(PeerId),
    /// Other peers than the one that the name is bound to.
    Changed {
        was: PeerId,
        now: Vec<PeerId>,
    },
    Several(Vec<PeerId>),
    Missing,
}

/// What `text` selects among `named`, the connected peers of that name, if it is bound to `bound`.
fn select(text: &str, named: &[PeerId], bound: Option<PeerId>) -> Selected {
    if let Ok(peer) = text.parse() {
        return Selected::Peer(peer);
    }
    match (bound, named) {
        (Some(bound), named) if named.contains(&bound) => Selected::Peer(bound),
        (_, []) => Selected::Missing,
        (Some(was), now) => Selected::Changed {
            was,
            now: now.to_vec(),
        },
        (None, [one]) => Selected::New(*one),
        (None, several) => Selected::Several(several.to_vec()),
    }
}

/// Parses `NAME=ID`: the name, and the peer to bind it to.
fn binding(text: &str) -> Option<(String, PeerId)> {
    let (name, id) = text.rsplit_once('=')?;
    Some((name.to_owned(), id.parse().ok()?))
}

/// The ids of the `connected` peers with that name.
fn named(connected: &[network::Peer], name: &str) -> Vec<PeerId> {
    let those = connected
        .iter()
        .filter(|peer| peer.name.as_deref() == Some(name));
    those.map(|peer| peer.peer_id).collect()
}

impl Selected {
    /// The selected peer, or the error.
    fn peer(&self, text: &str) -> Result<PeerId, DownloadError> {
        let name = text.to_owned();
        Err(match self {
            Self::Peer(peer) | Self::New(peer) => return Ok(*peer),
            Self::Missing => DownloadError::UnknownPeer(name),
            Self::Several(peers) => DownloadError::SeveralPeers {
                name,
                peers: peers.clone(),
            },
            Self::Changed { was, now } => DownloadError::OtherPeer {
                name,
                was: Box::new(*was),
                now: now.clone(),
            },
        })
    }
}

impl NodeCore {
    /// The ids of the peers that `from` selects. Waits until `deadline` for those that are given by
    /// name. Names that are used for the first time, and those given as `NAME=ID`, are bound.
    pub(super) async fn select_peers(
        &self,
        from: &[String],
        deadline: Instant,
    ) -> Result<Vec<PeerId>, DownloadError> {
        let mut arrivals = self.network.arrivals();
        let begun = Instant::now();
        let grace = deadline.min(begun + GRACE);
        loop {
            let connected = self.network.peers().await?;
            let selected = from.iter().map(|text| match binding(text) {
                Some((_, peer)) => Selected::New(peer),
                None => {
                    let bound = self.store.peer_of_name(text);
                    select(text, &named(&connected, text), bound)
                }
            });
            let selected: Vec<_> = selected.collect();
            let peers = from.iter().zip(&selected);
            let error = match peers.map(|(text, selected)| selected.peer(text)).collect() {
                Ok(peers) => {
                    let is_new = |selected: &Selected| matches!(selected, Selected::New(_));
                    let introduced = begun + INTRODUCTION;
                    if selected.iter().any(is_new)
                        && connected.iter().any(|peer| peer.name.is_none())
                        && timeout_at(introduced, arrivals.recv()).await.is_ok()
                    {
                        continue;
                    }
                    self.bind(from, &selected).await;
                    return Ok(peers);
                }
                Err(error) => error,
            };
            let until = match &error {
                DownloadError::SeveralPeers { .. } => return Err(error),
                DownloadError::OtherPeer { .. } => grace,
                _ => deadline,
            };
            // Whether one arrived or some were missed: all are checked again.
            if timeout_at(until, arrivals.recv()).await.is_err() {
                return Err(error);
            }
        }
    }

    /// Binds new names to their peers. If that cannot be recorded, the next use counts as the
    /// first.
    async fn bind(&self, from: &[String], selected: &[Selected]) {
        let new = from.iter().zip(selected).filter_map(|(text, selected)| {
            let Selected::New(peer) = selected else {
                return None;
            };
            let name = binding(text).map_or_else(|| text.clone(), |(name, _)| name);
            tracing::info!(name, %peer, "bound the name to this peer");
            Some((name, *peer))
        });
        let new: Vec<_> = new.collect();
        let store = self.store.clone();
        if new.is_empty() {
            return;
        }
        if let Ok(Err(error)) = blocking(move || store.bind_names(&new)).await {
            tracing::warn!(%error, "cannot record which peer a name is bound to");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_passes_to_another_peer_by_itself() {
        let [a, b, c] = [(); 3].map(|()| PeerId::random());
        let by_name = |named: &[PeerId], bound| select("anna", named, bound);
        assert_eq!(by_name(&[], None), Selected::Missing);
        assert_eq!(by_name(&[a], None), Selected::New(a));
        assert_eq!(by_name(&[a, b], None), Selected::Several(vec![a, b]));
        assert_eq!(by_name(&[b, a], Some(a)), Selected::Peer(a));
        assert_eq!(by_name(&[], Some(a)), Selected::Missing);
        let now = vec![b, c];
        assert_eq!(
            by_name(&now, Some(a)),
            Selected::Changed {
                was: a,
                now: now.clone()
            }
        );
        assert_eq!(select(&a.to_string(), &[b], Some(c)), Selected::Peer(a));
        assert_eq!(binding(&format!("a=b={a}")), Some(("a=b".to_owned(), a)));
        assert_eq!(binding("a=b"), None);
    }
}
