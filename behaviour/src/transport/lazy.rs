//! A transport that is made when it is first needed.
//!
//! QUIC generates two certificates, and a command that speaks TCP needs neither.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use libp2p::{
    Multiaddr, Transport, TransportError,
    core::transport::{DialOpts, ListenerId, TransportEvent},
};

/// A transport that is made when it first listens or dials.
pub(super) enum Lazy<T> {
    Waiting {
        make: Box<dyn FnMut() -> T + Send>,
        /// Of the task that polls.
        waker: Option<Waker>,
    },
    Made(T),
}

impl<T> Lazy<T> {
    /// Calls `make` once, when the transport is needed.
    pub(super) fn new(make: impl FnMut() -> T + Send + 'static) -> Self {
        Self::Waiting {
            make: Box::new(make),
            waker: None,
        }
    }

    fn made(&mut self) -> &mut T {
        if let Self::Waiting { make, waker } = self {
            let (made, waker) = (make(), waker.take());
            *self = Self::Made(made);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        match self {
            Self::Made(made) => made,
            Self::Waiting { .. } => unreachable!("it was made above"),
        }
    }
}

impl<T: Transport + Unpin> Transport for Lazy<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        self.made().listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        match self {
            Self::Made(made) => made.remove_listener(id),
            Self::Waiting { .. } => false,
        }
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        self.made().dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        match &mut *self {
            Self::Made(made) => Pin::new(made).poll(context),
            Self::Waiting { waker, .. } => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use futures::{StreamExt, poll};
    use libp2p::core::transport::{MemoryTransport, TransportEvent};

    use super::*;

    #[tokio::test]
    async fn it_is_made_once_when_it_listens_or_dials() {
        let counted = Arc::new(AtomicU32::new(0));
        let made = || counted.load(Ordering::Relaxed);
        let count = Arc::clone(&counted);
        let mut lazy = Lazy::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            MemoryTransport::new()
        })
        .boxed();
        assert!(poll!(lazy.next()).is_pending());
        assert!(!lazy.remove_listener(ListenerId::next()));
        assert_eq!(made(), 0);
        let id = ListenerId::next();
        for id in [id, ListenerId::next()] {
            lazy.listen_on(id, "/memory/0".parse().unwrap()).unwrap();
        }
        assert_eq!(made(), 1);
        let event = lazy.next().await;
        assert!(matches!(event, Some(TransportEvent::NewAddress { .. })));
        assert!(lazy.remove_listener(id));
    }
}
