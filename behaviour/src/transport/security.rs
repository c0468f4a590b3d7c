//! The encryption of a TCP connection: TLS or noise.

use std::{error::Error, io};

use futures::{
    AsyncRead, AsyncWrite, FutureExt,
    future::{BoxFuture, Either},
};
use libp2p::{
    PeerId,
    core::upgrade::{
        InboundConnectionUpgrade, NegotiationError, OutboundConnectionUpgrade, UpgradeInfo,
    },
    noise,
};
use rustls::AlertDescription;
use thiserror::Error;

use super::tls::{Tls, TlsStream};

const TLS: &str = "/tls/1.0.0";
const NOISE: &str = "/noise";

/// Why a connection could not be encrypted.
#[derive(Debug, Error)]
pub(super) enum SecurityError {
    #[error("the peer does not accept TLS, or none of our ciphers")]
    TlsRefused,
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    #[error("noise: {0}")]
    Noise(#[from] noise::Error),
}

impl SecurityError {
    /// Tells a peer that has no TLS, or no cipher of ours, from a handshake that failed.
    pub(super) fn of_tls(error: io::Error) -> Self {
        let refused = error.get_ref().is_some_and(|reason| {
            matches!(reason.downcast_ref(), Some(NegotiationError::Failed))
                || matches!(
                    reason.downcast_ref(),
                    Some(rustls::Error::AlertReceived(
                        AlertDescription::HandshakeFailure
                    ))
                )
        });
        if refused {
            Self::TlsRefused
        } else {
            Self::Tls(error)
        }
    }
}

/// Whether a dial failed for the reason that the peer does not accept TLS.
pub(super) fn is_tls_refusal(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(error.downcast_ref(), Some(SecurityError::TlsRefused)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Encrypts and authenticates a connection with one of the protocols that are offered.
#[derive(Clone)]
pub(super) struct Security {
    tls: Tls,
    noise: noise::Config,
    offered: &'static [&'static str],
}

impl Security {
    /// Both protocols, for a listener.
    pub(super) const fn both(tls: Tls, noise: noise::Config) -> Self {
        Self {
            tls,
            noise,
            offered: &[TLS, NOISE],
        }
    }

    /// TLS alone, for a dialer: proposing two protocols would cost a round trip.
    pub(super) fn tls(&self) -> Self {
        Self {
            offered: &[TLS],
            ..self.clone()
        }
    }

    /// Noise alone, for a dialer that was refused TLS.
    pub(super) fn noise(&self) -> Self {
        Self {
            offered: &[NOISE],
            ..self.clone()
        }
    }
}

impl UpgradeInfo for Security {
    type Info = &'static str;
    type InfoIter = std::iter::Copied<std::slice::Iter<'static, &'static str>>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.offered.iter().copied()
    }
}

/// An encrypted connection.
pub(super) type Encrypted<C> = Either<TlsStream<C>, noise::Output<C>>;

impl<C> InboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = (PeerId, Encrypted<C>);
    type Error = SecurityError;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, socket: C, protocol: Self::Info) -> Self::Future {
        async move {
            if protocol == TLS {
                let accepted = self.tls.accept(socket).await;
                let (peer, stream) = accepted.map_err(SecurityError::of_tls)?;
                return Ok((peer, Either::Left(stream)));
            }
            let (peer, stream) = self.noise.upgrade_inbound(socket, NOISE).await?;
            Ok((peer, Either::Right(stream)))
        }
        .boxed()
    }
}

impl<C> OutboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = (PeerId, Encrypted<C>);
    type Error = SecurityError;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, socket: C, protocol: Self::Info) -> Self::Future {
        async move {
            if protocol == TLS {
                let connected = self.tls.connect(socket).await;
                let (peer, stream) = connected.map_err(SecurityError::of_tls)?;
                return Ok((peer, Either::Left(stream)));
            }
            let (peer, stream) = self.noise.upgrade_outbound(socket, NOISE).await?;
            Ok((peer, Either::Right(stream)))
        }
        .boxed()
    }
}
