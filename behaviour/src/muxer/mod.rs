//! Many streams over one connection: yamux, as libp2p speaks it, with an account of what it holds.
//!
//! libp2p's own multiplexer hides its windows and what they hold. This one is the same on the wire. It tells an
//! [`Account`](crate::memory::Account) of every byte that is received and not yet read, or written and not yet
//! sent, reads no further while the account has to wait, and fails when it is the worst for too long.
//! Errors end the connection; libp2p reports them as the reason.

mod connection;
mod frames;
mod metered;
mod stream;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    iter,
    sync::Arc,
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};

use crate::memory::Account;

pub(crate) use connection::Muxer;

/// Streams of one connection, at most, both sides and all protocols counted.
pub(crate) const MAX_STREAMS: usize = 128;

/// The window that yamux gives each stream at first, in bytes; its specification says so.
pub(crate) const STREAM_WINDOW: u64 = yamux::DEFAULT_CREDIT as u64;

/// By how much the windows of all streams of a connection may grow together, in bytes: fills 1 Gbit/s at 200
/// ms. A window grows with the path's round trip, which the peer itself decides.
pub(crate) const MAX_WINDOW: u64 = 24 << 20;

/// How a connection becomes a multiplexer: agrees on yamux, and says nothing more.
#[derive(Clone, Debug)]
pub(crate) struct Upgrade(Arc<Account>);

impl Upgrade {
    /// For one connection, which has this account.
    pub(crate) const fn new(account: Arc<Account>) -> Self {
        Self(account)
    }
}

impl UpgradeInfo for Upgrade {
    type Info = &'static str;
    type InfoIter = iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> InboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(Muxer::new(socket, yamux::Mode::Server, self.0)))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> OutboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(Muxer::new(socket, yamux::Mode::Client, self.0)))
    }
}

#[cfg(test)]
mod tests;
