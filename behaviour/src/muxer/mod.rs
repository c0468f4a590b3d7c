//! Many streams over one connection: yamux, as libp2p speaks it, with an account of what it holds.
//!
//! libp2p's own multiplexer hides its windows and what they hold. This one is the same on the
//! wire. It reports to an [`Account`](crate::memory::Account) every byte that is received and not
//! yet read, or written and not yet sent; stops reading while the account has to wait; and fails
//! if the account holds the most for too long. Errors end the connection; libp2p reports them as
//! the reason.

mod connection;
mod frames;
mod limits;
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
pub(crate) use limits::{FRAME_LEN, MAX_STREAMS, MAX_WINDOW, STREAM_WINDOW};

/// Turns a connection into a multiplexer: only negotiates yamux.
#[derive(Clone, Debug)]
pub(crate) struct Upgrade(Arc<Account>);

impl Upgrade {
    /// The upgrade of the connection with this account.
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
