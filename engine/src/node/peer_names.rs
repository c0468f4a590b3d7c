//! Selects peers by id, or by a name, which any peer can choose for itself.
//!
//! A name is bound to the peer that it was first used for. Another peer never takes its place
//! silently. If several peers have the name, an error shows their ids. On the first use of a name,
//! the node waits for other peers that may have it.

use std::{str::FromStr, time::Duration};

use libp2p::PeerId;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use super::{DownloadError, blocking::blocking, core::NodeCore};
use crate::network;

/// How long to wait for the peer that a name is bound to, while another peer of that name is
/// connected.
const GRACE: Duration = Duration::from_secs(3);

/// How long to wait for other peers of a name that is used for the first time. On a local network,
/// peers find each other sooner.
const FIRST_USE: Duration = Duration::from_secs(2);

/// How long connected peers may take to tell their names then.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// The ids of nodes begin with these characters.
const ID_BEGINNING: &str = "12D3KooW";

/// A peer, as a person chooses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerChoice {
    /// By its id.
    Id(PeerId),
    /// By its name.
    Name(String),
    /// By its id, to which the name is bound from now on: `NAME=ID`.
    Bound(String, PeerId),
}

impl PeerChoice {
    /// The name, if there is one.
    fn name(&self) -> &str {
        match self {
            Self::Id(_) => "",
            Self::Name(name) | Self::Bound(name, _) => name,
        }
    }
}

/// A text that is not the id of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a valid peer id: give the whole id, as `pelago status` shows it on that node and \
     `pelago peers` on this one"
)]
pub struct InvalidPeerId(String);

impl FromStr for PeerChoice {
    type Err = InvalidPeerId;

    /// A text with `=` is `NAME=ID`. A truncated id is an error rather than a name.
    fn from_str(text: &str) -> Result<Self, InvalidPeerId> {
        let id = |text: &str| text.parse().map_err(|_| InvalidPeerId(text.to_owned()));
        match text.rsplit_once('=') {
            Some((name, bound)) => Ok(Self::Bound(name.to_owned(), id(bound)?)),
            None if text.starts_with(ID_BEGINNING) => id(text).map(Self::Id),
            None => Ok(id(text).map_or_else(|_| Self::Name(text.to_owned()), Self::Id)),
        }
    }
}

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

/// What a name selects among `named`, the connected peers of that name, if it is bound to `bound`.
fn select(named: &[PeerId], bound: Option<PeerId>) -> Selected {
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

/// For how long a selection may still change. `is_first_use`: a name is not bound yet.
/// `has_unnamed`: a connected peer has not told its name yet.
const fn changes_for(is_first_use: bool, has_unnamed: bool) -> Duration {
    match (is_first_use, has_unnamed) {
        (false, _) => Duration::ZERO,
        (true, false) => FIRST_USE,
        (true, true) => INTRODUCTION,
    }
}

/// The ids of the `connected` peers with that name.
fn named(connected: &[network::Peer], name: &str) -> Vec<PeerId> {
    let those = connected
        .iter()
        .filter(|peer| peer.name.as_deref() == Some(name));
    those.map(|peer| peer.peer_id).collect()
}

impl Selected {
    /// The peer that `name` selects, or the error.
    fn peer(&self, name: &str) -> Result<PeerId, DownloadError> {
        let name = name.to_owned();
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
    /// The ids of the chosen peers. Waits until `deadline` for those that are chosen by name. Names
    /// that are used for the first time, and those given as `NAME=ID`, are bound.
    pub(super) async fn select_peers(
        &self,
        from: &[PeerChoice],
        deadline: Instant,
    ) -> Result<Vec<PeerId>, DownloadError> {
        let mut arrivals = self.network.arrivals();
        let begun = Instant::now();
        loop {
            let connected = self.network.peers().await?;
            let select = |choice: &PeerChoice| match choice {
                PeerChoice::Id(peer) => Selected::Peer(*peer),
                PeerChoice::Bound(_, peer) => Selected::New(*peer),
                PeerChoice::Name(name) => {
                    select(&named(&connected, name), self.store.peer_of_name(name))
                }
            };
            let selected: Vec<_> = from.iter().map(select).collect();
            let chosen = || from.iter().zip(&selected);
            let peers = chosen().map(|(choice, selected)| selected.peer(choice.name()));
            let peers: Result<Vec<_>, _> = peers.collect();
            let until = match &peers {
                Ok(_) => {
                    let is_first_use = chosen()
                        .any(|pair| matches!(pair, (PeerChoice::Name(_), Selected::New(_))));
                    let has_unnamed = connected.iter().any(|peer| peer.name.is_none());
                    begun + changes_for(is_first_use, has_unnamed)
                }
                Err(DownloadError::SeveralPeers { .. }) => begun,
                Err(DownloadError::OtherPeer { .. }) => begun + GRACE,
                Err(_) => deadline,
            };
            let until = until.min(deadline);
            if Instant::now() < until {
                // Whether one arrived, some were missed or the time is up: all are checked again.
                let _ = timeout_at(until, arrivals.recv()).await;
                continue;
            }
            if peers.is_ok() {
                let new = chosen().filter_map(|(choice, selected)| match selected {
                    Selected::New(peer) => Some((choice.name().to_owned(), *peer)),
                    _ => None,
                });
                self.bind(new.collect()).await;
            }
            return peers;
        }
    }

    /// Binds names to peers. If that cannot be recorded, the next use counts as the first.
    async fn bind(&self, names: Vec<(String, PeerId)>) {
        if names.is_empty() {
            return;
        }
        for (name, peer) in &names {
            tracing::info!(name, %peer, "bound the name to this peer");
        }
        let store = self.store.clone();
        if let Ok(Err(error)) = blocking(move || store.bind_names(&names)).await {
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
        assert_eq!(select(&[], None), Selected::Missing);
        assert_eq!(select(&[a], None), Selected::New(a));
        assert_eq!(select(&[a, b], None), Selected::Several(vec![a, b]));
        assert_eq!(select(&[b, a], Some(a)), Selected::Peer(a));
        assert_eq!(select(&[], Some(a)), Selected::Missing);
        let now = vec![b, c];
        assert_eq!(
            select(&now, Some(a)),
            Selected::Changed {
                was: a,
                now: now.clone()
            }
        );
    }

    #[test]
    fn a_name_that_is_new_is_bound_only_after_others_had_time_to_appear() {
        assert_eq!(changes_for(false, true), Duration::ZERO, "it is bound");
        assert_eq!(changes_for(true, false), FIRST_USE);
        assert_eq!(changes_for(true, true), INTRODUCTION);
    }

    #[test]
    fn ids_are_told_from_names_and_a_truncated_one_is_refused() {
        let id = libp2p::identity::Keypair::generate_ed25519()
            .public()
            .to_peer_id();
        let text = id.to_string();
        let chosen = |text: &str| text.parse::<PeerChoice>();
        assert_eq!(chosen(&text), Ok(PeerChoice::Id(id)));
        assert_eq!(chosen("anna"), Ok(PeerChoice::Name("anna".to_owned())));
        for name in ["anna", "a=b", ""] {
            let bound = Ok(PeerChoice::Bound(name.to_owned(), id));
            assert_eq!(chosen(&format!("{name}={text}")), bound);
        }
        let short = &text[..text.len() - 1];
        for (wrong, shown) in [
            ("src=12D3bad".to_owned(), "12D3bad"),
            ("src=".to_owned(), ""),
            (format!("src={short}"), short),
            (short.to_owned(), short),
        ] {
            let error = chosen(&wrong).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{shown:?} is not")), "{error}");
        }
    }
}
