//! The transport between nodes: TCP (TLS or noise, yamux) and QUIC, with DNS, directly or through
//! relays.

mod circuits;
mod lazy;
mod own_id_callers;
mod security;
mod shared;
mod tls;
mod tls_first;

use std::{io, num::NonZeroU8, time::Duration};

use libp2p::{
    PeerId, Transport,
    core::{
        ConnectedPoint, Negotiated,
        muxing::StreamMuxerBox,
        transport::{Boxed, MemoryTransport, timeout::TransportTimeout},
        upgrade::Version,
    },
    dns, identity, noise, quic, swarm, tcp,
};
use thiserror::Error;

use crate::{
    Connections, Origin, PrivateNetwork,
    connections::{ConnectionKind, Gate, QUIC_WINDOW},
    memory::{Account, Memory},
    muxer::{MAX_STREAMS, Muxer, Upgrade},
    private::Members,
    remote_of,
};
use lazy::Lazy;
use security::{Encrypted, Security};
use shared::Shared;
use tls::Tls;
use tls_first::TlsFirst;

pub use circuits::with_circuits;
pub use own_id_callers::OwnIdCallers;
pub use tls::TlsSetupError;

/// A handshake that takes longer has failed.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A TCP connection is dead when its peer acknowledges nothing for this long. Without this limit
/// the system retries for some 15 minutes.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(25);

/// Addresses of a peer that are tried at a time.
const DIAL_CONCURRENCY: NonZeroU8 = NonZeroU8::new(8).expect("eight is not zero");

/// Why the transport could not be created.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Noise rejected our key.
    #[error("noise could not be set up: {0}")]
    Noise(#[from] noise::Error),
    /// TLS could not be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] TlsSetupError),
    /// The system's resolver could not be set up.
    #[error("name resolution could not be set up: {0}")]
    Dns(io::Error),
}

/// TCP and QUIC for the node of `keypair`, in its private network if it has a key. Notes callers with
/// the same key in `own_id_callers`. Every connection has a permit and an account in `connections`.
///
/// The upgrades are negotiated lazily (multistream-select's `V1Lazy`): a dialer does not wait for
/// an answer before its first bytes.
///
/// # Errors
/// See [`TransportError`].
pub fn transport(
    keypair: &identity::Keypair,
    own_id_callers: &OwnIdCallers,
    connections: &Connections,
    private: &PrivateNetwork,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, TransportError> {
    let local = keypair.public().to_peer_id();
    let members = Members::new(local, private);
    let tcp = tcp(keypair, own_id_callers, connections.memory())?;
    let by_quic = own_id_callers.clone();
    let keypair = keypair.clone();
    let quic = Lazy::new(move || quic(&keypair)).map(move |(peer, muxer), endpoint| {
        by_quic.note(&local, &peer, &endpoint);
        (peer, muxer)
    });
    let (tcp, quic) = (tcp.and_then(members.gate()), quic.and_then(members.gate()));
    let tcp = Gate::new(tcp, ConnectionKind::Tcp, connections);
    let quic = Gate::new(quic, ConnectionKind::Quic, connections);
    let both = tcp.or_transport(quic).map(|either, _| either.into_inner());
    Ok(dns::tokio::Transport::system(both)
        .map_err(TransportError::Dns)?
        .boxed())
}

fn quic(keypair: &identity::Keypair) -> quic::tokio::Transport {
    let mut config = quic::Config::new(keypair);
    config.max_stream_data = QUIC_WINDOW;
    config.max_connection_data = QUIC_WINDOW;
    config.max_concurrent_stream_limit = MAX_STREAMS as u32;
    quic::tokio::Transport::new(config)
}

/// A TCP connection: multiplexed and encrypted.
type TcpMuxer = Muxer<Negotiated<Encrypted<Negotiated<tcp::tokio::TcpStream>>>>;

/// TCP with TLS or noise, and yamux.
fn tcp(
    keypair: &identity::Keypair,
    own_id_callers: &OwnIdCallers,
    memory: &Memory,
) -> Result<
    impl Transport<Output = (PeerId, TcpMuxer), Error: Send + Sync, Dial: Send, ListenerUpgrade: Send>
    + Unpin
    + Send
    + use<>,
    TransportError,
> {
    let local = keypair.public().to_peer_id();
    let sockets = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let sockets = Shared::new(sockets.map(|stream, _| {
        end_when_dead(&stream);
        stream
    }));
    let secured = |security| {
        let (memory, own_id_callers) = (memory.clone(), own_id_callers.clone());
        sockets
            .clone()
            .upgrade(Version::V1Lazy)
            .authenticate(security)
            .multiplex_ext(move |peer, endpoint| {
                own_id_callers.note(&local, peer, endpoint);
                muxer(&memory, peer, endpoint)
            })
    };
    let both = Security::both(Tls::new(keypair)?, noise::Config::new(keypair)?);
    let (tls, noise) = (secured(both.tls()), secured(both.noise()));
    let tls_first = TlsFirst::new(secured(both), tls, noise);
    Ok(TransportTimeout::new(tls_first, HANDSHAKE_TIMEOUT))
}

/// Connections inside this process, under `/memory/...` addresses, for simulations and tests of
/// many nodes.
///
/// # Errors
/// See [`TransportError`].
pub fn memory_transport(
    keypair: &identity::Keypair,
    connections: &Connections,
    private: &PrivateNetwork,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, TransportError> {
    let members = Members::new(keypair.public().to_peer_id(), private);
    let memory = connections.memory().clone();
    let transport = MemoryTransport::new()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex_ext(move |peer, endpoint| muxer(&memory, peer, endpoint))
        .timeout(HANDSHAKE_TIMEOUT)
        .and_then(members.gate());
    Ok(Gate::new(transport, ConnectionKind::Tcp, connections).boxed())
}

/// The configuration of a node's swarm: on tokio, with idle connections kept for `idle_timeout`.
#[must_use]
pub fn swarm_config(idle_timeout: Duration) -> swarm::Config {
    swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(idle_timeout)
        .with_dial_concurrency_factor(DIAL_CONCURRENCY)
        .with_substream_upgrade_protocol_override(Version::V1Lazy)
        .with_max_negotiating_inbound_streams(MAX_STREAMS)
}

/// Makes the system end a connection whose peer is gone: it knows which bytes were acknowledged,
/// however slow the path.
fn end_when_dead(stream: &tcp::tokio::TcpStream) {
    #[cfg(target_os = "linux")]
    {
        let socket = socket2::SockRef::from(&stream.0);
        if let Err(error) = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT)) {
            tracing::debug!(%error, "TCP time-out not set: only pings notice dead connections");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

fn muxer(memory: &Memory, peer: &PeerId, endpoint: &ConnectedPoint) -> Upgrade {
    let origin = Origin::new(*peer, &remote_of(endpoint));
    Upgrade::new(Account::open(memory, origin))
}

#[cfg(test)]
mod tests;
