//! The mutual proof on a new connection, as its first stream.
//!
//! ```text
//!   dialer ── magic, nonce ────────> listener
//!          <── nonce, two proofs ───
//!          ── two proofs ──────────>
//! ```
//!
//! A proof is HMAC-SHA256(key, "pelago/member/1" || role || id of the dialer || id of the listener ||
//! nonce of the dialer || nonce of the listener). So it is worthless on another connection, in the
//! other direction and for other peers, and two nodes that have one of two keys in common accept each
//! other. A node with one key sends random bytes as the second proof: the number of keys does not show.

use std::{
    error::Error,
    future::poll_fn,
    io,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, future::BoxFuture};
use hmac::Mac;
use libp2p::{
    PeerId,
    core::{
        ConnectedPoint, Endpoint,
        muxing::{StreamMuxer, StreamMuxerExt},
    },
};
use thiserror::Error;
use tokio::time::timeout;

use super::{NetworkKeys, PrivateNetwork, keys::MAX_KEYS};

/// How long the proof may take: one round trip, on any path.
const PROOF_TIMEOUT: Duration = Duration::from_secs(5);

/// Begins the first stream. No valid beginning of multistream-select: a node without a key ends the
/// stream at once.
const MAGIC: [u8; 8] = *b"\xff\xff\xffpelg\x01";

/// Separates these proofs from every other use of HMAC-SHA256. Fixed by the protocol.
const DOMAIN: &[u8] = b"pelago/member/1";

const NONCE_LEN: usize = 32;
const PROOF_LEN: usize = 32;

/// What a read reports when the peer ends the stream alone.
const ENDS_OF_STREAM: [io::ErrorKind; 2] =
    [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];

type Nonce = [u8; NONCE_LEN];
type Proofs = [[u8; PROOF_LEN]; MAX_KEYS];

/// Why a connection was not made.
#[derive(Debug, Error)]
pub(crate) enum ProofError {
    #[error("the peer has no key of this network")]
    Outsider,
    #[error("the peer did not prove in time that it has a key of this network")]
    TooLong,
    #[error("the connection ended before the peer had proven that it has a key of this network")]
    Ended(#[source] Box<dyn Error + Send + Sync>),
}

/// Lets only members of a private network connect with a node, and all if it has no key.
#[derive(Clone)]
pub(crate) struct Members {
    local: PeerId,
    network: PrivateNetwork,
}

/// A connection whose ends prove that they have a key.
pub(crate) type Admission<M> = BoxFuture<'static, Result<(PeerId, M), ProofError>>;

/// One end of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Dialer = 0,
    Listener = 1,
}

impl Role {
    /// This end of a connection. Hole punching dials from both ends, and makes one of them the listener.
    const fn at(endpoint: &ConnectedPoint) -> Self {
        match endpoint {
            ConnectedPoint::Dialer {
                role_override: Endpoint::Dialer,
                ..
            } => Self::Dialer,
            _ => Self::Listener,
        }
    }
}

impl Members {
    /// The members of `network` who connect with the node `local`.
    pub(crate) fn new(local: PeerId, network: &PrivateNetwork) -> Self {
        Self {
            local,
            network: network.clone(),
        }
    }

    /// What a transport does with each connection that it has made.
    pub(crate) fn gate<M>(
        &self,
    ) -> impl FnOnce((PeerId, M), ConnectedPoint) -> Admission<M> + Clone + use<M>
    where
        M: StreamMuxer + Unpin + Send + 'static,
        M::Substream: Unpin + Send,
        M::Error: Send + Sync + 'static,
    {
        let members = self.clone();
        move |made, endpoint| members.admit(made, endpoint).boxed()
    }

    /// The connection with a peer, once both ends have proven that they have a key.
    async fn admit<M>(
        self,
        (peer, mut muxer): (PeerId, M),
        endpoint: ConnectedPoint,
    ) -> Result<(PeerId, M), ProofError>
    where
        M: StreamMuxer + Unpin,
        M::Substream: Unpin,
        M::Error: Send + Sync + 'static,
    {
        if !self.network.keys.are_some() {
            return Ok((peer, muxer));
        }
        let proven = match Role::at(&endpoint) {
            Role::Dialer => timeout(PROOF_TIMEOUT, self.ask(peer, &mut muxer)).await,
            Role::Listener => timeout(PROOF_TIMEOUT, self.answer(peer, &mut muxer)).await,
        };
        let proven = proven.unwrap_or(Err(ProofError::TooLong));
        match &proven {
            Ok(()) => self.network.outsiders.forget(&peer),
            Err(ProofError::Outsider) => self.network.outsiders.note(peer, Instant::now()),
            Err(ProofError::TooLong | ProofError::Ended(_)) => {}
        }
        proven.map(|()| (peer, muxer))
    }

    async fn ask<M>(&self, peer: PeerId, muxer: &mut M) -> Result<(), ProofError>
    where
        M: StreamMuxer + Unpin,
        M::Substream: Unpin,
        M::Error: Send + Sync + 'static,
    {
        let mut stream = poll_fn(|context| muxer.poll_outbound_unpin(context))
            .await
            .map_err(ended)?;
        let of_dialer: Nonce = rand::random();
        let exchange = async {
            stream.write_all(&[&MAGIC[..], &of_dialer].concat()).await?;
            stream.flush().await?;
            let (mut of_listener, mut proofs) = (Nonce::default(), Proofs::default());
            match stream.read_exact(&mut of_listener).await {
                // A node without a key ends the stream, and keeps the connection.
                Err(error) if ENDS_OF_STREAM.contains(&error.kind()) => return Ok(false),
                read => read?,
            }
            stream.read_exact(proofs.as_flattened_mut()).await?;
            let session = Session::new([self.local, peer], [of_dialer, of_listener]);
            if !session.shows(&self.network.keys, Role::Listener, &proofs) {
                return Ok(false);
            }
            let proofs = session.proofs(&self.network.keys, Role::Dialer);
            stream.write_all(proofs.as_flattened()).await?;
            stream.close().await?;
            Ok(true)
        };
        driving(muxer, exchange).await
    }

    async fn answer<M>(&self, peer: PeerId, muxer: &mut M) -> Result<(), ProofError>
    where
        M: StreamMuxer + Unpin,
        M::Substream: Unpin,
        M::Error: Send + Sync + 'static,
    {
        let mut stream = poll_fn(|context| {
            if let Poll::Ready(stream) = muxer.poll_inbound_unpin(context) {
                return Poll::Ready(stream);
            }
            // Streams arrive only while it is polled.
            while let Poll::Ready(event) = muxer.poll_unpin(context) {
                event?;
            }
            muxer.poll_inbound_unpin(context)
        })
        .await
        .map_err(ended)?;
        let of_listener: Nonce = rand::random();
        let exchange = async {
            let mut magic = [0; MAGIC.len()];
            stream.read_exact(&mut magic).await?;
            if magic != MAGIC {
                return Ok(false);
            }
            let mut of_dialer = [0; NONCE_LEN];
            stream.read_exact(&mut of_dialer).await?;
            let session = Session::new([peer, self.local], [of_dialer, of_listener]);
            let proofs = session.proofs(&self.network.keys, Role::Listener);
            let answer = [&of_listener[..], proofs.as_flattened()].concat();
            stream.write_all(&answer).await?;
            stream.flush().await?;
            let mut proofs = Proofs::default();
            stream.read_exact(proofs.as_flattened_mut()).await?;
            Ok(session.shows(&self.network.keys, Role::Dialer, &proofs))
        };
        driving(muxer, exchange).await
    }
}

/// What the proofs of one connection are about.
struct Session {
    /// The dialer and the listener.
    ids: [Vec<u8>; 2],
    nonces: [Nonce; 2],
}

impl Session {
    fn new(ids: [PeerId; 2], nonces: [Nonce; 2]) -> Self {
        Self {
            ids: ids.map(PeerId::to_bytes),
            nonces,
        }
    }

    fn proofs(&self, keys: &NetworkKeys, role: Role) -> Proofs {
        let mut proofs: Proofs = rand::random();
        for (proof, mac) in proofs.iter_mut().zip(self.macs(keys, role)) {
            *proof = mac.finalize().into_bytes().into();
        }
        proofs
    }

    /// Whether one of `proofs` shows that the peer in this role has one of `keys`. Each comparison
    /// runs in constant time.
    fn shows(&self, keys: &NetworkKeys, role: Role, proofs: &Proofs) -> bool {
        let mut macs = self.macs(keys, role);
        macs.any(|mac| {
            let mut proofs = proofs.iter();
            proofs.any(|proof| mac.clone().verify_slice(proof).is_ok())
        })
    }

    fn macs(
        &self,
        keys: &NetworkKeys,
        role: Role,
    ) -> impl Iterator<Item = impl Mac<OutputSize = hmac::digest::consts::U32> + Clone> {
        keys.as_slice().iter().map(move |key| {
            let mut mac = key.mac().chain_update(DOMAIN).chain_update([role as u8]);
            for id in &self.ids {
                // The length first: ids differ in length.
                mac.update(&[u8::try_from(id.len()).unwrap_or(u8::MAX)]);
                mac.update(id);
            }
            mac.chain_update(self.nonces.as_flattened())
        })
    }
}

/// Does `work` on a stream of `muxer`, which moves only while it is polled.
async fn driving<M>(
    muxer: &mut M,
    work: impl Future<Output = io::Result<bool>>,
) -> Result<(), ProofError>
where
    M: StreamMuxer + Unpin,
    M::Error: Send + Sync + 'static,
{
    let mut work = pin!(work);
    let shows = poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done.map_err(ended));
        }
        // It reports changes of addresses, which mean nothing here.
        while let Poll::Ready(event) = muxer.poll_unpin(context) {
            event.map_err(ended)?;
        }
        Poll::Pending
    });
    match shows.await? {
        true => Ok(()),
        false => Err(ProofError::Outsider),
    }
}

fn ended(error: impl Into<Box<dyn Error + Send + Sync>>) -> ProofError {
    ProofError::Ended(error.into())
}

#[cfg(test)]
mod tests {
    use libp2p::{Multiaddr, core::transport::PortUse};

    use super::*;
    use crate::NetworkKey;

    #[test]
    fn a_proof_is_good_for_one_connection_one_direction_and_holders_of_the_key() {
        let [ours, old, other] = [(); 3].map(|()| NetworkKey::random());
        let keys = |keys: &[&NetworkKey]| {
            let keys = keys.iter().map(|key| (*key).clone()).collect();
            NetworkKeys::new(keys).unwrap()
        };
        let [a, b, c] = [(); 3].map(|()| PeerId::random());
        let [first, second]: [[Nonce; 2]; 2] = rand::random();
        let session = Session::new([a, b], first);
        let proofs = session.proofs(&keys(&[&ours]), Role::Dialer);
        assert!(session.shows(&keys(&[&ours]), Role::Dialer, &proofs));
        assert!(session.shows(&keys(&[&old, &ours]), Role::Dialer, &proofs));
        assert!(!session.shows(&keys(&[&old, &other]), Role::Dialer, &proofs));
        assert!(!session.shows(&keys(&[&ours]), Role::Listener, &proofs));
        for (ids, nonces) in [([b, a], first), ([a, c], first), ([a, b], second)] {
            let another = Session::new(ids, nonces);
            assert!(!another.shows(&keys(&[&ours]), Role::Dialer, &proofs));
        }
        assert_ne!(proofs[0], proofs[1]);
        assert!(!session.shows(&NetworkKeys::default(), Role::Dialer, &proofs));
    }

    #[test]
    fn of_two_ends_that_dial_each_other_one_is_the_listener() {
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let [dialer, punched] = [Endpoint::Dialer, Endpoint::Listener].map(|role_override| {
            Role::at(&ConnectedPoint::Dialer {
                address: address.clone(),
                role_override,
                port_use: PortUse::New,
            })
        });
        assert_eq!([dialer, punched], [Role::Dialer, Role::Listener]);
        let came = ConnectedPoint::Listener {
            local_addr: address.clone(),
            send_back_addr: address,
        };
        assert_eq!(Role::at(&came), Role::Listener);
    }

    #[test]
    fn what_begins_the_proof_is_no_message_of_multistream_select() {
        // Its lengths have at most two bytes: a third one that continues is an error.
        assert!(MAGIC[..3].iter().all(|byte| byte & 0x80 != 0));
    }
}
