//! Dials with TLS, and once more with noise where TLS is refused.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use libp2p::{
    Multiaddr, Transport, TransportError,
    core::transport::{DialOpts, ListenerId, TransportEvent},
};

use super::{security::is_tls_refusal, shared::Shared};

/// Three transports over one: for listening (accepts both), for dialing with TLS, and with noise.
pub(super) struct TlsFirst<T> {
    listening: T,
    tls: T,
    noise: Shared<T>,
}

impl<T> TlsFirst<T> {
    pub(super) fn new(listening: T, tls: T, noise: T) -> Self {
        Self {
            listening,
            tls,
            noise: Shared::new(noise),
        }
    }
}

impl<T> Transport for TlsFirst<T>
where
    T: Transport + Unpin + Send + 'static,
    T::Dial: Send,
    T::Output: Send,
    T::Error: Send + 'static,
{
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, Result<T::Output, T::Error>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        self.listening.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.listening.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        let dial = self.tls.dial(address.clone(), options)?;
        let mut noise = self.noise.clone();
        let made = async move {
            let refusal = match dial.await {
                Err(error) if is_tls_refusal(&error) => error,
                made => return made,
            };
            match noise.dial(address, options) {
                Ok(dial) => dial.await,
                Err(_) => Err(refusal),
            }
        };
        Ok(made.boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.listening).poll(context)
    }
}
